"""The commands of ``aistemsplitter``, each a few calls of the client."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from aistemsplitter._errors import AiStemSplitterError
from aistemsplitter._types import SplitStatus, StemModelName
from aistemsplitter._version import __version__
from aistemsplitter.cli import exits, show, webhooks
from aistemsplitter.cli.folders import Folders
from aistemsplitter.cli.mcp import mcp
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
    pairs,
)
from aistemsplitter.cli.splitting import Options, split_songs
from aistemsplitter.cli.stem_options import (
    BitDepth,
    Bitrate,
    Clip,
    Normalize,
    Overlap,
    Precision,
    PreviewSeconds,
    SampleRate,
    Seed,
    Shifts,
)
from aistemsplitter.cli.uploading import upload_song


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        with show.interruptible():
            return super().invoke(ctx)


app = typer.Typer(
    name="aistemsplitter",
    cls=_Commands,
    help="Split songs into stems with an AI Stem Splitter service. The API key is read from "
    "AISTEMSPLITTER_API_KEY, and the base URL of the service from AISTEMSPLITTER_BASE_URL.",
    epilog=exits.HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(webhooks.app, name="webhooks")
app.command()(mcp)


def run() -> int:
    """Run the command and return its exit code."""
    try:
        app()
    except AiStemSplitterError as error:
        show.message(f"Error: {exits.with_option_names(error)}")
        return exits.code_of(error)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else exits.FAILED
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        show.line(f"aistemsplitter {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version."),
    ] = False,
) -> None:
    """Define the options of the command itself. Its help text is that of ``app``."""


@app.command()
def split(
    songs: Annotated[list[str], typer.Argument(help="Audio files or URLs.")],
    out: Out = Path("stems"),
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Model: htdemucs_ft, htdemucs, htdemucs_6s or another one listed by 'models'.",
        ),
    ] = None,
    stems: Stems = None,
    output_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="File format of the stems: wav, flac, mp3, opus, m4a, aiff or alac.",
        ),
    ] = None,
    bit_depth: BitDepth = None,
    sample_rate: SampleRate = None,
    bitrate: Bitrate = None,
    clip: Clip = None,
    normalize: Normalize = None,
    precision: Precision = None,
    shifts: Shifts = None,
    seed: Seed = None,
    overlap: Overlap = None,
    preview_seconds: PreviewSeconds = None,
    webhook_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="URL that receives a signed event when a split is done."),
    ] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Submit the songs and print the split ids only.")
    ] = False,
    concurrency: Annotated[
        int, typer.Option(min=1, metavar="N", help="Maximum number of songs in progress at once.")
    ] = 4,
    overwrite: Overwrite = False,
    json: Json = False,
    key: Key = None,
    base_url: BaseUrl = None,
) -> None:
    """Upload and split songs, and write the stems to OUT/<song>/<stem>.<format>.

    A song that fails does not stop the others. Songs with the same name get separate folders.
    """
    options = Options(
        out=out,
        model=model,
        stems=listed(stems),
        output_format=output_format,
        webhook_url=webhook_url,
        stem_options={
            "bit_depth": bit_depth,
            "sample_rate": sample_rate,
            "bitrate": bitrate,
            "clip": clip,
            "normalize": normalize,
            "precision": precision,
            "shifts": shifts,
            "seed": seed,
            "overlap": overlap,
            "preview_seconds": preview_seconds,
        },
        wait=not no_wait,
        overwrite=overwrite,
        concurrency=concurrency,
        json=json,
    )
    if code := split_songs(songs, options, key, base_url):
        raise typer.Exit(code)


@app.command("list")
def list_splits(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Maximum number of splits.")] = 20,
    status: Annotated[
        str | None,
        typer.Option(help="Only splits in this status: queued, processing, succeeded or failed."),
    ] = None,
    after: Annotated[
        datetime | None, typer.Option(help="Only splits since this time, in your time zone.")
    ] = None,
    before: Annotated[
        datetime | None, typer.Option(help="Only splits before this time, in your time zone.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only splits that requested this model.")
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Only splits with this metadata; can be repeated."),
    ] = None,
    json: Json = False,
    key: Key = None,
    base_url: BaseUrl = None,
) -> None:
    """List the account's splits, newest first."""
    with connect(key, base_url) as client:
        page = client.list_splits(
            limit=min(limit, 100),
            status=cast("SplitStatus | None", status),
            created_after=after and after.astimezone(),
            created_before=before and before.astimezone(),
            model=cast("StemModelName | None", model),
            metadata=pairs(metadata or []),
        )
        found = list(islice(page, limit))
    if not json:
        show.splits(found)
        return
    for each in found:
        show.as_json(each.raw)


