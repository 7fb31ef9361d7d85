"""Parser of server-sent events, as defined by the WHATWG for ``text/event-stream``."""

from __future__ import annotations

from dataclasses import dataclass

from aistemsplitter._errors import UnexpectedResponse

LARGEST_EVENT = 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``id`` is the last id of the stream, empty if it has sent none."""

    name: str
    data: str
    id: str = ""


class EventParser:
    """Incremental parser: receives pieces of a stream and returns the events they complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._name = ""
        self._data: list[str] = []
        self._size = 0
        self.last_id = ""

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that end in this piece.

        Raises:
            UnexpectedResponse: An event is longer than 1 MiB.
        """
        text = self._rest + piece
        if not self._begun and len(text) >= 3:
            text, self._begun = text.removeprefix(b"\xef\xbb\xbf"), True
        # A CR at the end may be the first half of a CRLF: keep it for the next piece.
        held = b"\r" if text.endswith(b"\r") else b""
        lines = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *whole, rest = lines.split(b"\n")
        self._rest = rest + held
        found = [self._line(line.decode("utf-8", "replace")) for line in whole]
        if len(self._rest) + self._size > LARGEST_EVENT:
            raise UnexpectedResponse("an event of the progress stream is too long")
        return [event for event in found if event]

    def _line(self, line: str) -> Event | None:
        if not line:
            event = Event(self._name or "message", "\n".join(self._data), self.last_id)
            complete, self._name, self._data, self._size = bool(self._data), "", [], 0
            return event if complete else None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._size += len(value)
        elif field == "event":
            self._name = value
        elif field == "id" and "\0" not in value:
            self.last_id = value
        return None
