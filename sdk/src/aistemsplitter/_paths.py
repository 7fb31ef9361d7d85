"""API paths of splits, uploads, webhook endpoints and events."""

from __future__ import annotations

from urllib.parse import quote

from aistemsplitter._errors import InputError


def id_of(split: object) -> str:
    """Return a split's id, given the id itself or an object that has it.

    Raises:
        InputError: The argument is neither.
    """
    return _id(split, "id", "a split", "split_01J...")


def split_path(split: object) -> str:
    """Return the API path of a split, given its id or an object that has it."""
    return f"/audio/splits/{_segment(id_of(split))}"


def upload_id_of(upload: object) -> str:
    """Return an upload's id, given the id itself or an object that has it.

    Raises:
        InputError: The argument is neither.
    """
    return _id(upload, "upload_id", "an upload", "upl_01J...")


def upload_path(upload: object) -> str:
    """Return the API path of an upload, given its id or an object that has it."""
    return f"/audio/uploads/{_segment(upload_id_of(upload))}"


def endpoint_id_of(endpoint: object) -> str:
    """Return a webhook endpoint's id, given the id itself or an object that has it.

    Raises:
        InputError: The argument is neither.
    """
    return _id(endpoint, "id", "a webhook endpoint", "whe_01J...")


def endpoint_path(endpoint: object) -> str:
    """Return the API path of a webhook endpoint, given its id or an object that has it."""
    return f"/webhooks/endpoints/{_segment(endpoint_id_of(endpoint))}"


def event_path(event: object) -> str:
    """Return the API path of an event, given its id or an object that has it."""
    return f"/events/{_segment(_id(event, 'id', 'an event', 'evt_01J...'))}"


def _id(given: object, attribute: str, kind: str, example: str) -> str:
    found = getattr(given, attribute, given)
    if isinstance(found, str) and found.strip(". "):
        return found
    shown = repr(found) if isinstance(found, str) else type(given).__name__
    raise InputError(f"{shown} is not {kind}: pass {kind} or its id, such as {example}")


def _segment(found: str) -> str:
    return quote(found, safe="")  # even an odd id stays one path segment
