"""The real command in a process of its own, against a real server on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from aistemsplitter.testing import split_succeeded
from clients import KEY
from loopback import Loopback

COMMAND = [sys.executable, "-m", "aistemsplitter.cli"]
SECRET = "whsec_test"


@pytest.fixture
def environment(loopback: Loopback) -> dict[str, str]:
    own = {
        "AISTEMSPLITTER_API_KEY": KEY,
        "AISTEMSPLITTER_BASE_URL": loopback.url,
        "AISTEMSPLITTER_WEBHOOK_SECRET": SECRET,
    }
    return {**os.environ, **own}


def run(environment: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr  # no terminal, no escape codes
    assert KEY not in done.stdout + done.stderr
    return done


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "my song.wav"
    path.write_bytes(b"RIFF" + bytes(5000))
    return path


def test_a_song_becomes_stems(environment: dict[str, str], song: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(environment, "split", song, "-o", out, "--model", "htdemucs", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["status"] == "succeeded"
    assert sorted(told["files"]) == ["bass", "drums", "other", "vocals"]
    for path in map(Path, told["files"].values()):
        assert path.parent == out / "my song"
        assert path.stat().st_size
    listed = run(environment, "list")
    assert told["id"] in listed.stdout
    assert json.loads(run(environment, "get", told["id"], "--json").stdout)["id"] == told["id"]
    again = run(environment, "download", told["id"], "-o", tmp_path / "again", "--stems", "vocals")
    assert again.returncode == 0
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["vocals.wav"]


def test_a_song_that_fails_does_not_stop_the_others(
    environment: dict[str, str], song: Path, tmp_path: Path
) -> None:
    done = run(environment, "split", tmp_path / "none.wav", song, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "none.wav" in done.stderr
    assert (tmp_path / "out" / "my song" / "vocals.wav").exists()


def test_stems_of_another_song_are_neither_kept_for_its_own_nor_replaced(
    environment: dict[str, str], loopback: Loopback, song: Path, tmp_path: Path
) -> None:
    namesake = tmp_path / "other" / song.name
    namesake.parent.mkdir()
    namesake.write_bytes(song.read_bytes())
    done = run(environment, "split", song, namesake, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "is not empty; --overwrite" in done.stderr
    made = [path for method, path, _ in loopback.seen if (method, path[-7:]) == ("POST", "/splits")]
    assert len(made) == 1  # nothing was paid for the second


def test_interrupted_while_it_waits(
    environment: dict[str, str], loopback: Loopback, song: Path, tmp_path: Path
) -> None:
    loopback.fault("stall", r"/splits/split_", times=9)
    command = [*COMMAND, "split", str(song), "-o", str(tmp_path / "out")]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as waiting:
        deadline = time.monotonic() + 30
        while not any("/splits/split_" in path for _, path, _ in loopback.seen):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        waiting.send_signal(signal.SIGINT)
        _, told = waiting.communicate(timeout=300)
    assert waiting.returncode == 130
    assert re.fullmatch(r"Interrupted; (split_\w+) goes on: aistemsplitter download \1 .*\n", told)


def test_credits(environment: dict[str, str]) -> None:
    assert "seconds" in run(environment, "credits").stdout
    assert json.loads(run(environment, "credits", "--json").stdout)["unit"] == "seconds"


@pytest.mark.parametrize(
    ("arguments", "change", "code", "reason"),
    [
        (["credits"], {"AISTEMSPLITTER_API_KEY": ""}, 2, "AISTEMSPLITTER_API_KEY"),
        (["get", "split_00000000000000000000000000"], {}, 5, "NOT_FOUND"),
        (["webhooks", "listen"], {"AISTEMSPLITTER_WEBHOOK_SECRET": ""}, 2, "webhook secret"),
        (["list", "--limit", "0"], {}, 2, "limit"),
    ],
)
def test_errors_are_a_line_and_a_code(
    environment: dict[str, str],
    arguments: list[str],
    change: dict[str, str],
    code: int,
    reason: str,
) -> None:
    done = run({**environment, **change}, *arguments)
    assert done.returncode == code, done.stderr
    assert reason in done.stderr


def test_a_server_that_speaks_to_the_terminal_is_not_heard(
    environment: dict[str, str], loopback: Loopback
) -> None:
    loopback.service.fail_next(403, message="no\x1b[2J\nway")
    done = run(environment, "credits")
    assert done.returncode == 3
    assert re.fullmatch(r"Error: no \[2J way.*\n", done.stderr)


def test_deliveries_are_received_and_verified(environment: dict[str, str]) -> None:
    command = [*COMMAND, "webhooks", "listen", "--port", "0"]
    listening = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert listening.stdout is not None
    assert listening.stderr is not None
    try:
        found = re.search(r"http://\S+/", listening.stderr.readline())
        assert found is not None
        delivery = split_succeeded(secret=SECRET)
        request = urllib.request.Request(
            found.group(), data=delivery.body, headers=dict(delivery.headers)
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 204
        assert "split.succeeded" in listening.stdout.readline()
        request.data = delivery.body + b" "
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        refused.value.close()
        assert refused.value.code == 400
        assert listening.stderr.readline().startswith("refused: ")
        listening.send_signal(signal.SIGINT)
        assert listening.wait(timeout=10) == 130
    finally:
        listening.kill()
        listening.communicate()


def test_without_the_extra_it_says_how_to_get_it(environment: dict[str, str]) -> None:
    script = "import sys; sys.modules['typer'] = None\nfrom aistemsplitter.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    assert done.stderr == "The command line is an extra: pip install 'aistemsplitter[cli]'\n"
