"""The commands; each is a few calls of the client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Optional, cast
from urllib.parse import urlsplit

import typer

from aistemsplitter import _settings
from aistemsplitter._client import AiStemSplitter
from aistemsplitter._errors import (
    AiStemSplitterError,
    ConfigurationError,
    InputError,
    InvalidWebhook,
)
from aistemsplitter._models import Split
from aistemsplitter._types import OutputFormat, SplitStatus, StemModelName
from aistemsplitter._webhooks import WebhookEvent
from aistemsplitter.cli import exits, show
from aistemsplitter.cli.listen import Receiver

app = typer.Typer(
    help="Split songs into stems with an AI Stem Splitter service. The key comes from "
    "AISTEMSPLITTER_API_KEY, the service from AISTEMSPLITTER_BASE_URL.",
    epilog=exits.HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
webhooks = typer.Typer(help="Deliveries of the service.", no_args_is_help=True)
app.add_typer(webhooks, name="webhooks")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the stems.")]
Stems = Annotated[Optional[str], typer.Option(help="Only these, such as vocals,instrumental.")]  # noqa: UP045
SplitId = Annotated[str, typer.Argument(help="The split's id, split_...")]


def run() -> int:
    """Run the command and tell its exit code."""
    try:
        app()
    except AiStemSplitterError as error:
        show.tell(f"Error: {error}")
        return exits.code_of(error)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else exits.FAILED
    return 0


@app.command()
def split(
    songs: Annotated[list[str], typer.Argument(help="Files or URLs.")],
    out: Out = Path("stems"),
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="htdemucs_ft, htdemucs, htdemucs_6s, ..."),
    ] = None,
    stems: Stems = None,
    output_format: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--format", help="wav, flac, mp3, ..."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace stems that are there.")] = False,
    json: Json = False,
) -> None:
    """Upload songs, have them split, and write OUT/<song>/<stem>.<format>.

    A song that fails does not stop the others.
    """
    first_error = 0
    with AiStemSplitter() as client, show.bars() as new_bars:
        for song in songs:
            name = _name(song)
            bars = new_bars(name)
            try:
                _check_free(out / name, overwrite)  # before anything is paid for
                job = client.create_split(
                    input=song,
                    model=cast("StemModelName | None", model),
                    stems=_listed(stems),
                    output_format=cast("OutputFormat | None", output_format),
                    on_progress=bars.upload,
                )
                with _interruptible(
                    f"{job.id} goes on: aistemsplitter download {job.id} -o {out / name}"
                ):
                    done = client.wait_for_split(job.id, timeout=None, on_progress=bars.separation)
                    paths = client.download_split(
                        done, out / name, overwrite=overwrite, on_progress=bars.download
                    )
            except ConfigurationError:
                raise
            except AiStemSplitterError as error:
                show.tell(f"{song}: {error}")
                first_error = first_error or exits.code_of(error)
            else:
                _report(done, paths, json)
    if first_error:
        raise typer.Exit(first_error)


@app.command("list")
def list_splits(
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    status: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="queued, processing, succeeded or failed."),
    ] = None,
    json: Json = False,
) -> None:
    """List the account's splits, newest first."""
    with AiStemSplitter() as client:
        page = client.list_splits(limit=min(limit, 100), status=cast("SplitStatus | None", status))
        found = list(islice(page, limit))
    if not json:
        show.splits(found)
        return
    for one in found:
        show.as_json(one.raw)


@app.command()
def get(split_id: SplitId, json: Json = False) -> None:
    """Show how a split stands."""
    with AiStemSplitter() as client:
        found = client.get_split(split_id)
    if json:
        show.as_json(found.raw)
        return
    show.splits([found])
    if found.error is not None:
        show.say(found.error.message)
    for warning in found.warnings:
        show.say(f"Note: {warning}")
    for stem, url in found.stems.items():
        show.say(f"{stem}  {url}")


@app.command()
def download(
    split_id: SplitId,
    out: Out = Path("stems"),
    stems: Stems = None,
    overwrite: Annotated[
        bool, typer.Option(help="Replace stems that are there, which are kept otherwise.")
    ] = False,
    json: Json = False,
) -> None:
    """Write a split's stems to OUT; waits for it first where it is not done."""
    with AiStemSplitter() as client, show.bars() as new_bars, _interruptible("try again later"):
        bars = new_bars(split_id)
        done = client.wait_for_split(split_id, timeout=None, on_progress=bars.separation)
        paths = client.download_split(
            done, out, stems=_listed(stems), overwrite=overwrite, on_progress=bars.download
        )
    _report(done, paths, json)


@app.command()
def credits(json: Json = False) -> None:
    """Show the account's balance."""
    with AiStemSplitter() as client:
        found = client.get_credits()
    if json:
        show.as_json(found.raw)
    else:
        minutes, seconds = divmod(found.balance, 60)
        show.say(f"{found.balance} {found.unit} ({minutes} min {seconds} s of audio)")


@webhooks.command()
def listen(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 4242,
    json: Json = False,
) -> None:
    """Receive deliveries on this machine and verify them with AISTEMSPLITTER_WEBHOOK_SECRET.

    For development. A service elsewhere cannot reach this machine without a tunnel.
    """
    if not _settings.webhook_secrets(None):
        raise ConfigurationError("no webhook secret: set AISTEMSPLITTER_WEBHOOK_SECRET")

    def received(event: WebhookEvent) -> None:
        if json:
            show.as_json(event.raw)
        else:
            show.say(f"{event.type} {event.id}: {event.data.id} {', '.join(event.data.stems)}")

    def refused(reason: InvalidWebhook) -> None:
        show.tell(f"refused: {reason.message}")

    try:
        receiver = Receiver(host, port, received, refused)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    with receiver, _interruptible("no more deliveries are received"):
        show.tell(f"Listening on {receiver.url}; Ctrl-C ends it.")
        receiver.serve_forever(poll_interval=0.1)


def _report(done: Split, paths: dict[str, Path], json: bool) -> None:
    if json:
        files = {stem: str(path) for stem, path in paths.items()}
        show.as_json({"id": done.id, "status": done.status, "files": files})
        return
    for warning in done.warnings:
        show.tell(f"Note: {warning}")
    for path in paths.values():
        show.say(path)


def _check_free(folder: Path, overwrite: bool) -> None:
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; --overwrite replaces the stems in it")


def _name(song: str) -> str:
    """Name the folder of a song's stems: its file's name without the ending."""
    path = urlsplit(song).path if "://" in song else song
    return Path(path).stem or "song"


def _listed(stems: str | None) -> list[str] | None:
    return None if stems is None else [stem.strip() for stem in stems.split(",") if stem.strip()]


@contextmanager
def _interruptible(what_now: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        show.tell(f"Interrupted; {what_now}")
        raise typer.Exit(exits.INTERRUPTED) from None
