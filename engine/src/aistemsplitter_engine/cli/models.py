"""``aistemsplitter-local models``: listing and installing models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from aistemsplitter_engine.errors import EngineError, ModelNotInstalled

if TYPE_CHECKING:
    from rich.console import Console

    from aistemsplitter_engine.weights.catalogue import ModelSpec, WeightFile


@click.group("models", invoke_without_command=True)
@click.pass_context
def group(context: click.Context) -> None:
    """List and install models."""
    if context.invoked_subcommand is None:
        context.invoke(list_models)


@group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
def list_models(as_json: bool) -> None:
    """List models with size and licence, and which are installed."""
    from aistemsplitter_engine.weights.catalogue import ALIASES, MODELS

    aliases = {model: [a for a, m in ALIASES.items() if m == model] for model in MODELS}
    paths = {name: _paths(name) for name in MODELS}
    if as_json:
        import json

        listing = [
            {
                "name": model.name,
                "aliases": aliases[model.name],
                "stems": list(model.sources),
                "size": model.size,
                "licence": model.licence,
                "description": model.description,
                "installed": bool(paths[model.name]),
                "files": [str(path) for path in paths[model.name]],
            }
            for model in MODELS.values()
        ]
        click.echo(json.dumps(listing, indent=2))
        return

    from rich.table import Table
    from rich.text import Text

    console = _console()
    table = Table("model", "stems", "size", "licence", "installed", box=None, pad_edge=False)
    notes = {licence: n for n, licence in enumerate({m.licence: 0 for m in MODELS.values()}, 1)}
    for model in MODELS.values():
        where = sorted({str(path.parent) for path in paths[model.name]})
        table.add_row(
            Text(" / ".join([model.name, *aliases[model.name]])),
            Text(", ".join(model.sources)),
            Text(_megabytes(model.size)),
            Text(f"note {notes[model.licence]}"),
            Text(", ".join(where) or "no"),
        )
    console.print(table)
    console.print()
    for model in MODELS.values():
        console.print(Text(f"{model.name}: {model.description}"))
    console.print()
    for licence, number in notes.items():
        console.print(Text(f"Licence, note {number}: {licence}."))


@group.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def install(names: tuple[str, ...]) -> None:
    """Download and verify models; resumes interrupted downloads."""
    install_models(names)


def install_models(names: Sequence[str]) -> None:
    """Install models by name or alias and print the progress; exit if that fails."""
    from aistemsplitter_engine.weights.catalogue import MODELS, resolve_name

    try:
        specs = [MODELS[resolve_name(name)] for name in names]
        for spec in specs:
            _install(spec)
    except EngineError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again to continue", 130)


def _install(spec: ModelSpec) -> None:
    if not spec.files:
        click.echo(f"{spec.name} ships with this package: nothing to install")
        return
    click.echo(f"{spec.name}: {', '.join(spec.sources)}; {_megabytes(spec.size)}")
    click.echo(f"Licence: {spec.licence}.")
    console = _console()
    for number, file in enumerate(spec.files, 1):
        path = _install_file(file, spec, console)
        click.echo(f"{number}/{len(spec.files)} {file.stem or spec.name}: {path}")


def _install_file(file: WeightFile, spec: ModelSpec, console: Console) -> Path:
    from aistemsplitter_engine.weights.download import install_file

    if not console.is_terminal:
        return install_file(file, spec)

    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as SpeedColumn

    columns = (BarColumn(), DownloadColumn(), SpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(file.name, total=file.size)

        def on_bytes(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total or file.size)

        return install_file(file, spec, on_bytes=on_bytes)


def _paths(name: str) -> tuple[Path, ...]:
    from aistemsplitter_engine.weights.store import find_files

    try:
        return find_files(name)
    except ModelNotInstalled:
        return ()


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 400  # no line breaks in a file or a pipe
    return console


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e7 else f"{size / 1e6:.0f} MB"


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    raise SystemExit(code)
