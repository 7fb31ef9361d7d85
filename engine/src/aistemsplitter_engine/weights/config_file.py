"""Reader of the YAML beside a checkpoint, as Music-Source-Separation-Training (MSST) writes it.

PyYAML's safe loader constructs plain values only. Tuples, which MSST's files have, are read as
lists. Aliases are refused: with them, a small text can stand for billions of values.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Any

import yaml

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.messages import excerpt

LARGEST_CONFIG = 256 << 10  # bytes; MSST's files have 2 to 4 kB
_LONGEST_INTEGER = 63  # bits; no setting is larger, and Python refuses to print very long ones
_TUPLE = "tag:yaml.org,2002:python/tuple"
# Raised by PyYAML for damaged texts, and by its constructors for values that do not fit their tags.
_DAMAGE = (
    yaml.YAMLError,
    ValueError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
)


class _Loader(yaml.SafeLoader):
    """A safe loader that reads tuples as lists and refuses aliases."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Read a node; refuse an alias of another one."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias, which no config needs")
        return super().compose_node(parent, index)


def _construct_tuple(loader: _Loader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node, deep=True)


_Loader.add_constructor(_TUPLE, _construct_tuple)


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file as plain values.

    Raises:
        ModelError: The file cannot be read, or is not a config.
    """
    try:
        text = read_text(path)
    except OSError as error:
        raise ModelError(f"the config {path} cannot be read: {error.strerror or error}") from None
    try:
        return parse_config(text)
    except ModelError as error:
        raise ModelError(f"{path} cannot be used as a config: {error}") from None


def read_text(path: Path) -> bytes:
    """Return the content of a file, of at most the size of a config.

    Raises:
        ModelError: It is not a file, or larger.
        OSError: It cannot be read.
    """
    status = path.stat()
    if not S_ISREG(status.st_mode):
        raise ModelError(f"the config {path} cannot be read: it is not a file")
    if status.st_size > LARGEST_CONFIG:
        raise ModelError(f"the config {path} has {status.st_size} bytes, more than any config")
    with path.open("rb") as file:
        return file.read(LARGEST_CONFIG)


def parse_config(text: str | bytes) -> dict[str, Any]:
    """Return the content of a YAML text as plain values.

    Raises:
        ModelError: It is not a config.
    """
    if len(text) > LARGEST_CONFIG:
        raise ModelError(f"its config has {len(text)} characters, more than any config")
    try:
        content = yaml.load(text, _Loader)
    except _DAMAGE as error:
        raise ModelError(f"its YAML is damaged or not a config ({excerpt(error)})") from None
    if not isinstance(content, dict):
        raise ModelError("its YAML has no sections")
    return _plain_mapping(content)


def _plain_mapping(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    for name in mapping:
        if not isinstance(name, str):
            kind = type(name).__name__
            raise ModelError(f"its config has a name of type {kind}, not text")
    return {name: _plain(name, value) for name, value in mapping.items()}


def _plain(name: str, value: Any) -> Any:
    is_long = type(value) is int and value.bit_length() > _LONGEST_INTEGER
    if value is None or (type(value) in (str, int, float, bool) and not is_long):
        return value
    if isinstance(value, list):
        return [_plain(name, item) for item in value]
    if isinstance(value, Mapping):
        return _plain_mapping(value)
    kind = "long integer" if is_long else type(value).__name__
    raise ModelError(f"its config's {excerpt(name)} has a {kind}, not a plain value")
