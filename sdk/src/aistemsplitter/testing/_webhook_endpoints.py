"""Webhook endpoints and events of the fake service. Nothing is delivered."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aistemsplitter._webhooks import KNOWN_EVENTS
from aistemsplitter.testing._events import event_of
from aistemsplitter.testing._wire import Rejected, page, timestamp


class FakeWebhooks:
    """Registered endpoints, and the events of the splits that are done."""

    def __init__(self) -> None:
        self._endpoints: dict[str, dict[str, Any]] = {}

    def answer(
        self,
        method: str,
        path: Sequence[str],
        query: Mapping[str, str],
        body: Mapping[str, Any],
        ended: Iterable[Mapping[str, Any]],
    ) -> Any:
        """Return the data of a response.

        Args:
            path: Parts of the request's path.
            query: Parameters of the request.
            body: JSON of the request.
            ended: JSON of the splits that are done, oldest first.

        Raises:
            Rejected: There is no such endpoint or event, or the request does not fit it.
        """
        match method, path:
            case "POST", ["webhooks", "endpoints"]:
                return self._create(body)
            case "GET", ["webhooks", "endpoints"]:
                return page([_shown(each) for each in reversed(self._endpoints.values())], query)
            case "GET", ["webhooks", "endpoints", endpoint_id]:
                return _shown(self._find(endpoint_id))
            case "PATCH", ["webhooks", "endpoints", endpoint_id]:
                return self._change(self._find(endpoint_id), body)
            case "DELETE", ["webhooks", "endpoints", endpoint_id]:
                self._find(endpoint_id)
                del self._endpoints[endpoint_id]
                return {"id": endpoint_id, "deleted": True}
            case "POST", ["webhooks", "endpoints", endpoint_id, "rotate-secret"]:
                return self._rotate(self._find(endpoint_id))
        events = {event["id"]: event for event in map(event_of, ended)}
        match method, path:
            case "GET", ["events"]:
                newest = [*reversed(events.values())]
                return page([e for e in newest if query.get("type") in (None, e["type"])], query)
            case "GET", ["events", event_id] if event_id in events:
                return events[event_id]
            case "POST", ["events", event_id, "redeliver"] if event_id in events:
                return self._redeliver(events[event_id], body.get("endpointId"))
        raise Rejected(404, "NOT_FOUND", "there is no such path, endpoint or event")

    def _create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self._check_url(body.get("url"))
        now = timestamp()
        endpoint = {
            "id": f"whe_{uuid.uuid4().hex}",
            "url": body["url"],
            "events": body.get("events") or [*KNOWN_EVENTS],
            "disabled": False,
            "disabledReason": None,
            "disabledAt": None,
            "failingSince": None,
            "previousSecretUntil": None,
            "createdAt": now,
            "updatedAt": now,
            "description": body.get("description", ""),
            "secret": _secret(),
        }
        self._endpoints[endpoint["id"]] = endpoint
        return endpoint

    def _change(self, endpoint: dict[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
        if body.get("url") not in (None, endpoint["url"]):
            self._check_url(body["url"])
        disabled = body.get("disabled")
        if disabled is not None:
            reason, since = ("disabled with the API", timestamp()) if disabled else (None, None)
            endpoint.update(disabled=disabled, disabledReason=reason, disabledAt=since)
        endpoint.update(
            {name: body[name] for name in ("url", "events", "description") & body.keys()}
        )
        endpoint["updatedAt"] = timestamp()
        return _shown(endpoint)

    def _rotate(self, endpoint: dict[str, Any]) -> dict[str, Any]:
        endpoint.update(secret=_secret(), previousSecretUntil=timestamp(24 * 3600))
        return endpoint

    def _redeliver(self, event: Mapping[str, Any], endpoint_id: str | None) -> list[dict[str, Any]]:
        known = self._endpoints.values() if endpoint_id is None else [self._find(endpoint_id)]
        receiving = [each for each in known if not each["disabled"]]
        if endpoint_id is None:
            receiving = [each for each in receiving if event["type"] in each["events"]]
        if not receiving:
            raise Rejected(409, "CONFLICT", "there is no enabled endpoint to deliver this event to")
        return [_delivery(event, endpoint) for endpoint in receiving]

    def _find(self, endpoint_id: str) -> dict[str, Any]:
        if endpoint_id not in self._endpoints:
            raise Rejected(404, "NOT_FOUND", "there is no such webhook endpoint")
        return self._endpoints[endpoint_id]

    def _check_url(self, url: Any) -> None:
        if not str(url).startswith(("http://", "https://")):
            raise Rejected(422, "VALIDATION_ERROR", "url: must begin with http:// or https://")
        if any(each["url"] == url for each in self._endpoints.values()):
            raise Rejected(409, "CONFLICT", "there is an endpoint with this URL already")


def _secret() -> str:
    return f"whsec_{uuid.uuid4().hex}"


def _shown(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in endpoint.items() if name != "secret"}


def _delivery(event: Mapping[str, Any], endpoint: Mapping[str, Any]) -> dict[str, Any]:
    now = timestamp()
    return {
        "id": f"dlv_{uuid.uuid4().hex}",
        "state": "pending",
        "url": endpoint["url"],
        "endpointId": endpoint["id"],
        "eventId": event["id"],
        "type": event["type"],
        "splitId": event["data"]["id"],
        "attempts": 0,
        "reason": None,
        "createdAt": now,
        "nextAttemptAt": now,
        "finishedAt": None,
        "test": False,
    }
