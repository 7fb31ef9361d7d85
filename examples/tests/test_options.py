"""Every option of a split has its effect, through the SDK and the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from aistemsplitter import AiStemSplitter, OutputFormat
from aistemsplitter_engine import AudioFile, StemWriter, formats
from aistemsplitter_engine.audio.loudness import LoudnessMeter
from real_service import RealService

RATE, SECONDS = 44_100, 10  # longer than a segment
QUIET, LOUD = "quiet", "loud"
COMMAND = (sys.executable, "-m", "aistemsplitter.cli")


@dataclass(frozen=True)
class Made:
    """A split that succeeded, and its stems."""

    stems: dict[str, Path]
    credits: int
    options: Mapping[str, Any]
    warnings: list[str]

    def samples(self, stem: str) -> np.ndarray:
        return np.concatenate([*AudioFile(self.stems[stem]).blocks()], axis=1)

    def streams(self) -> set[tuple[str, int, int]]:
        """Return codec, sample rate and bit rate of the stems."""
        found = set()
        for path in self.stems.values():
            with av.open(path) as container:
                stream = container.streams.audio[0]
                assert stream.rate is not None
                found.add((stream.codec_context.name, stream.rate, stream.bit_rate or 0))
        return found


@dataclass(frozen=True)
class Case:
    """A split to order, and what has to be true of it beside one without options."""

    check: Callable[[Made, Made], bool]
    options: dict[str, Any] = field(default_factory=dict)
    format: OutputFormat = "wav"
    song: str = QUIET
    stems: tuple[str, ...] = ("vocals", "instrumental")


def peak(made: Made) -> float:
    return max(float(np.abs(made.samples(stem)).max()) for stem in made.stems)


def mixture(made: Made) -> np.ndarray:
    return made.samples("vocals") + made.samples("instrumental")


def lufs(made: Made) -> float:
    meter = LoudnessMeter(RATE)
    meter.add(mixture(made))
    return meter.integrated() or 0.0


def differ(one: Made, other: Made) -> bool:
    return bool(np.abs(one.samples("vocals") - other.samples("vocals")).max() > 2**-14)


def codecs(*wanted: str) -> Callable[[Made, Made], bool]:
    return lambda made, _: {codec for codec, *_ in made.streams()} == {*wanted}


CASES = {
    "24 bits": Case(codecs("pcm_s24le"), {"bit_depth": 24}),
    "float": Case(codecs("pcm_f32le"), {"bit_depth": 32}),
    "flac at another rate": Case(
        lambda made, _: {rate for _, rate, _ in made.streams()} == {48_000},
        {"sample_rate": 48_000, "bit_depth": 24},
        "flac",
    ),
    "aiff": Case(codecs("pcm_s24be"), {"bit_depth": 24}, "aiff"),
    "alac": Case(codecs("alac"), {"bit_depth": 24}, "alac"),
    "bit rate": Case(
        lambda made, _: {rate for *_, rate in made.streams()} == {128_000},
        {"bitrate": 128},
        "mp3",
    ),
    "loudness": Case(
        lambda made, plain: abs(lufs(made) + 14) < 0.2 < abs(lufs(plain) + 14),
        {"normalize": "mixture-loudness", "bit_depth": 32},
    ),
    "clamp": Case(
        lambda made, _: peak(made) > 0.999 and not made.warnings, {"clip": "clamp"}, song=LOUD
    ),
    "rescale": Case(
        lambda made, _: "attenuated" in made.warnings[0], {"clip": "rescale"}, song=LOUD
    ),
    "shifts": Case(
        lambda made, plain: differ(made, plain) and made.credits == 2 * plain.credits,
        {"shifts": 2, "seed": 7, "precision": "float32"},
    ),
    "overlap": Case(
        lambda made, plain: differ(made, plain) and made.credits == 1.5 * plain.credits,
        {"overlap": 0.5},
    ),
    "preview": Case(
        lambda made, _: made.samples("vocals").shape[1] == 3 * RATE and made.credits == 3,
        {"preview_seconds": 3},
    ),
    "stems": Case(
        lambda made, _: bool(
            np.abs(
                made.samples("no_drums")
                - sum(made.samples(each) for each in ("bass", "other", "vocals", "residual"))
            ).max()
            < 1e-5
        ),
        {"bit_depth": 32},
        stems=("no_drums", "bass", "other", "vocals", "residual"),
    ),
}


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A quiet song, and one whose stems exceed full scale."""
    folder = tmp_path_factory.mktemp("songs")
    time = np.arange(RATE * SECONDS) / RATE
    beats = np.random.default_rng(1).normal(0, 0.3, time.size) * np.exp(-8 * (time % 0.5))
    tones = sum(np.sin(2 * np.pi * hertz * time) for hertz in (110, 220, 523, 1046)) / 8
    audio = np.stack([beats + tones, beats + tones * np.cos(time)]).astype(np.float32)
    made = {}
    for name, gain in ((QUIET, 0.1), (LOUD, 50)):
        made[name] = folder / f"{name}.wav"
        with StemWriter(made[name], formats.OutputFormat("wav", 24), RATE, 2) as writer:
            writer.write((audio * np.float32(gain)).clip(-1, 1))
    return made


def by_sdk(service: RealService, song: Path, case: Case, folder: Path) -> Made:
    with AiStemSplitter(service.api_key, base_url=service.url) as client:
        job = client.create_split(
            song,
            model="htdemucs_tiny",
            stems=case.stems,
            output_format=case.format,
            options=case.options,  # type: ignore[arg-type]  # a plain dict of the table
        )
        split = client.wait(job)
        stems = client.download(split, folder)
        return Made(stems, split.credits_used, split.options, [*split.warnings])


def by_command(service: RealService, song: Path, case: Case, folder: Path) -> Made:
    options = [
        text
        for name, value in case.options.items()
        for text in (f"--{name.replace('_', '-')}", str(value))
    ]
    subprocess.run(
        [
            *(*COMMAND, "split", song, "-o", folder, "--model", "htdemucs_tiny"),
            *("--stems", ",".join(case.stems)),
            *("--format", case.format),
            *options,
        ],
        env=service.environment,
        check=True,
    )
    with AiStemSplitter(service.api_key, base_url=service.url) as client:
        split = client.list(limit=1).items[0]
    stems = {path.stem: path for path in folder.glob(f"{song.stem}/[!.]*")}
    return Made(stems, split.credits_used, split.options, [*split.warnings])


@pytest.fixture(scope="module")
def plain(service: RealService, songs: dict[str, Path], tmp_path_factory: Any) -> Made:
    """A split of the quiet song without options."""
    case = Case(lambda *_: True)
    return by_sdk(service, songs[QUIET], case, tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("split", [by_sdk, by_command], ids=["sdk", "command"])
@pytest.mark.parametrize("name", [*CASES])
def test_an_option_has_its_effect(
    service: RealService,
    songs: dict[str, Path],
    plain: Made,
    tmp_path: Path,
    split: Callable[[RealService, Path, Case, Path], Made],
    name: str,
) -> None:
    case = CASES[name]
    made = split(service, songs[case.song], case, tmp_path / "out")
    assert set(made.stems) == set(case.stems)
    assert made.options == {camel(name): value for name, value in case.options.items()}
    assert case.check(made, plain)


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))
