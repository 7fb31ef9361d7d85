"""Write the reference of the three commands from their ``--help`` texts.

python examples/tests/cli_reference.py > docs/reference/cli.md
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer.main

from aistemsplitter.cli import commands as sdk
from aistemsplitter_engine.cli import app as engine
from aistemsplitter_server.cli import commands as server

# Commands of click and typer have the same attributes but no common class.
Command = Any

INTRODUCTION = """\
# Command line

Three commands, one of each package: `aistemsplitter` splits songs with a service,
`aistemsplitter-local` on this machine, and `aistemsplitter-server` runs the service. Each shows
its part of this page with `--help`.
"""
TITLES = {
    "aistemsplitter": "Comes with the extra `cli` of the SDK: `pip install 'aistemsplitter[cli]'`.",
    "aistemsplitter-local": "Comes with the engine.",
    "aistemsplitter-server": "Comes with the server.",
}
WORDS = {int: "NUMBER", float: "NUMBER", Path: "PATH"}


def reference() -> str:
    """Return the page."""
    found = {
        "aistemsplitter": typer.main.get_command(sdk.app),
        "aistemsplitter-local": engine.app,
        "aistemsplitter-server": typer.main.get_command(server.app),
    }
    parts = [INTRODUCTION]
    for name, command in found.items():
        parts.append(f"## {name}\n\n{TITLES[name]}\n")
        parts += _described(name, command, depth=3)
    return "\n".join(parts)


def _described(path: str, command: Command, depth: int) -> Iterator[str]:
    """Yield the Markdown of a command and of those below it."""
    yield from _text(command)
    yield from _tables(command)
    for name, below in getattr(command, "commands", {}).items():
        if below.hidden:
            continue
        yield f"{'#' * depth} {path} {name}\n"
        if not getattr(below, "commands", None):
            usage = " ".join((path, name, *map(_argument, _arguments(below))))
            yield f"`{usage}`\n"
        yield from _described(f"{path} {name}", below, min(depth + 1, 5))


def _text(command: Command) -> Iterator[str]:
    for text in (command.help, command.epilog):
        if text:
            yield f"{_line_breaks(inspect.cleandoc(text).partition(chr(12))[0])}\n"


def _line_breaks(text: str) -> str:
    """Join the lines of each paragraph."""
    return "\n\n".join(
        _escaped(" ".join(part.split())) for part in text.split("\n\n") if part.strip()
    )


def _tables(command: Command) -> Iterator[str]:
    rows = [(f"`{_argument(each)}`", _help(each)) for each in _arguments(command)]
    for each in command.params:
        if each.param_type_name == "option" and not getattr(each, "hidden", False):
            rows.append((_option(each).replace("|", r"\|"), _help(each)))
    rows = [row for row in rows if row[1]]
    if rows:
        table = ["| | |", "| --- | --- |", *(f"| {names} | {text} |" for names, text in rows)]
        yield "\n".join(table) + "\n"


def _arguments(command: Command) -> list[Any]:
    return [each for each in command.params if each.param_type_name == "argument"]


def _argument(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).removesuffix("...")
    shown = name if name.startswith("[") or argument.required else f"[{name}]"
    return shown if argument.nargs == 1 else f"{shown}..."


def _option(option: Any) -> str:
    names = [*option.opts, *option.secondary_opts]
    value = "" if option.is_flag or option.is_bool_flag or option.count else f" {_value(option)}"
    return ", ".join(f"`{name}{value if name is names[-1] else ''}`" for name in names)


def _value(option: Any) -> str:
    if option.metavar:
        return str(option.metavar)
    if not hasattr(option, "type"):  # typer's
        kind = option.type_descriptor.annotation
        if isinstance(kind, type) and issubclass(kind, Enum):
            return "|".join(str(each.value) for each in kind)
        return WORDS.get(kind, "TEXT")
    choices = getattr(option.type, "choices", None)
    if choices:
        return "|".join(str(each) for each in choices)
    return str(option.type.name).upper().replace(" RANGE", "")


def _help(parameter: Any) -> str:
    text = _escaped(" ".join((getattr(parameter, "help", None) or "").split()))
    default = parameter.default
    if isinstance(default, Enum):
        default = default.value
    shown = str(default) if isinstance(default, (str, int, float, Path)) else ""
    if not text or not shown or isinstance(default, bool):
        return text
    return f"{text.rstrip('.')}. Default: `{shown}`."


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", r"\|")


if __name__ == "__main__":
    print(reference(), end="")
