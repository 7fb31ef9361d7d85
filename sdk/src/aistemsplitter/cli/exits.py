"""Exit codes of the command, and the text of its error messages."""

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

# Field names of the API and parameters of the SDK, with the corresponding options.
_OPTIONS = {
    "stemModel": "--model",
    "outputFormat": "--format",
    "webhookUrl": "--webhook-url",
    "options.bitDepth": "--bit-depth",
    "options.sampleRate": "--sample-rate",
    "options.previewSeconds": "--preview-seconds",
    **{
        f"options.{name}": f"--{name}"
        for name in ("bitrate", "clip", "normalize", "precision", "shifts", "seed", "overlap")
    },
    "overwrite=True": "--overwrite",
    "api_key=": "--key",
    "base_url=": "--base-url",
    "stems=": "--stems",
}
_NAMES = re.compile("|".join(rf"(?<![\w.]){re.escape(name)}(?!\w)" for name in _OPTIONS))

HELP = (
    "Exit codes: 0 success; 1 a split or a transfer failed; 2 an option, setting or file is "
    "invalid; 3 the API key was rejected; 4 not enough credits; 5 no such split; 6 the service "
    "cannot be reached or did not answer in time; 130 interrupted."
)


def code_of(error: AiStemSplitterError) -> int:
    """Return the exit code for an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)


def with_option_names(error: AiStemSplitterError) -> str:
    """Return an error's text with this command's options in place of API and SDK names."""
    return _NAMES.sub(lambda found: _OPTIONS[found[0]], str(error))


def one_line(text: object) -> str:
    """Return a text as one line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
