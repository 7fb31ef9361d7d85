"""Error messages that tell a model what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mcp.server.mcpserver.exceptions import ToolError

from aistemsplitter._errors import (
    AiStemSplitterError,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
    DeadlineExceeded,
    FileError,
    Forbidden,
    InsufficientCredits,
    ModelUnavailable,
    NotFound,
    RateLimited,
    ServerError,
    SplitFailed,
    TransferFailed,
    Unauthorized,
    ValidationFailed,
)

_AGAIN = (
    "Call again in a minute. If this was a submission, call list_splits first: the split may exist,"
    " and a second one would be charged too."
)

# The first class that matches applies, so subclasses come first.
_NEXT: tuple[tuple[type[AiStemSplitterError], str], ...] = (
    (Unauthorized, "Ask the user to check the API key in the settings of this MCP server."),
    (ConfigurationError, "Ask the user to correct the settings of this MCP server."),
    (Forbidden, "Ask the user for an API key that is allowed to do this."),
    (InsufficientCredits, "Ask the user to buy credits; get_credits returns the balance."),
    (NotFound, "Call list_splits for the ids of the account's splits."),
    (ModelUnavailable, "Call list_models and choose an installed model."),
    (Conflict, "Call get_split for the current state of the split."),
    (ValidationFailed, "Correct the arguments; list_models returns the models and their stems."),
    (RateLimited, "Wait before you call again."),
    (SplitFailed, "The charge was refunded. Tell the user the reason."),
    (TransferFailed, "Call again; the transfer continues where it stopped."),
    (ConnectionFailed, _AGAIN),
    (ServerError, _AGAIN),
    (DeadlineExceeded, _AGAIN),
)


@contextmanager
def tool_errors() -> Iterator[None]:
    """Turn the client's errors into results of a tool that say what to do next.

    Raises:
        ToolError: The client raised an error.
    """
    try:
        yield
    except AiStemSplitterError as error:
        raise ToolError(_text(error)) from None


def _text(error: AiStemSplitterError) -> str:
    message = error.message
    if isinstance(error, FileError) and error.code == "FILE_EXISTS":
        message = f"{error.filename}: is another file"
        following = "Ask the user to move it away, then call again."
    else:
        following = next((text for kind, text in _NEXT if isinstance(error, kind)), "")
    if error.retry_after is not None and following != _AGAIN:
        following = f"Wait {error.retry_after:g} s, then call again."
    request = "" if error.request_id is None else f", request {error.request_id}"
    printable = "".join(each if each.isprintable() else " " for each in message)
    return f"{printable.rstrip('.')} ({error.code}{request}). {following}".rstrip()
