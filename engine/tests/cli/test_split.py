"""``aistemsplitter-local split``: what goes right, what goes wrong, and what is said about it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from typer.testing import CliRunner

import reference
from aistemsplitter_engine import Separator
from aistemsplitter_engine.audio import AudioFile, FloatArray, OutputFormat, StemWriter
from aistemsplitter_engine.cli import app
from aistemsplitter_engine.cli.split import _stoppable
from networks import Bag, FakeRuntime, use_fake

pytestmark = pytest.mark.timeout(120)  # whatever hangs shows where

RATE = 44_100
STEMS = ("drums", "bass", "other", "vocals")
COMMAND = Path(sys.executable).with_name("aistemsplitter-local")
TINY = ("--model", "htdemucs_tiny", "--device", "cpu")
NOTE = "htdemucs_tiny is a small model trained on synthetic music, for demonstration; for real"


def write_song(path: Path, seconds: float = 3, gain: float = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with StemWriter(path, OutputFormat("wav", 32), RATE, 2) as writer:
        writer.write(reference.music(seconds) * np.float32(gain))
    return path


def read(path: Path) -> FloatArray:
    return np.concatenate(list(AudioFile(path).blocks()), axis=1)


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# In this process, over a fake htdemucs_ft


@pytest.fixture
def fakes(bag: Bag, monkeypatch: pytest.MonkeyPatch) -> list[FakeRuntime]:  # noqa: ARG001
    return use_fake(monkeypatch)


def split(*arguments: str | Path) -> tuple[int, str, str]:
    """Run the command; its exit code, and what it says on standard output and error."""
    result = CliRunner().invoke(app, ["split", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    for text in (result.stdout, result.stderr):
        assert "\x1b" not in text
        assert "Traceback" not in text
    return result.exit_code, result.stdout, result.stderr


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("fakes")
def test_a_song(tmp_path: Path) -> None:
    song, out = write_song(tmp_path / "my song.wav"), tmp_path / "out"
    code, said, err = split(song, "-o", out)
    assert (code, err) == (0, "")
    assert said.startswith(f"{song}: drums, bass, other, vocals in {out / 'my song'} (")
    assert said.endswith(" times real time)\n")
    assert {p.name for p in (out / "my song").iterdir()} == {f"{stem}.wav" for stem in STEMS}


@pytest.mark.usefixtures("fakes")
def test_options_reach_the_engine(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav", gain=9)
    options = ["--stems", " vocals ,instrumental,", "--format", "flac", "--bit-depth", "24"]
    options += ["--sample-rate", "48000", "--mono", "--clip", "rescale", "--device", "cpu"]
    options += ["--precision", "float32", "--shifts", "2", "--seed", "3", "--overlap", "0.5"]
    code, said, _ = split(song, "-o", tmp_path / "out", "--model", "4s", *options)
    assert code == 0
    assert "; all stems turned down to 0." in said
    whole = Separator("htdemucs_ft", shifts=2, seed=3, overlap=0.5)
    expected = whole.split(
        song,
        tmp_path / "whole",
        stems=["vocals", "instrumental"],
        format="flac",
        bit_depth=24,
        sample_rate=48_000,
        mono=True,
    )
    assert tree(tmp_path / "out") == {"song", "song/vocals.flac", "song/instrumental.flac"}
    for path in expected.stems.values():
        assert (tmp_path / "out" / "song" / path.name).read_bytes() == path.read_bytes()


def test_what_is_done_is_skipped(tmp_path: Path, fakes: list[FakeRuntime]) -> None:
    song, out = write_song(tmp_path / "song.wav"), tmp_path / "out"
    split(song, "-o", out)
    fakes.clear()
    code, said, err = split(song, "-o", out)
    skipped = f"{song}: skipped, its stems are in {out / 'song'} (--overwrite splits again)\n"
    assert (code, said, err) == (0, skipped, "")
    assert split(song, "-o", out, "--stems", "bass")[1] == skipped
    assert fakes == []
    assert ": skipped, " not in split(song, "-o", out, "--overwrite")[1]
    assert ": skipped, " not in split(song, "-o", out, "--stems", "bass,residual")[1]
    (out / "song" / "drums.wav").unlink()
    assert ": skipped, " not in split(song, "-o", out)[1]


@pytest.mark.usefixtures("fakes")
def test_folders_keep_their_structure(tmp_path: Path) -> None:
    music = tmp_path / "music"
    for name in ("a.wav", "x/b.wav", "x/y/c.wav"):
        write_song(music / name, 0.1)
    out = music / "stems"  # within: it is not read again
    for _ in range(2):
        code, said, err = split(music, "-o", out, "--stems", "vocals")
        assert (code, err, said.count("\n")) == (0, "", 3)
        found = {name for name in tree(out) if name.endswith(".wav")}
        assert found == {"a/vocals.wav", "x/b/vocals.wav", "x/y/c/vocals.wav"}
    assert said.count("skipped") == 3


@pytest.mark.usefixtures("fakes")
def test_one_bad_file_does_not_stop_the_rest(tmp_path: Path) -> None:
    songs = [write_song(tmp_path / f"{name}.wav", 0.2) for name in "abc"]
    songs[1].write_text("not audio")
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    code, said, err = split(*songs, tmp_path / "empty", "-o", out)
    assert code == 1
    assert said.count("\n") == 2
    assert {path.name for path in out.iterdir()} == {"a", "c"}
    bad, empty = f"{songs[1]}: is not audio that", f"{tmp_path / 'empty'}: holds no audio files"
    starts = [f"Error: {empty}", f"Error: {bad}", "2 of 4 failed:", f"  {empty}", f"  {bad}"]
    assert len(err.splitlines()) == 5
    assert all(line.startswith(start) for line, start in zip(err.splitlines(), starts, strict=True))


@pytest.mark.usefixtures("fakes")
def test_json(tmp_path: Path) -> None:
    songs = [write_song(tmp_path / f"{name}.wav", 0.2, gain=9) for name in "abc"]
    songs[1].write_text("not audio")
    out = tmp_path / "out"
    split(songs[2], "-o", out)
    code, said, err = split(*songs, tmp_path / "none.wav", "-o", out, "--json")
    assert code == 1
    done, bad, skipped, missing = lines(said)
    assert (done["song"], done["status"], done["model"]) == (str(songs[0]), "done", "htdemucs_ft")
    assert done["stems"] == {stem: str(out / "a" / f"{stem}.wav") for stem in STEMS}
    assert (done["sampleRate"], done["frames"], done["durationSeconds"]) == (RATE, 8820, 0.2)
    assert 0 < done["gain"] < 1
    assert done["elapsedSeconds"] > 0
    assert done["warnings"] == []
    assert (bad["song"], bad["status"]) == (str(songs[1]), "failed")
    assert bad["error"].startswith(f"{songs[1]}: is not audio that can be read")
    assert skipped == {
        "song": str(songs[2]),
        "status": "skipped",
        "stems": {stem: str(out / "c" / f"{stem}.wav") for stem in STEMS},
    }
    assert (
        missing["error"] == f"{tmp_path / 'none.wav'}: cannot be opened: No such file or directory"
    )
    assert f"Error: {bad['error']}" in err
    code, said, err = split(songs[0], "-o", out, "--stems", "voice", "--json")
    (failed,) = lines(said)
    assert (code, failed["song"], failed["status"]) == (1, None, "failed")
    assert failed["error"].startswith("htdemucs_ft has no stem 'voice'")


def test_the_demonstration_model_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake(monkeypatch)
    song = write_song(tmp_path / "song.wav", 0.2)
    code, said, err = split(song, "-o", tmp_path / "out", "--json", *TINY)
    assert (code, len(lines(said))) == (0, 1)
    assert err.startswith(NOTE)
    assert err.endswith("for real songs: aistemsplitter-local models install htdemucs_ft\n")


# What is wrong gets one line, and leaves nothing


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
    "600 channels": (wav(bytes(1_200_000), channels=600), "declares no sample rate, or more chann"),
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
def test_things_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "round.wav").symlink_to("round.wav")
    (tmp_path / "readme.txt").touch()
    for name, reason in (
        ("none.wav", "cannot be opened: No such file or directory"),
        ("pipe.wav", "is not a regular file; copy its content into one"),
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
        (["--stems", ","], "no stem was asked for"),
        (["--model", "umx"], "there is no model 'umx'; there are htdemucs, htdemucs_ft, htdemucs_"),
        (
            ["--model", "6s"],
            "the model htdemucs_6s is not installed (its weights are not here); in",
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
    """It is told before the first song is opened."""
    code, said, err = split(tmp_path / "a.wav", tmp_path / "b.wav", "-o", tmp_path / "o", *options)
    assert (code, said, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"Error: {message}")
    assert (tree(tmp_path), fakes) == (set(), [])


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "ogg"], "Invalid value for '--format': Value error, 'ogg' is not one of"),
        (["--device", "tpu"], "Invalid value for '--device'"),
        (["--shifts", "-1"], "Invalid value for '--shifts'"),
        (["--overlap", "half"], "Invalid value for '--overlap'"),
        (["--loud"], "No such option: --loud"),
    ],
)
def test_a_usage_error(tmp_path: Path, options: list[str], message: str) -> None:
    code, said, err = split("a.wav", "-o", tmp_path / "out", *options)
    assert (code, said) == (2, "")
    assert f"Error: {message}" in err
    assert split("a.wav")[0] == 2
    assert split("-o", tmp_path)[0] == 2


@pytest.mark.usefixtures("fakes")
def test_an_output_that_cannot_be(tmp_path: Path) -> None:
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
def test_another_run_is_at_it(tmp_path: Path) -> None:
    song, folder = write_song(tmp_path / "song.wav", 0.2), tmp_path / "out" / "song"
    folder.mkdir(parents=True)
    with FileLock(folder / ".aistemsplitter.lock"):
        code, _, err = split(song, "-o", tmp_path / "out")
    message = f"Error: {folder}: another run is writing stems here; wait for it\n"
    assert (code, err) == (1, message)
    assert split(song, "-o", tmp_path / "out")[0] == 0


def test_a_damaged_model_stops_the_run(tmp_path: Path, bag: Bag) -> None:
    """It is not the songs' fault, so they are not tried one after the other."""
    songs = [write_song(tmp_path / f"{name}.wav", 0.2) for name in "ab"]
    model = tmp_path / "model.safetensors"
    content = bag.paths[0].read_bytes()
    model.write_bytes(content.replace(b"encoder.0.conv.weight", b"encoder.0.conv.wrong!"))
    code, said, err = split(*songs, "-o", tmp_path / "out", "--model", model, "--device", "cpu")
    assert (code, said, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"Error: {model} cannot be used as a model: ")
    assert not (tmp_path / "out").exists()


