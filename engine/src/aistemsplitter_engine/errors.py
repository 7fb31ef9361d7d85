"""The engine's errors.

EngineError                 base: its text is one line, written for the person who made the call
├── AudioError              an input cannot be read
├── OutputError             stems cannot be written: no room, no permission, no such disk
├── ModelError              a model is unknown, damaged or not what it says
│   ├── ModelNotInstalled   its weights are not on this machine; the text says how to get them
│   └── DownloadError       its weights could not be fetched or failed their checksum
├── DeviceError             the device that computes has not enough memory
├── OptionError             an option's value is wrong or does not go with another
├── SeparatorClosed         a separator is used after it was closed
└── Cancelled               the caller asked to stop
"""


class EngineError(Exception):
    """Base of all errors that the engine raises on purpose; ``str(error)`` is one line."""


class AudioError(EngineError):
    """An input cannot be read."""


class OutputError(EngineError):
    """Stems cannot be written, which is not the song's fault."""


class ModelError(EngineError):
    """A model is unknown, damaged or not what it says."""


class ModelNotInstalled(ModelError):
    """The model's weights are not on this machine."""


class DownloadError(ModelError):
    """Weights could not be fetched, or were not the right ones."""


class DeviceError(EngineError):
    """The device that computes has not enough memory."""


class OptionError(EngineError):
    """An option's value is wrong, or does not go with another."""


class SeparatorClosed(EngineError):
    """A separator was used after it was closed."""


class Cancelled(EngineError):
    """The caller asked to stop."""
