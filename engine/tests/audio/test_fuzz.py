"""Thousands of damaged files, each of which is read or rejected without a crash."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine.audio import AudioFile, Cover
from aistemsplitter_engine.errors import AudioError
from aistemsplitter_engine.formats import OutputFormat

MUTANTS = int(os.environ.get("FUZZ_MUTANTS", "3000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SECONDS_EACH = 20  # a mutant that takes longer hangs
MAX_FRAMES = 50_000_000  # a longer result contains audio that the file does not


def mutant(number: int, corpus: list[bytes]) -> bytes:
    """Return a mutant; the same number and corpus give the same mutant."""
    rng = np.random.default_rng([SEED, number])
    content = bytearray(corpus[number % len(corpus)])
    # Damaged headers do most harm; they are at the start, or (MP4, Ogg) at the end.
    span = int(rng.choice([64, 512, 4096, len(content)]))
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, min(span, len(content))))
        kind = rng.integers(0, 7)
        if kind == 0:
            content[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            content[at : at + 4] = rng.choice(
                [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1"]
            )
        elif kind == 2:
            content[at : at + 32] = rng.bytes(int(rng.integers(1, 33)))
        elif kind == 3:
            del content[at : at + int(rng.integers(1, 2000))]
        elif kind == 4:
            del content[-int(rng.integers(1, len(content))) :]
        elif kind == 5:
            content[at:at] = content[at : at + int(rng.integers(1, 3000))]
        else:
            other = corpus[int(rng.integers(0, len(corpus)))]
            start = int(rng.integers(0, len(other)))
            content[at : at + 200] = other[start : start + int(rng.integers(1, 2000))]
        if not content:
            break
    return bytes(content)


def work(folder: Path, first: int) -> None:
    """Read the mutants from ``first`` on, recording each before it is read."""
    import resource
    import signal

    limit = 4 << 30  # bytes of address space
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    corpus = [path.read_bytes() for path in sorted(folder.glob("corpus/*"))]
    path = folder / "mutant"
    read = 0
    for number in range(first, MUTANTS):
        path.write_bytes(mutant(number, corpus))
        (folder / "number").write_text(str(number))
        signal.alarm(SECONDS_EACH)  # ends the process
        frames = 0
        try:
            for block in AudioFile(path).blocks():
                assert block.shape[0] == 2
                assert 0 < block.shape[1] <= 65536
                assert np.isfinite(block).all()
                frames += block.shape[1]
                assert frames < MAX_FRAMES
        except AudioError as error:
            line = str(error)
        else:
            line = str(path)
            read += 1
        assert line.startswith(str(path))
        assert "\n" not in line
    signal.alarm(0)
    # Not ru_maxrss, which on Linux starts with the parent's value.
    status = Path("/proc/self/status")
    peak = int(status.read_text().split("VmHWM:")[1].split()[0]) // 1024 if status.exists() else 0
    print(f"{read} of {MUTANTS - first} read, {peak} MiB")
    assert peak < 600


@pytest.mark.skipif(os.name != "posix", reason="needs alarms and limits of processes")
def test_mutants(tmp_path, make):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name, (container, codec, kind, options) in make.KINDS.items():  # short, to be fast
        rate = options.get("rate", make.RATE)
        make.encoded(corpus / name, make.music(rate // 4), container, codec, kind, **options)
    cover = Cover("image/png", make.png_bytes())
    for name in ("flac", "mp3", "opus", "m4a"):
        song, output, tags = make.music(12_000), OutputFormat(name), {"title": "T"}
        path = corpus / f"cover.{name}"
        make.written(path, song, output, output.sample_rate(44100), tags=tags, cover=cover)
    (corpus / "surround.wav").write_bytes(make.wav_bytes(bytes(6000), channels=6, mask=0x3F))
    (corpus / "order.caf").write_bytes(make.caf_bytes([2, 1, 3], 100))
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path), "0"], capture_output=True, text=True, timeout=500
    )
    number = (tmp_path / "number").read_text()
    assert done.returncode == 0, f"mutant {number}: {done.returncode}\n{done.stderr[-2000:]}"
    assert done.stderr == ""
    print(done.stdout)


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
