"""The real command in a child process, against a real server on loopback."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from aistemsplitter import __version__
from aistemsplitter.testing import Reply, split_succeeded
from loopback import Loopback
from sdk_command import COMMAND, SECRET, run


def test_a_song_becomes_stems(environment: dict[str, str], song: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(environment, "split", song, "-o", out, "--model", "htdemucs", "--json")
    assert done.returncode == 0, done.stderr
    fields = json.loads(done.stdout)
    assert fields["status"] == "succeeded"
    assert sorted(fields["files"]) == ["bass", "drums", "other", "vocals"]
    for path in map(Path, fields["files"].values()):
        assert path.parent == out / "my song"
        assert path.stat().st_size
    listed = run(environment, "list")
    assert fields["id"] in listed.stdout
    assert json.loads(run(environment, "get", fields["id"], "--json").stdout)["id"] == fields["id"]
    again = run(
        environment, "download", fields["id"], "-o", tmp_path / "again", "--stems", "vocals"
    )
    assert again.returncode == 0
    assert again.stdout == f"{tmp_path / 'again' / 'my song' / 'vocals.wav'}\n"


def test_a_song_that_fails_does_not_stop_the_others(
    environment: dict[str, str], song: Path, tmp_path: Path
) -> None:
    done = run(environment, "split", tmp_path / "none.wav", song, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "none.wav" in done.stderr
    assert (tmp_path / "out" / "my song" / "vocals.wav").exists()


def test_songs_with_the_same_name_get_separate_folders(
    environment: dict[str, str], song: Path, tmp_path: Path
) -> None:
    namesake, shouted = tmp_path / "other" / song.name, tmp_path / "other" / "MY SONG.wav"
    namesake.parent.mkdir()
    for path in (namesake, shouted):
        path.write_bytes(song.read_bytes())
    out = tmp_path / "out"
    done = run(environment, "split", song, namesake, "-o", out)
    assert done.returncode == 0, done.stderr
    done = run(environment, "split", shouted, "-o", out, "--concurrency", "1", "--json")
    assert done.returncode == 0, done.stderr
    folders = {path.name for path in out.iterdir()}
    assert folders in ({"my song", "my song-2", "MY SONG"}, {"my song", "my song-2", "my song-3"})
    assert all((out / name / "vocals.wav").stat().st_size for name in folders)


def test_a_repeated_command_does_not_charge_twice(
    environment: dict[str, str], loopback: Loopback, song: Path, tmp_path: Path
) -> None:
    def submitted() -> int:
        return [(m, path[-7:]) for m, path, _ in loopback.seen].count(("POST", "/splits"))

    out = tmp_path / "out"
    assert run(environment, "split", song, "-o", out).returncode == 0
    again = run(environment, "split", song, "-o", out)
    assert again.returncode == 2
    assert re.search(
        r"my song: this song was already submitted as (split_\w+)\. .*download \1 -o .*--overwrite",
        again.stderr,
    )
    assert submitted() == 1
    assert run(environment, "split", song, "-o", out, "--overwrite").returncode == 0
    assert submitted() == 2
    assert [path.name for path in out.iterdir()] == ["my song"]


def test_downloads_of_splits_with_the_same_name(
    environment: dict[str, str], song: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first, second = (
        json.loads(run(environment, "split", song, "--no-wait", "--json").stdout)["id"]
        for _ in range(2)
    )
    for _ in range(2):
        for split, stems in ((first, "vocals"), (second, "drums")):
            done = run(environment, "download", split, "-o", out, "--stems", stems)
            assert done.returncode == 0, done.stderr
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.wav")) == [
        "my song-2/drums.wav",
        "my song/vocals.wav",
    ]


def test_a_note_about_several_songs_is_printed_once(
    environment: dict[str, str], loopback: Loopback, song: Path, tmp_path: Path
) -> None:
    def warn(reply: Reply) -> Reply:
        return replace(reply, body=reply.body.replace(b'"warnings": []', b'"warnings": ["Demo"]'))

    loopback.fault("change", "/splits/split_", change=warn, times=99)
    others = [tmp_path / f"{number}.wav" for number in range(3)]
    for other in others:
        other.write_bytes(song.read_bytes())
    done = run(environment, "split", song, *others, "-o", tmp_path / "out", "--concurrency", "1")
    assert done.returncode == 0, done.stderr
    service = loopback.url.removeprefix("http://")
    assert done.stderr == (
        f"Note from {service} about {song}, {others[0]} and 2 other songs: Demo\n"
    )


def test_no_wait_only_submits(
    environment: dict[str, str], loopback: Loopback, song: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = run(
        environment, "split", song, "--no-wait", "-o", out, "--webhook-url", "https://e.com/hook"
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"split_\w+ {re.escape(str(song))}\n", done.stdout)
    assert not out.exists()
    (body,) = [r.body for r in loopback.service.requests if r.url.endswith("/v1/audio/splits")]
    assert json.loads(cast(bytes, body))["webhookUrl"] == "https://e.com/hook"


def test_an_upload_is_split_by_its_url(environment: dict[str, str], song: Path) -> None:
    done = run(environment, "upload", song)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"http://\S+\n", done.stdout)
    done = run(environment, "split", done.stdout.strip(), "--no-wait")
    assert done.returncode == 0, done.stderr


def test_cancel_delete_and_models(environment: dict[str, str], song: Path) -> None:
    split = json.loads(run(environment, "split", song, "--no-wait", "--json").stdout)["id"]
    assert "failed (CANCELED)" in run(environment, "cancel", split).stdout
    assert run(environment, "cancel", split).returncode == 0  # it is already cancelled
    assert run(environment, "delete", split).stdout == f"{split} deleted\n"
    assert run(environment, "get", split).returncode == 5
    assert "htdemucs_6s / 6s" in run(environment, "models").stdout


def test_version_and_completion(environment: dict[str, str]) -> None:
    assert run(environment, "--version").stdout == f"aistemsplitter {__version__}\n"
    completed = {**environment, "_AISTEMSPLITTER_COMPLETE": "complete_bash"}
    words = {"COMP_WORDS": "aistemsplitter can", "COMP_CWORD": "1"}
    script = (
        "from aistemsplitter.cli import main; import sys; sys.argv[0] = 'aistemsplitter'; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**completed, **words},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "cancel" in done.stdout, done.stderr


def test_key_and_base_url_as_options(environment: dict[str, str], loopback: Loopback) -> None:
    bare = {name: value for name, value in environment.items() if "AISTEMSPLITTER" not in name}
    done = run(bare, "credits", "--key", "ast_test_other", "--base-url", loopback.url)
    assert done.returncode == 0, done.stderr
    assert loopback.seen[-1][2]["authorization"] == "Bearer ast_test_other"


def test_messages_name_the_song_once(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, "split", tmp_path / "none.mp3")
    assert done.returncode == 2
    assert done.stderr.startswith(f"{tmp_path / 'none.mp3'}: cannot be read: No such file")
    (tmp_path / "empty.mp3").touch()
    done = run(environment, "split", tmp_path / "empty.mp3")
    assert done.stderr.startswith("empty.mp3: the file is empty")


def test_messages_name_the_options(environment: dict[str, str], song: Path) -> None:
    done = run(environment, "split", song, "--model", "hdtemucs")
    assert done.returncode == 2
    assert "--model: there is no model hdtemucs" in done.stderr
    assert "stemModel" not in done.stderr


@pytest.mark.parametrize(
    "setting",
    [
        {"ALL_PROXY": "socks5://127.0.0.1:9"},
        {"HTTP_PROXY": "http://a..b:80"},
        {"HTTP_PROXY": "nonsense"},
        {"SSL_CERT_FILE": "/none"},
        {"SSL_CERT_DIR": "/none"},
    ],
)
def test_unusable_proxies_and_certificates(
    environment: dict[str, str], setting: dict[str, str]
) -> None:
    done = run({**environment, "NO_PROXY": "", **setting}, "credits")
    assert done.returncode in (0, 2, 6)  # an empty folder of certificates is harmless here
    if done.returncode:
        assert re.fullmatch(r"Error: .+\n", done.stderr)


def test_songs_in_parallel_and_interrupted(
    environment: dict[str, str], loopback: Loopback, song: Path, tmp_path: Path
) -> None:
    """The second song ends before the first; Ctrl-C prints how to download the first."""
    loopback.fault("stall", r"/splits/split_", times=1)
    other = tmp_path / "other.wav"
    other.write_bytes(song.read_bytes())
    command = [*COMMAND, "split", str(song), str(other), "-o", str(tmp_path / "out")]
    finished = False
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        for _ in range(4):  # the stems of the song that is not delayed
            finished = running.stdout.readline().endswith(".wav\n")
        running.send_signal(signal.SIGINT)
        _, messages = running.communicate(timeout=300)
    assert finished
    assert running.returncode == 130
    expected = (
        r"Interrupted; \S.* continues on the service as (split_\w+)\. Download its stems with: "
    )
    assert re.fullmatch(expected + r"aistemsplitter download \1 -o \S+\n", messages)


def test_credits(environment: dict[str, str]) -> None:
    assert "seconds" in run(environment, "credits").stdout
    assert json.loads(run(environment, "credits", "--json").stdout)["unit"] == "seconds"


def test_a_list_and_the_usage(environment: dict[str, str]) -> None:
    made = run(
        environment, "split", "https://e.com/song.mp3", "--model", "6s", "--no-wait", "--json"
    )
    split_id = json.loads(made.stdout)["id"]
    listed = run(environment, "list", "--model", "htdemucs_6s", "--after", "2026-05-03")
    assert split_id in listed.stdout, listed.stderr
    listed = run(environment, "list", "--metadata", "order=1", "--before", "2026-05-03")
    assert split_id not in listed.stdout
    while json.loads(run(environment, "get", split_id, "--json").stdout)["status"] != "succeeded":
        pass
    events = run(environment, "webhooks", "events", "--type", "split.succeeded").stdout
    assert events.startswith("evt_")
    assert events.endswith(f" split.succeeded {split_id}\n")
    used = run(environment, "usage")
    assert used.stdout.split("\n")[-2].split()[0] == "total", used.stderr
    report = json.loads(run(environment, "usage", "--json", "--start", "2026-05-03").stdout)
    assert report["start"] == "2026-05-03"


def test_webhook_endpoints(environment: dict[str, str]) -> None:
    url = "https://shop.example/hooks"
    added = run(environment, "webhooks", "add", url, "--event", "split.failed", "--json")
    made = json.loads(added.stdout)
    assert (made["url"], made["events"]) == (url, ["split.failed"])
    listed = run(environment, "webhooks", "endpoints").stdout
    assert listed == f"{made['id']} {url} (split.failed)\n"
    rotated = run(environment, "webhooks", "rotate-secret", made["id"]).stdout
    assert rotated.startswith("whsec_")
    assert rotated.strip() != made["secret"]
    assert "deleted" in run(environment, "webhooks", "remove", made["id"]).stdout


@pytest.mark.parametrize(
    ("arguments", "change", "code", "reason"),
    [
        (["credits"], {"AISTEMSPLITTER_API_KEY": ""}, 2, "AISTEMSPLITTER_API_KEY"),
        (["get", "split_00000000000000000000000000"], {}, 5, "NOT_FOUND"),
        (["webhooks", "listen"], {"AISTEMSPLITTER_WEBHOOK_SECRET": ""}, 2, "webhook secret"),
        (["list", "--limit", "0"], {}, 2, "limit"),
        (["list", "--metadata", "order"], {}, 2, "KEY=VALUE"),
    ],
)
def test_errors_print_one_line_and_set_the_exit_code(
    environment: dict[str, str],
    arguments: list[str],
    change: dict[str, str],
    code: int,
    reason: str,
) -> None:
    done = run({**environment, **change}, *arguments)
    assert done.returncode == code, done.stderr
    assert reason in done.stderr


def test_control_characters_from_the_server_are_not_printed(
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
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 204
        assert "split.succeeded" in listening.stdout.readline()
        request.data = delivery.body + b" "
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        refused.value.close()
        assert refused.value.code == 400
        assert listening.stderr.readline().startswith("Rejected a delivery: ")
        listening.send_signal(signal.SIGINT)
        assert listening.wait(timeout=300) == 130
    finally:
        listening.kill()
        listening.communicate()


def test_without_the_extra_it_prints_how_to_install_it(environment: dict[str, str]) -> None:
    script = "import sys; sys.modules['typer'] = None\nfrom aistemsplitter.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    assert done.stderr == "The command line is not installed: pip install 'aistemsplitter[cli]'\n"
