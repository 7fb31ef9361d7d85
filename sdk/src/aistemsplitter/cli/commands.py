"""The commands; each is a few calls of the client."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, cast

import typer

from aistemsplitter._errors import AiStemSplitterError
from aistemsplitter._operations import create_upload
from aistemsplitter._types import SplitStatus
from aistemsplitter._upload import upload as upload_file
from aistemsplitter._version import __version__
from aistemsplitter.cli import exits, show, webhooks
from aistemsplitter.cli.folders import Folders
from aistemsplitter.cli.options import (
    BaseUrl,
    Json,
    Key,
    Out,
    Overwrite,
    SplitId,
    Stems,
    connect,
    listed,
)
from aistemsplitter.cli.splitting import Options, split_songs

app = typer.Typer(
    name="aistemsplitter",
    help="Split songs into stems with an AI Stem Splitter service. The key is read from "
    "AISTEMSPLITTER_API_KEY, the base URL of the service from AISTEMSPLITTER_BASE_URL.",
    epilog=exits.HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(webhooks.app, name="webhooks")


def run() -> int:
    """Run the command and return its exit code."""
    try:
        app()
    except AiStemSplitterError as error:
        show.tell(f"Error: {exits.explained(error)}")
        return exits.code_of(error)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else exits.FAILED
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        show.say(f"aistemsplitter {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version."),
    ] = False,
) -> None:
    """Options of the command itself; the help text is that of ``app``."""


@app.command()
def split(
    songs: Annotated[list[str], typer.Argument(help="Files or URLs.")],
    out: Out = Path("stems"),
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="htdemucs_ft, htdemucs, htdemucs_6s, ... See 'models'."),
    ] = None,
    stems: Stems = None,
    output_format: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="wav, flac, mp3, ...")
    ] = None,
    webhook_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Receives a signed event when each split has ended."),
    ] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Only submit and print the ids of the splits.")
    ] = False,
    concurrency: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of songs in progress at a time.")
    ] = 4,
    overwrite: Overwrite = False,
    json: Json = False,
    key: Key = None,
    base_url: BaseUrl = None,
) -> None:
    """Upload songs, have them split, and write the stems to OUT/<song>/<stem>.<format>.

    A song that fails does not stop the others. Songs of the same name get folders of their own.
    """
    options = Options(
        out=out,
        model=model,
        stems=listed(stems),
        output_format=output_format,
        webhook_url=webhook_url,
        wait=not no_wait,
        overwrite=overwrite,
        concurrency=concurrency,
        json=json,
    )
    with show.interruptible():
        code = split_songs(songs, options, key, base_url)
    if code:
        raise typer.Exit(code)


@app.command("list")
def list_splits(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Number of splits.")] = 20,
    status: Annotated[
        str | None,
        typer.Option(help="Only splits that are queued, processing, succeeded or failed."),
    ] = None,
    json: Json = False,
    key: Key = None,
    base_url: BaseUrl = None,
) -> None:
    """List the account's splits, newest first."""
    with connect(key, base_url) as client:
        page = client.list_splits(limit=min(limit, 100), status=cast("SplitStatus | None", status))
        found = list(islice(page, limit))
    if not json:
        show.splits(found)
        return
    for one in found:
        show.as_json(one.raw)


@app.command()
def get(split_id: SplitId, json: Json = False, key: Key = None, base_url: BaseUrl = None) -> None:
    """Show a split."""
    with connect(key, base_url) as client:
        show.split(client.get_split(split_id), json)


@app.command()
def download(
    split_id: SplitId,
    out: Out = Path("stems"),
    stems: Stems = None,
    overwrite: Overwrite = False,
    json: Json = False,
    key: Key = None,
    base_url: BaseUrl = None,
) -> None:
    """Write a split's stems to OUT/<song>/; waits for a split that is in progress.

    Run again, it keeps what is complete and fetches the rest.
    """
    folders = Folders(out, overwrite=overwrite)
    again = "run the same command again to continue"
    with connect(key, base_url) as client, show.bars() as new_bars, show.interruptible(again):
        bars = new_bars(split_id)
        done = client.wait_for_split(split_id, timeout=None, on_progress=bars.separation)
        folder = folders.for_split(done.id, done.filename)
        folders.record(folder, done.id)
        paths = client.download_split(
            done, folder, stems=listed(stems), overwrite=overwrite, on_progress=bars.download
        )
    show.stems(done, paths, json)


@app.command()
def cancel(
    split_id: SplitId, json: Json = False, key: Key = None, base_url: BaseUrl = None
) -> None:
    """Cancel a split that is queued or processing; its credits are refunded."""
    with connect(key, base_url) as client:
        show.split(client.cancel_split(split_id), json)


@app.command()
def delete(
    split_id: SplitId, json: Json = False, key: Key = None, base_url: BaseUrl = None
) -> None:
    """Delete a split and its audio on the service."""
    with connect(key, base_url) as client:
        deleted = client.delete_split(split_id)
    if json:
        show.as_json({"id": deleted.id, "deleted": deleted.deleted})
    else:
        show.say(f"{deleted.id} deleted")


@app.command()
def upload(
    song: Annotated[Path, typer.Argument(help="An audio file.")],
    json: Json = False,
    key: Key = None,
    base_url: BaseUrl = None,
) -> None:
    """Upload a file without splitting it, and print its URL, which 'split' accepts."""
    with connect(key, base_url) as client, show.bars() as new_bars, show.interruptible():
        uploaded = client._run(
            upload_file(
                client._session,
                create_upload,
                song,
                filename=None,
                key=None,
                on_progress=new_bars(song.name).upload,
            )
        )
    if json:
        show.as_json({"uploadId": uploaded.upload_id, "audioUrl": uploaded.audio_url})
    else:
        show.say(uploaded.audio_url or uploaded.upload_id)


@app.command()
def models(json: Json = False, key: Key = None, base_url: BaseUrl = None) -> None:
    """List the models of the service and their stems."""
    with connect(key, base_url) as client:
        found = client.list_models()
    if not json:
        show.models(found)
        return
    for model in found:
        show.as_json(model.raw)


@app.command()
def credits(json: Json = False, key: Key = None, base_url: BaseUrl = None) -> None:
    """Show the account's balance."""
    with connect(key, base_url) as client:
        found = client.get_credits()
    if json:
        show.as_json(found.raw)
    else:
        minutes, seconds = divmod(found.balance, 60)
        show.say(f"{found.balance} {found.unit} ({minutes} min {seconds} s of audio)")
