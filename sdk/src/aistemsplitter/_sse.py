"""Server-sent events from bytes as they come, by the WHATWG's rules for text/event-stream."""

from __future__ import annotations

from dataclasses import dataclass

from aistemsplitter._errors import UnexpectedResponse

LARGEST_EVENT = 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``id`` is the last one said, empty if none was."""

    name: str
    data: str
    id: str = ""


class EventParser:
    """Takes pieces of a stream, cut anywhere; gives the events that they complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._name = ""
        self._data: list[str] = []
        self._size = 0
        self.last_id = ""

    def feed(self, piece: bytes) -> list[Event]:
        """The events that end in this piece.

        Raises:
            UnexpectedResponse: an event does not end.
        """
        text = self._rest + piece
        if not self._begun and len(text) >= 3:
            text, self._begun = text.removeprefix(b"\xef\xbb\xbf"), True
        # A CR at the end may be half a CRLF: it waits for what follows.
        held = b"\r" if text.endswith(b"\r") else b""
        lines = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *whole, rest = lines.split(b"\n")
        self._rest = rest + held
        found = [self._line(line.decode("utf-8", "replace")) for line in whole]
        if len(self._rest) + self._size > LARGEST_EVENT:
            raise UnexpectedResponse("an event of the progress stream does not end")
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
