"""Errors as one line and an exit code that scripts can use."""

from __future__ import annotations

import re

from aistemsplitter._errors import (
    AiStemSplitterError,
    ConfigurationError,
    ConnectionFailed,
    DeadlineExceeded,
    FileError,
    Forbidden,
    InputError,
    InsufficientCredits,
    NotFound,
    Unauthorized,
    ValidationFailed,
)

FAILED = 1
INTERRUPTED = 130

_CODES: tuple[tuple[type[AiStemSplitterError], int], ...] = (
    (ConfigurationError, 2),
    (InputError, 2),
    (ValidationFailed, 2),
    (FileError, 2),
    (Unauthorized, 3),
    (Forbidden, 3),
    (InsufficientCredits, 4),
    (NotFound, 5),
    (ConnectionFailed, 6),
    (DeadlineExceeded, 6),
)

# Names of the API and of the SDK's parameters, and the options that stand for them.
_OPTIONS = {
    "stemModel": "--model",
    "outputFormat": "--format",
    "webhookUrl": "--webhook-url",
    "overwrite=True": "--overwrite",
    "api_key=": "--key",
    "base_url=": "--base-url",
    "stems=": "--stems",
}
_NAMES = re.compile("|".join(rf"(?<![\w.]){re.escape(name)}(?!\w)" for name in _OPTIONS))

HELP = (
    "Exit codes: 0 done; 1 the split or the transfer failed; 2 a wrong option, setting or file; "
    "3 the key was refused; 4 not enough credits; 5 no such split; 6 the service cannot be "
    "reached or took too long; 130 interrupted."
)


def code_of(error: AiStemSplitterError) -> int:
    """Return the exit code for an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)


def explained(error: AiStemSplitterError) -> str:
    """Return an error's text with the names of this command's options."""
    return _NAMES.sub(lambda found: _OPTIONS[found[0]], str(error))


def one_line(text: object) -> str:
    """Return a text as one line, without characters that would control a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
