"""Errors of ``aistemsplitter-local split``: one line each, and no files left."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from filelock import FileLock

from aistemsplitter_engine.audio import FloatArray
from cli_songs import lines, split, tree, write_song
from fakes import FakeRuntime, use_fake
from stem_files import RATE, read

if TYPE_CHECKING:
    from networks import Bag

pytestmark = pytest.mark.timeout(300)  # a hang prints its stack


def wav(data: bytes, *, channels: int = 2, size: int | None = None) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, RATE, RATE * 2 * channels, 2 * channels % 65_536, 16)
    size = len(data) if size is None else size
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", len(body) + size) + body + data


PLAYLIST = b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\nfile:///etc/passwd\n"
BAD_SONGS = {
    "empty": (b"", "is empty (0 bytes)"),
    "text": (b"These are words, not music.\n" * 99, "is not audio that can be read, or is damaged"),
    "header alone": (wav(b""), "holds no audio (0 samples)"),
    "truncated": (
        wav(bytes(40_000), size=400_000),
        "is truncated: 0.227 s of 2.268 s are readable",
    ),
    "playlist": (PLAYLIST, "is not audio that can be read, or is damaged"),
    "600 channels": (wav(bytes(1_200_000), channels=600), "declares no sample rate, or more than"),
}


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("name", BAD_SONGS)
def test_a_bad_song(tmp_path: Path, name: str) -> None:
    content, reason = BAD_SONGS[name]
    song = tmp_path / "song.wav"
    song.write_bytes(content)
    code, said, err = split(song, "-o", tmp_path / "out" / "deeper")
    assert (code, said) == (1, "")
    assert err.startswith(f"Error: {song}: {reason}")
    assert err.count("\n") == 1
    assert tree(tmp_path) == {"song.wav"}


@pytest.mark.usefixtures("fakes")
def test_inputs_that_are_not_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "round.wav").symlink_to("round.wav")
    (tmp_path / "readme.txt").touch()
    for name, reason in (
        ("none.wav", "cannot be opened: No such file or directory"),
        ("pipe.wav", "is not a regular file; copy its content into a regular file"),
        ("round.wav", "cannot be opened: Too many levels of symbolic links"),
        ("x" * 300, "cannot be opened: File name too long"),
        ("readme.txt/song.wav", "cannot be opened: Not a directory"),
        ("readme.txt", "is empty (0 bytes)"),
    ):
        code, said, err = split(tmp_path / name, "-o", tmp_path / "out")
        assert (code, said, err) == (1, "", f"Error: {tmp_path / name}: {reason}\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stems", "vocals,voice"], "htdemucs_ft has no stem 'voice'; it has drums, bass, oth"),
        (["--stems", ","], "no stem was requested"),
        (["--model", "umx"], "there is no model 'umx'; there are htdemucs, htdemucs_ft, htdemucs_"),
        (
            ["--model", "6s"],
            "the model htdemucs_6s is not installed (its weights were not found); in",
        ),
        (["--model", "./my.th"], "the model my.th cannot be read: No such file or directory"),
        (["--bit-depth", "20"], "wav has a bit depth of 16 or 24 or 32, not 20"),
        (["--format", "mp3", "--bit-depth", "16"], "mp3 has no bit depth; leave it out"),
        (["--sample-rate", "0"], "sample rate 0 is not between 1000 and 768000 Hz"),
        (["--overlap", "1"], "overlap 1 is not between 0 and 0.99"),
        (["--shifts", "1000"], "shifts 1000 is not between 0 and 100"),
    ],
)
def test_a_bad_option(
    tmp_path: Path, fakes: list[FakeRuntime], options: list[str], message: str
) -> None:
    """It is reported before the first song is opened."""
    code, said, err = split(tmp_path / "a.wav", tmp_path / "b.wav", "-o", tmp_path / "o", *options)
    assert (code, said, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"Error: {message}")
    assert (tree(tmp_path), fakes) == (set(), [])


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "ogg"], "Invalid value for '--format': 'ogg' is not one of"),
        (["--device", "tpu"], "Invalid value for '--device'"),
        (["--shifts", "-1"], "Invalid value for '--shifts'"),
        (["--overlap", "half"], "Invalid value for '--overlap'"),
        (["--loud"], "No such option"),
    ],
)
def test_a_usage_error(tmp_path: Path, options: list[str], message: str) -> None:
    code, said, err = split("a.wav", "-o", tmp_path / "out", *options)
    assert (code, said) == (2, "")
    assert f"Error: {message}" in err
    assert split("a.wav")[0] == 2
    assert split("-o", tmp_path)[0] == 2


@pytest.mark.usefixtures("fakes")
def test_an_impossible_output_folder(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav", 0.2)
    (tmp_path / "file").touch()
    long = "x" * 300
    for output, place, reason in (
        ("file", "file/song", "Not a directory"),
        ("file/below", "file/below/song", "Not a directory"),
        (long, f"{long}/song", "File name too long"),
    ):
        code, said, err = split(song, "-o", tmp_path / output)
        assert (code, said, err) == (1, "", f"Error: {tmp_path / place}: {reason}\n")
    (tmp_path / "song").touch()
    assert split(song, "-o", tmp_path)[2] == f"Error: {tmp_path / 'song'}: File exists\n"
    assert tree(tmp_path) == {"song.wav", "file", "song"}


@pytest.mark.usefixtures("fakes")
def test_another_run_in_the_same_folder(tmp_path: Path) -> None:
    song, folder = write_song(tmp_path / "song.wav", 0.2), tmp_path / "out" / "song"
    folder.mkdir(parents=True)
    with FileLock(folder / ".aistemsplitter.lock"):
        code, _, err = split(song, "-o", tmp_path / "out")
    message = f"Error: {folder}: another run is writing stems here; wait for it\n"
    assert (code, err) == (1, message)
    assert split(song, "-o", tmp_path / "out")[0] == 0


def test_a_damaged_model_stops_the_run(tmp_path: Path, bag: Bag) -> None:
    """The fault is not in the songs, so the others are not tried."""
    songs = [write_song(tmp_path / f"{name}.wav", 0.2) for name in "ab"]
    model = tmp_path / "model.safetensors"
    content = bag.paths[0].read_bytes()
    model.write_bytes(content.replace(b"encoder.0.conv.weight", b"encoder.0.conv.wrong!"))
    code, said, err = split(*songs, "-o", tmp_path / "out", "--model", model, "--device", "cpu")
    assert (code, said, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"Error: {model} cannot be used as a model: ")
    assert not (tmp_path / "out").exists()


def test_an_unexpected_error_does_not_stop_the_others(
    tmp_path: Path, bag: Bag, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(FakeRuntime):
        def __call__(self, segments: Sequence[FloatArray], sources: tuple[int, ...]) -> FloatArray:
            if np.abs(segments).max() > 0:
                raise RuntimeError("out of memory:\n\ttried  to allocate 3 GB\n")
            return super().__call__(segments, sources)

    use_fake(monkeypatch, Broken)
    assert bag.paths
    songs = [write_song(tmp_path / f"{name}.wav", 0.2, gain) for name, gain in (("a", 1), ("b", 0))]
    code, said, err = split(*songs, "-o", tmp_path / "out")
    assert (code, said.count("\n")) == (1, 1)
    assert err.splitlines()[0].startswith(
        f"Error: {songs[0]}: failed unexpectedly: RuntimeError: out of memory: tried to allocate"
        f" 3 GB ({Path(__file__).name}:"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    "name",
    [
        "line\nbreak",
        "\x1b[31mred\x1b[0m",
        "[red]markup[/red] [/]",
        "bell\a\b\r",
        b"\xff\xfe not unicode".decode(errors="surrogateescape"),
        "Füße \N{GUITAR}",
        "-dash",
        "x" * 240,
        "{task.description} %s %(a)s",
    ],
)
def test_control_characters_in_names_are_escaped(tmp_path: Path, name: str) -> None:
    song, bad = write_song(tmp_path / "m" / f"{name}.wav", 0.1), tmp_path / "m" / f"{name}2.wav"
    bad.write_text("words")
    code, said, err = split(tmp_path / "m", "-o", tmp_path / "out", "--stems", "bass")
    assert code == 1
    assert (said.count("\n"), err.count("\n")) == (1, 3)
    plain = "".join(c if c.isprintable() else "?" for c in name)
    assert said.startswith(f"{tmp_path / 'm' / plain}.wav: bass in {tmp_path / 'out' / plain} (")
    assert err.startswith(f"Error: {tmp_path / 'm' / plain}2.wav: is not audio")
    assert read(tmp_path / "out" / name / "bass.wav").shape == (2, 4410)
    _, said, _ = split(tmp_path / "m", "-o", tmp_path / "out", "--stems", "bass", "--json")
    assert {line["song"] for line in lines(said)} == {str(song), str(bad)}  # unchanged on disk


@pytest.fixture
def small_disk(mount_disk: Callable[[int], Path]) -> Path:
    return mount_disk(4)


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("honest", [True, False])
def test_a_full_disk(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, honest: bool
) -> None:
    """Reported both if the lack of space is known beforehand and if it is not."""
    song = write_song(tmp_path / "song.wav", 12)
    if not honest:
        monkeypatch.setattr("aistemsplitter_engine.pipeline.write._check_space", lambda *_: None)
    monkeypatch.setattr("aistemsplitter_engine.pipeline.spool._IN_MEMORY", 0)
    code, said, err = split(song, "-o", small_disk / "out", "--stems", "vocals")
    assert (code, said, err.count("\n")) == (1, "", 1)
    place = f"Error: {small_disk / 'out' / 'song'}"
    if honest:
        assert err.startswith(f"{place}: writing the stems needs up to 6 MB, and only 4 MB ")
        assert tree(small_disk) == set()
    else:
        kept = small_disk / "out" / "song" / ".aistemsplitter"
        assert err.startswith(place)
        assert ": No space left on device; its work is kept in " in err
        assert err.endswith(f" {kept}; continue with --resume\n")
        assert kept.is_dir()
