"""``models``: the weights installed on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from aistemsplitter_server.cli.shared import Json, print_json, print_table
from aistemsplitter_server.models.catalogue import MODELS, NAMES

app = typer.Typer(no_args_is_help=True, help="List and install models.")


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List the models, and whether their weights are installed on this machine."""
    from aistemsplitter_engine.weights.store import is_installed

    rows = [
        {
            "id": model.name,
            "aliases": [*model.aliases],
            "stems": [*model.stems],
            "installed": is_installed(model.name),
        }
        for model in MODELS
    ]
    if as_json:
        print_json(rows)
        return
    shown = [
        {
            **row,
            "id": "/".join([model.name, *model.aliases]),
            "stems": ", ".join(model.stems),
            "installed": "yes" if row["installed"] else "no",
        }
        for row, model in zip(rows, MODELS, strict=True)
    ]
    print_table({"id": "model", "stems": "stems", "installed": "installed"}, shown)


@app.command()
def install(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Names or aliases of models.")
    ],
) -> None:
    """Download and verify models. Interrupted downloads are resumed."""
    for name in names:
        if name not in NAMES:
            raise typer.BadParameter(f"there is no model {name}; there are {', '.join(NAMES)}")
    from aistemsplitter_engine.cli.models import install_models

    install_models(names)
    typer.echo("A worker on this machine uses them within a minute.")
