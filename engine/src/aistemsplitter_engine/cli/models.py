"""``aistemsplitter-local models``: listing, installing, registering and checking models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from aistemsplitter_engine.cli.check import check
from aistemsplitter_engine.errors import EngineError

if TYPE_CHECKING:
    from rich.console import Console

    from aistemsplitter_engine.weights.catalogue import ModelSpec, WeightFile


# Not checked by click: the engine's messages name the way out.
_PATH = click.Path(path_type=Path, readable=False)


@click.group("models", invoke_without_command=True)
@click.pass_context
def group(context: click.Context) -> None:
    """List, install, register and check models."""
    if context.invoked_subcommand is None:
        context.invoke(list_command)


group.add_command(check)


@group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(as_json: bool) -> None:
    """List models with their sizes, licences and folders."""
    from aistemsplitter_engine.weights.listing import list_models

    try:
        models = list_models()
    except EngineError as error:
        _fail(str(error), 1)
    if as_json:
        import json

        listing = [
            {
                "name": model.name,
                "aliases": model.aliases,
                "stems": model.stems,
                "size": model.size,
                "licence": model.licence,
                "description": model.description,
                "origin": model.origin,
                "installed": model.installed,
                "files": [str(path) for path in model.files],
            }
            for model in models
        ]
        click.echo(json.dumps(listing, indent=2))
        return

    from rich.table import Table
    from rich.text import Text

    console = _console()
    table = Table("model", "stems", "size", "licence", "installed", box=None, pad_edge=False)
    notes = {licence: n for n, licence in enumerate({m.licence: 0 for m in models}, 1)}
    for model in models:
        where = sorted({str(path.parent) for path in model.files})
        table.add_row(
            Text(" / ".join([model.name, *model.aliases])),
            Text(", ".join(model.stems)),
            Text(_megabytes(model.size)),
            Text(f"note {notes[model.licence]}"),
            Text(", ".join(where) or "no"),
        )
    console.print(table)
    console.print()
    for model in models:
        console.print(Text(f"{model.name}: {model.description} {model.origin}".rstrip()))
    console.print()
    for licence, number in notes.items():
        console.print(Text(f"Licence, note {number}: {licence}."))


@group.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def install(names: tuple[str, ...]) -> None:
    """Download and verify models. Interrupted downloads are resumed."""
    install_models(names)


@group.command()
@click.argument("name")
@click.option("--file", metavar="PATH", type=_PATH, help="The checkpoint.")
@click.option("--config", metavar="YAML", type=_PATH, help="YAML file of a RoFormer.")
@click.option(
    "--stems",
    "--stem",
    metavar="STEM,...",
    help="Names of the stems, in the order of the network's outputs; by default those in the file. "
    "Of an ensemble, the stems to average.",
)
@click.option(
    "--ensemble",
    metavar="NAME:WEIGHT,...",
    help="Instead of --file: models whose estimates of the stems are averaged with these weights.",
)
@click.option("--licence", metavar="TEXT", help="Licence of the weights, for the list.")
@click.option("--description", metavar="TEXT", help="One sentence for the list.")
def add(
    name: str,
    file: Path | None,
    config: Path | None,
    stems: str | None,
    ensemble: str | None,
    licence: str | None,
    description: str | None,
) -> None:
    """Register a checkpoint or an ensemble under a name.

    A checkpoint is read and verified, and stays where it is: split --model NAME uses it. The
    entry is written to models.yaml in the models folder, which you may edit.
    """
    from aistemsplitter_engine.pipeline.registration import add_ensemble, add_model
    from aistemsplitter_engine.weights.registry import registry_path

    names = None if stems is None else [stem.strip() for stem in stems.split(",")]
    try:
        if file is not None and ensemble is None:
            model = add_model(
                name, file, config=config, stems=names, licence=licence, description=description
            )
        elif ensemble is None or file or config or licence:
            raise click.UsageError("Give either --file, with its options, or --ensemble.")
        else:
            model = add_ensemble(name, _weights(ensemble), names or [], description=description)
    except EngineError as error:
        _fail(str(error), 1)
    click.echo(f"{model.name}: {', '.join(model.stems)}; registered in {registry_path()}")


@group.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a model that add has registered.

    Its checkpoint stays where it is.
    """
    from aistemsplitter_engine.weights.registry import registry_path, remove_model

    try:
        remove_model(name)
    except EngineError as error:
        _fail(str(error), 1)
    click.echo(f"{name}: removed from {registry_path()}")


def install_models(names: Sequence[str]) -> None:
    """Install models by name or alias and print the progress; exit if that fails."""
    try:
        for model in [model for name in names for model in parts_of(name)]:
            if isinstance(model, str):
                click.echo(f"{model} is a model of your own: nothing to install")
            else:
                install_model(model)
    except EngineError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again to continue", 130)


def parts_of(name: str) -> list[ModelSpec | str]:
    """Return a model of the catalogue, or those of a combination; models of the user by name.

    Raises:
        ModelError: There is no such model.
    """
    from aistemsplitter_engine.weights.catalogue import ModelSpec
    from aistemsplitter_engine.weights.combinations import Combination
    from aistemsplitter_engine.weights.registry import find_model

    model = find_model(name)
    if isinstance(model, Combination):
        return [part for member in model.models for part in parts_of(member)]
    return [model if isinstance(model, ModelSpec) else model.name]


def install_model(spec: ModelSpec, *, to_stderr: bool = False) -> None:
    """Install a model; print its licence before, and the progress if there is a terminal.

    Raises:
        DownloadError: A file cannot be downloaded or stored.
    """
    echo = partial(click.echo, err=to_stderr)
    if not spec.files:
        echo(f"{spec.name} ships with this package: nothing to install")
        return
    echo(f"{spec.name}: {', '.join(spec.sources)}; {_megabytes(spec.size)}")
    echo(f"Licence: {spec.licence}.")
    console = _console(to_stderr)
    for number, file in enumerate(spec.files, 1):
        path = _install_file(file, spec, console)
        echo(f"{number}/{len(spec.files)} {file.stem or spec.name}: {path}")


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


def _weights(text: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for member in text.split(","):
        name, colon, weight = member.strip().partition(":")
        if name in weights:
            raise click.BadParameter(f"{name} is named twice.")
        try:
            weights[name] = float(weight) if colon else 1.0
        except ValueError:
            message = f"{member.strip()!r} is not NAME:WEIGHT, such as kim_vocals:0.6."
            raise click.BadParameter(message) from None
    return weights


def _console(to_stderr: bool = False) -> Console:
    from rich.console import Console

    console = Console(highlight=False, stderr=to_stderr)
    if not console.is_terminal:
        console.width = 400  # no line breaks in a file or a pipe
    return console


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e7 else f"{size / 1e6:.0f} MB"


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    raise SystemExit(code)