@app.command()
def get(split_id: SplitId, json: Json = False, key: Key = None, base_url: BaseUrl = None) -> None:
    """Show the state of a split and the URLs of its stems."""
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
    """Download a split's stems to OUT/<song>/, after waiting until it is done.

    If the command is run again, it keeps complete files and downloads the rest.
    """
    folders = Folders(out, overwrite=overwrite)
    way_out = "run the same command again to continue"
    notes = show.Notes()
    with show.interruptible(way_out), connect(key, base_url) as client, show.bars() as new_bars:
        bars = new_bars(split_id)
        done = client.wait_for_split(split_id, timeout=None, on_progress=bars.separation)
        folder = folders.for_split(done.id, done.filename)
        folders.record(folder, done.id)
        paths = client.download_split(
            done, folder, stems=listed(stems), overwrite=overwrite, on_progress=bars.download
        )
        notes.add(client, done.filename or split_id, done)
    show.stems(done, paths, json)
    notes.print()


@app.command()
def cancel(
    split_id: SplitId, json: Json = False, key: Key = None, base_url: BaseUrl = None
) -> None:
    """Cancel a split that is queued or processing and refund its credits."""
    with connect(key, base_url) as client:
        show.split(client.cancel_split(split_id), json)


@app.command()
def delete(
    split_id: SplitId, json: Json = False, key: Key = None, base_url: BaseUrl = None
) -> None:
    """Delete a split and its audio from the service."""
    with connect(key, base_url) as client:
        deleted = client.delete_split(split_id)
    if json:
        show.as_json({"id": deleted.id, "deleted": deleted.deleted})
    else:
        show.line(f"{deleted.id} deleted")


@app.command()
def upload(
    song: Annotated[Path, typer.Argument(help="Audio file.")],
    json: Json = False,
    key: Key = None,
    base_url: BaseUrl = None,
) -> None:
    """Upload a file without splitting it, and print a URL that 'split' accepts."""
    way_out = "the upload is not complete. Run the same command again"
    with show.interruptible(way_out), connect(key, base_url) as client, show.bars() as new_bars:
        uploaded = client._run(upload_song(client, str(song), new_bars(song.name)))
    if json:
        show.as_json({"uploadId": uploaded.upload_id, "audioUrl": uploaded.audio_url})
    else:
        show.line(uploaded.audio_url or uploaded.upload_id)


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
    """Show the account's balance in seconds of audio."""
    with connect(key, base_url) as client:
        found = client.get_credits()
    if json:
        show.as_json(found.raw)
    else:
        minutes, seconds = divmod(found.balance, 60)
        show.line(f"{found.balance} {found.unit} ({minutes} min {seconds} s of audio)")


@app.command()
def usage(
    start: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day (UTC).")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day; by default today.")
    ] = None,
    json: Json = False,
    key: Key = None,
    base_url: BaseUrl = None,
) -> None:
    """Show the seconds that were charged on each day, by default of the last 30 days."""
    with connect(key, base_url) as client:
        found = client.get_usage(start=start and start.date(), end=end and end.date())
    if json:
        show.as_json(found.raw)
    else:
        show.usage(found)
