"""Randomised splits through a faulty proxy; each ends with the right stems or one typed error.

Stems are right if they equal, byte for byte, those of the same song without faults. A tenth of the
splits is created by forked processes that share one client. A failed download is repeated at the
end, without faults, and must then be right and leave no partial file.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
import wave
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from aistemsplitter import AiStemSplitter, AiStemSplitterError, AsyncAiStemSplitter, Timeouts
from misbehaving import Proxy
from real_service import RealService, real_service

SONGS = 5
AT_ONCE = 12
STEMS = (["vocals"], ["drums", "bass"])
PATIENCE = Timeouts(total=60, connect=2, read=6, write=3)
FRESH = 0.2  # share of the splits that upload their song; measuring one takes the service a second
FORKED = 2  # processes

Stems = dict[str, bytes]
Plan = tuple[int, "Song", list[str], bool]


@dataclass(frozen=True, slots=True)
class Song:
    """A song, the URL of its upload, and its expected stems."""

    path: Path
    audio_url: str
    truth: dict[str, Stems]


@dataclass
class Outcome:
    """Results of the splits; ``wrong`` and ``twice`` must stay empty.

    Attributes:
        unfinished: Splits whose download failed: number, id and song.
    """

    right: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    temporary: list[str] = field(default_factory=list)
    unfinished: list[tuple[str, str, Stems]] = field(default_factory=list)
    made: int = 0
    requests: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def run(folder: Path, *, splits: int, seed: int, share: float = 0.2) -> Outcome:
    """Run that many splits, half of them with each client."""
    (folder / "service").mkdir()
    with (
        Proxy(seed) as proxy,
        real_service(folder / "service", public_url=proxy.url) as service,
    ):
        proxy.upstream_port = int(service.url.rpartition(":")[2])
        songs = [_song(service, folder, number) for number in range(SONGS)]
        outcome, started = Outcome(), time.monotonic()
        proxy.share, proxy.requests = share, 0
        asyncio.run(_all(proxy.url, service, songs, folder, splits, seed, outcome))
        outcome.seconds = time.monotonic() - started
        outcome.requests, outcome.faults = proxy.requests, proxy.faults
        proxy.share = 0
        _finish(service, folder, outcome)
        made = _metadata(service)
        outcome.made = made.total()
        outcome.twice = [number for number, count in made.items() if count > 1]
        secrets = (service.api_key.lower(), "authorization", "signature", "token", "expires")
        outcome.leaked = [
            seen for seen in proxy.thief if any(secret in seen.lower() for secret in secrets)
        ]
        outcome.temporary = [str(path) for path in folder.rglob("*.part")]
    return outcome


def _song(service: RealService, folder: Path, number: int) -> Song:
    """Create, upload and split a song."""
    path = folder / f"song{number}.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes(random.Random(number).randbytes(4 * 4410 * (number + 1)))
    truth: dict[str, Stems] = {}
    with AiStemSplitter(service.api_key, base_url=service.url) as client:
        upload = client.create_upload(path.name, content_length=path.stat().st_size)
        assert upload.direct
        assert upload.audio_url
        direct = upload.direct
        httpx2.put(direct.url, headers=direct.headers, content=path.read_bytes()).raise_for_status()
        for stems in STEMS:
            job = client.create_split(audio_url=upload.audio_url, model="htdemucs", stems=stems)
            paths = client.download_split(
                client.wait_for_split(job.id), folder / "truth" / path.stem
            )
            truth[",".join(stems)] = {stem: stored.read_bytes() for stem, stored in paths.items()}
    return Song(path, upload.audio_url, truth)


async def _all(
    url: str,
    service: RealService,
    songs: list[Song],
    folder: Path,
    splits: int,
    seed: int,
    outcome: Outcome,
) -> None:
    turns = asyncio.Semaphore(AT_ONCE)
    options: dict[str, Any] = {"base_url": url, "timeout": PATIENCE, "max_retries": 6}
    draw = random.Random(seed)
    plans = [
        (number, draw.choice(songs), draw.choice(STEMS), draw.random() < FRESH)
        for number in range(splits)
    ]

    forked = [plan for plan in plans if plan[0] % 10 == 9]
    others = [plan for plan in plans if plan[0] % 10 != 9]
    with AiStemSplitter(service.api_key, **options) as sync:
        async with AsyncAiStemSplitter(service.api_key, **options) as asynchronous:

            async def one(number: int, song: Song, stems: list[str], fresh: bool) -> None:
                out = folder / "out" / str(number)
                truth, split_id = song.truth[",".join(stems)], None
                asked = _arguments(number, song, stems, fresh)
                async with turns:
                    try:
                        if number % 2:
                            job = await asynchronous.create_split(**asked)
                            result = await asynchronous.wait_for_split(job.id, timeout=300)
                            split_id = result.id
                            await asynchronous.download_split(result, out)
                        else:
                            job = await asyncio.to_thread(sync.create_split, **asked)
                            wait = partial(sync.wait_for_split, timeout=300)
                            result = await asyncio.to_thread(wait, job.id)
                            split_id = result.id
                            await asyncio.to_thread(sync.download_split, result, out)
                    except AiStemSplitterError as error:
                        outcome.errors[type(error).__name__] += 1
                        if split_id:
                            outcome.unfinished.append((str(number), split_id, truth))
                    except Exception as error:
                        outcome.wrong.append(f"{number}: {error!r}")
                    else:
                        _compare(outcome, out, truth)

            by_forks = asyncio.to_thread(_forked, url, service, forked, folder, outcome)
            await asyncio.gather(by_forks, *(one(*plan) for plan in others))


def _arguments(number: int, song: Song, stems: list[str], fresh: bool) -> dict[str, Any]:
    return {
        **({"input": str(song.path)} if fresh else {"audio_url": song.audio_url}),
        "model": "htdemucs",
        "stems": stems,
        "metadata": {"number": str(number)},
    }


def _compare(outcome: Outcome, out: Path, truth: Stems) -> None:
    """Count a split as right if its folder holds its stems and nothing else."""
    got = {path.stem: path.read_bytes() for path in out.iterdir()}
    if got == truth:
        outcome.right += 1
    else:
        outcome.wrong.append(f"{out.name}: other stems: {', '.join(got)}")


def _forked(
    url: str, service: RealService, plans: list[Plan], folder: Path, outcome: Outcome
) -> None:
    """Create some of the splits in forked processes that share one client."""
    truths = {str(number): song.truth[",".join(stems)] for number, song, stems, _ in plans}
    out = folder / "out"
    out.mkdir(exist_ok=True)
    asked = [_arguments(*plan) for plan in plans]
    plan = {
        "url": url,
        "key": service.api_key,
        "timeouts": asdict(PATIENCE),
        "out": str(out),
        "children": [asked[index::FORKED] for index in range(FORKED)],
    }
    program = Path(__file__).with_name("forked.py")
    subprocess.run([sys.executable, program], input=json.dumps(plan), text=True, check=True)
    for index in range(FORKED):
        for result in json.loads((out / f"forked{index}.json").read_text()):
            number, split_id = result["number"], result["split_id"]
            if not result["error"]:
                _compare(outcome, out / number, truths[number])
                continue
            outcome.errors[result["error"]] += 1
            if split_id:
                outcome.unfinished.append((number, split_id, truths[number]))


def _finish(service: RealService, folder: Path, outcome: Outcome) -> None:
    """Repeat the failed downloads; they do not count as right."""
    right = outcome.right
    with AiStemSplitter(service.api_key, base_url=service.url) as client:
        for number, split_id, truth in outcome.unfinished:
            client.download_split(split_id, folder / "out" / number)
            _compare(outcome, folder / "out" / number, truth)
    outcome.right = right


def _metadata(service: RealService) -> Counter[str]:
    """Return the number of splits that the service has for each of our numbers."""
    with AiStemSplitter(service.api_key, base_url=service.url) as client:
        found = client.list_splits(limit=100)
        return Counter(split.metadata["number"] for split in found if "number" in split.metadata)