def test_what_nobody_expected_does_not_stop_the_rest(
    tmp_path: Path, bag: Bag, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(FakeRuntime):
        def __call__(self, segments: FloatArray, sources: tuple[int, ...]) -> FloatArray:
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
        " 3 GB (test_split.py:"
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
def test_names_do_nothing_to_the_terminal(tmp_path: Path, name: str) -> None:
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
    assert {line["song"] for line in lines(said)} == {str(song), str(bad)}  # here, as they are


# Stopping


def deliver(number: int) -> None:
    """Call the signal's handler.

    Not a signal: this process may have had several of OpenVINO's cores, and where those do not go
    in the order in which they came, they leave a stack for signals that is gone.
    """
    handler = signal.getsignal(number)
    assert callable(handler)
    handler(number, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_stop_between_two_segments(
    tmp_path: Path, bag: Bag, monkeypatch: pytest.MonkeyPatch, number: int, as_json: bool
) -> None:
    estimate = FakeRuntime._estimate

    def stop(self: FakeRuntime, segments: FloatArray, source: int) -> FloatArray:
        if self.calls == 5:
            deliver(number)
        return estimate(self, segments, source)

    use_fake(monkeypatch)
    monkeypatch.setattr(FakeRuntime, "_estimate", stop)
    before = signal.getsignal(number)
    songs = [write_song(tmp_path / f"{name}.wav", 20) for name in "ab"]
    assert bag.paths
    arguments = [*songs, "-o", tmp_path / "out", "--stems", "vocals"]
    code, said, err = split(*arguments, *["--json"] * as_json)
    assert code == 130
    assert err == "Stopped. The same command with --resume goes on from here.\n"
    assert said == ('{"song": null, "status": "stopped"}\n' if as_json else "")
    assert signal.getsignal(number) is before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    monkeypatch.setattr(FakeRuntime, "_estimate", estimate)
    fakes = use_fake(monkeypatch)
    assert split(*arguments, "--resume")[0] == 0
    calls = fakes[0].calls
    assert split(*arguments, "--overwrite")[0] == 0
    assert calls < fakes[-1].calls
    assert tree(tmp_path / "out") == {"a", "a/vocals.wav", "b", "b/vocals.wav"}


def test_the_second_signal_ends_it_at_once() -> None:
    with _stoppable() as stop:
        deliver(signal.SIGTERM)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            deliver(signal.SIGINT)


# As a process


def start(
    *arguments: str | Path, through: Sequence[str] = (), **options: Any
) -> subprocess.Popen[str]:
    command = [*through, str(COMMAND), "split", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, text=True, **pipes)


def run(*arguments: str | Path, **options: Any) -> tuple[int, str, str]:
    with start(*arguments, **options) as process:
        said, err = process.communicate(timeout=120)
    for text in (said or "", err or ""):
        assert "\x1b" not in text
        assert "Traceback" not in text
    return process.returncode, said, err


def one_line(err: str) -> str:
    note, line = err.splitlines()
    assert note.startswith(NOTE)
    return line


def kill(process: subprocess.Popen[str], number: int, work: Path) -> tuple[str, str]:
    """Send a signal once 5 s of the song are safe; returns what it said."""
    deadline = time.monotonic() + 60
    safe = 0
    while safe < 5 * RATE:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
        with contextlib.suppress(OSError):
            safe = json.loads((work / "journal.json").read_text())["frames"]
    process.send_signal(number)
    return process.communicate(timeout=60)


@pytest.fixture(scope="module")
def tiny() -> Separator:
    return Separator("htdemucs_tiny", device="cpu")


def test_a_killed_run_is_resumed_to_the_bit(tmp_path: Path, tiny: Separator) -> None:
    song, out = write_song(tmp_path / "song.wav", 25, gain=9), tmp_path / "out"
    folder = out / "song"
    arguments = [song, "-o", out, *TINY, "--resume"]
    with start(*arguments) as process:
        kill(process, signal.SIGKILL, folder / ".aistemsplitter")
    assert process.returncode == -signal.SIGKILL
    assert {p.name for p in folder.iterdir()} == {".aistemsplitter", ".aistemsplitter.lock"}
    others = [shutil.copytree(folder, tmp_path / format) for format in ("flac", "mp3")]
    code, said, err = run(*arguments, "--json")
    assert (code, err.count("\n")) == (0, 1)
    gain = lines(said)[0]["gain"]
    assert gain < 1
    for path, resumed in ((folder, None), *((path, []) for path in others)):
        format = "wav" if resumed is None else path.name
        if resumed is not None:
            tiny.split(song, path, format=format, resume=True, on_progress=resumed.append)
            assert 0 < resumed[0] < 1
        assert {p.name for p in path.iterdir()} == {f"{stem}.{format}" for stem in STEMS}
        whole = tiny.split(song, tmp_path / "whole", format=format)
        assert whole.gain == gain
        for stem, expected in whole.stems.items():
            assert (path / f"{stem}.{format}").read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal(tmp_path: Path, number: int) -> None:
    """Ctrl-C, or a service manager's stop."""
    song, folder = write_song(tmp_path / "song.wav", 25), tmp_path / "out" / "song"
    with start(song, "-o", tmp_path / "out", *TINY) as process:
        said, err = kill(process, number, folder / ".aistemsplitter")
    assert process.returncode == 130
    assert said == ""
    assert one_line(err) == "Stopped. The same command with --resume goes on from here."
    assert {path.name for path in folder.iterdir()} == {".aistemsplitter"}


# Programs that give something up and become another. Not Popen's preexec_fn: between fork and exec,
# locks may be held by threads of this process that the new one does not have.
LIMIT_FILES = """
import os, resource, sys
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
os.execv(sys.argv[2], sys.argv[2:])
"""
DROP_PRIVILEGES = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root is refused as others are
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_file_that_cannot_grow(tmp_path: Path) -> None:
    """As on a disk that fills up while we write, which cannot be known before."""
    song = write_song(tmp_path / "song.wav", 12)
    through = [sys.executable, "-c", LIMIT_FILES, "3000000"]
    code, said, err = run(song, "-o", tmp_path / "out", *TINY, "--stems", "vocals", through=through)
    assert (code, said) == (1, "")
    assert one_line(err) == f"Error: {tmp_path / 'out' / 'song'}: File too large"
    assert tree(tmp_path) == {"song.wav"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("honest", [True, False])
def test_a_full_disk(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, honest: bool
) -> None:
    """Whether it can be known before or not."""
    song = write_song(tmp_path / "song.wav", 12)
    if not honest:
        monkeypatch.setattr("aistemsplitter_engine.split._check_space", lambda *_: None)
    code, said, err = split(song, "-o", small_disk / "out", "--stems", "vocals")
    assert (code, said, err.count("\n")) == (1, "", 1)
    place = f"Error: {small_disk / 'out' / 'song'}"
    if honest:
        assert err.startswith(f"{place}: the stems need up to 6 MB while they are made, and 4 MB ")
    else:
        assert err.startswith(place)
        assert err.endswith(": No space left on device\n")
    assert tree(small_disk) == set()


def test_no_permission(tmp_path: Path) -> None:
    closed = write_song(tmp_path / "m" / "closed" / "a.wav", 0.1).parent
    song, out = write_song(tmp_path / "m" / "song.wav", 0.1), tmp_path / "out"
    out.mkdir()
    modes = {closed: 0o000, song: 0o000, out: 0o500}
    for path, mode in modes.items():
        path.chmod(mode)
    try:
        through = [sys.executable, "-c", DROP_PRIVILEGES]
        check = [*through, shutil.which("cat") or "cat", str(song)]
        if subprocess.run(check, capture_output=True, timeout=60).returncode == 0:
            pytest.skip("this user may read everything, and cannot lay that down")
        code, _, err = run(tmp_path / "m", "-o", out, *TINY, through=through)
        errors = [line for line in err.splitlines() if line.startswith("Error: ")]
        assert (code, errors) == (
            1,
            [
                f"Error: {closed}: Permission denied",
                f"Error: {song}: cannot be opened: Permission denied",
            ],
        )
        song.chmod(0o600)
        code, _, err = run(song, "-o", out, *TINY, through=through)
        assert (code, one_line(err)) == (1, f"Error: {out / 'song'}: Permission denied")
    finally:
        for path in modes:
            path.chmod(0o700)


def test_a_terminal_shows_progress(tmp_path: Path) -> None:
    """And nothing of it is in what goes to a file."""
    song = write_song(tmp_path / f"{'long name ' * 6}.wav", 8)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with start(song, "-o", tmp_path / "out", *TINY, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while select.select([ours], [], [], 60)[0] and (data := os.read(ours, 4096)):
                shown += data
        assert process.stdout is not None
        said = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
    text = shown.decode()
    assert "\x1b[" in text
    assert "long name long name" in text
    assert "%" in text
    assert "\x1b[?25h" in text  # the cursor is there again
    assert "\x1b" not in said
    assert said.count("\n") == 1


def stdout_closed() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize(
    ("open_output", "message"),
    [
        (stdout_closed, None),  # as by `| head`
        (lambda: os.open("/dev/full", os.O_WRONLY), "Error: No space left on device"),
    ],
)
def test_an_output_that_takes_nothing(
    tmp_path: Path, open_output: Callable[[], int], message: str | None
) -> None:
    song = write_song(tmp_path / "song.wav", 0.1)
    for stem in STEMS:
        write_song(tmp_path / "song" / f"{stem}.wav", 0.1)
    output = open_output()
    code, _, err = run(song, "-o", tmp_path, *TINY, stdout=output)
    os.close(output)
    assert code != 0
    assert message is None or message in err


def test_a_terminal_without_our_letters(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Füße.wav", 0.1)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    code, said, _ = run(song, "-o", tmp_path / "out", *TINY, env=environment)
    assert code == 0
    assert said.startswith(f"{tmp_path}/F??e.wav: drums")
    assert (tmp_path / "out" / "Füße" / "drums.wav").exists()


HEAVY = ("numpy", "openvino", "av", "torch", "soxr", "rich", "httpx2", "filelock")
LOOK = f"""
import atexit, sys
atexit.register(lambda: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr))
from aistemsplitter_engine.cli import main
main()
"""


@pytest.mark.parametrize("arguments", [["--help"], ["split", "--help"], ["models", "--help"]])
def test_help_imports_nothing_heavy(arguments: Sequence[str]) -> None:
    command = [sys.executable, "-c", LOOK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert done.stdout.startswith("Usage: ")
