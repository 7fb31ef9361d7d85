"""``aistemsplitter-local models`` lists, installs and registers models and shows their licences."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from aistemsplitter_engine.cli.models import group
from aistemsplitter_engine.weights.catalogue import MODELS
from aistemsplitter_engine.weights.store import TINY
from mirror import described, published, stalled

CONTENT = bytes(range(256)) * 40
SPEC = described(CONTENT, ("vocals", "rest"))
(FILE,) = SPEC.files
PROGRAM = f"""
from aistemsplitter_engine.weights.catalogue import *
from aistemsplitter_engine.cli.models import group
MODELS["some_model"] = {SPEC!r}
group()
"""


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AISTEMSPLITTER_WEIGHTS_PATH", "HF_HUB_CACHE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AISTEMSPLITTER_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_MIRROR", "http://127.0.0.1:9")  # nothing listens
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "models"


@pytest.fixture
def some_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A catalogue entry for the test, served by a mirror."""
    with published(CONTENT, SPEC, tmp_path, monkeypatch) as model:
        yield model.path.parent


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(group, [*arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("arguments", [(), ("list",)])
def test_the_list(arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    for name in ("htdemucs", "htdemucs_ft", "htdemucs_6s"):
        assert rows[name].rstrip().endswith("no")
    assert "337 MB" in rows["htdemucs_ft"]
    assert "guitar, piano" in rows["htdemucs_6s"]
    assert str(Path("aistemsplitter_engine") / "models") in rows["htdemucs_tiny"]
    assert "not covered by the MIT license" in out
    assert "demonstration model trained on synthetic music, not for real songs" in out


def test_the_list_as_json() -> None:
    code, out, _ = run("list", "--json")
    assert code == 0
    listing = {model["name"]: model for model in json.loads(out)}
    assert list(listing) == [*MODELS, "best"]
    assert listing["htdemucs_ft"]["aliases"] == ["4s"]
    assert listing["htdemucs_ft"]["installed"] is False
    assert listing["htdemucs_ft"]["files"] == []
    assert listing["htdemucs_tiny"]["installed"] is True
    assert Path(listing["htdemucs_tiny"]["files"][0]).is_file()
    keys = ["name", "aliases", "stems", "size", "licence", "description"]
    keys += ["origin", "installed", "files"]
    assert list(listing["htdemucs"]) == keys


@pytest.mark.usefixtures("some_model")
def test_installing(empty_machine: Path) -> None:
    code, out, err = run("install", "some_model")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "some_model: vocals, rest; 0.0 MB",
        "Licence: a licence.",
        f"1/1 some_model: {empty_machine / FILE.name}",
    ]
    assert (empty_machine / FILE.name).read_bytes() == CONTENT
    assert run("install", "some_model")[0] == 0
    listing = {model["name"]: model for model in json.loads(run("list", "--json")[1])}
    assert listing["some_model"]["files"] == [str(empty_machine / FILE.name)]


def test_the_demonstration_model_needs_no_installing() -> None:
    assert run("install", "htdemucs_tiny")[:2] == (
        0,
        "htdemucs_tiny ships with this package: nothing to install\n",
    )


def test_the_licence_is_shown_before_the_download() -> None:
    code, out, err = run("install", "4s")
    assert code == 1
    assert "not covered by the MIT license" in out
    assert err.startswith("Error: f7e0c4bc-ba3fe64a.th of htdemucs_ft could not be downloaded: ")
    assert err.count("\n") == 1


def test_an_unknown_name_is_reported_before_any_download(some_model: Path) -> None:
    code, out, err = run("install", "some_model", "mdx")
    assert (code, out) == (1, "")
    assert err.startswith("Error: there is no model 'mdx'; there are htdemucs, ")
    assert not (some_model.parent / "models").exists()


def test_a_wrong_file_on_the_mirror(some_model: Path, empty_machine: Path) -> None:
    (some_model / FILE.name).write_bytes(CONTENT[:-1] + b"?")
    code, _, err = run("install", "some_model")
    assert code == 1
    assert "SHA-256" in err
    assert not (empty_machine / FILE.name).exists()


@pytest.mark.usefixtures("some_model")
def test_a_terminal_gets_a_progress_bar() -> None:
    pty = pytest.importorskip("pty", reason="no pseudo-terminals on this system")
    screen, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "install", "some_model"], stdout=terminal, env=environment
    )
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(screen, 4096):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(screen)
    assert process.wait(300) == 0
    assert b"\x1b[" in shown
    assert b"10.2" in shown  # kB
    assert FILE.name.encode() in shown


def test_an_interruption_prints_how_to_resume(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stalled(CONTENT, 9000, monkeypatch) as begun:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "install", "some_model"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert begun.wait(300)
        while not (part := empty_machine / f"{FILE.name}.part").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert err == "Error: interrupted; run the same command again to continue\n"
    assert part.exists()


def test_a_model_of_the_users_own(empty_machine: Path, tmp_path: Path) -> None:
    before = run("list")[1]
    code, out, err = run(
        "add", "mine", "--file", str(TINY), "--stems", "a, b, c, d", "--licence", "X"
    )
    assert (code, err) == (0, "")
    assert out == f"mine: a, b, c, d; registered in {empty_machine / 'models.yaml'}\n"
    assert run("install", "mine") == (0, "mine is a model of your own: nothing to install\n", "")
    code, out, err = run("list")
    assert (code, err) == (0, "")
    row = next(line for line in out.splitlines() if line.startswith("mine "))
    assert row.split() == [
        "mine",
        "a,",
        "b,",
        "c,",
        "d",
        "3.8",
        "MB",
        "note",
        "5",
        str(TINY.parent),
    ]
    assert f"mine: A model of your own, {TINY.name}.\n" in out
    assert "Licence, note 5: X.\n" in out

    code, out, err = run("add", "mine", "--file", str(TINY))
    assert (code, out) == (1, "")
    assert err == (
        "Error: there is a model mine already; choose another name, or remove it first: "
        "aistemsplitter-local models remove mine\n"
    )
    missing = tmp_path / "missing.th"
    code, _, err = run("add", "other", "--file", str(missing))
    assert code == 1
    assert err == f"Error: the model {missing} cannot be read: No such file or directory\n"

    assert run("remove", "mine")[:2] == (0, f"mine: removed from {empty_machine / 'models.yaml'}\n")
    assert run("list")[1] == before
    code, _, err = run("remove", "mine")
    assert (code, err) == (1, "Error: there is no model 'mine' of your own; there are: none\n")


def test_an_ensemble_of_the_users_own(empty_machine: Path) -> None:
    code, out, err = run(
        *("add", "duo", "--ensemble", "kim_vocals:0.6, htdemucs_ft:0.4", "--stem", "vocals")
    )
    assert (code, err) == (0, "")
    assert out == f"duo: vocals; registered in {empty_machine / 'models.yaml'}\n"
    (duo,) = (m for m in json.loads(run("list", "--json")[1]) if m["name"] == "duo")
    assert (duo["stems"], duo["installed"], duo["files"]) == (["vocals"], False, [])
    assert duo["size"] == MODELS["kim_vocals"].size + MODELS["htdemucs_ft"].size
    code, _, err = run("check", "duo")
    assert code == 1
    assert err == (
        "Error: duo is a combination of models; check these: kim_vocals and htdemucs_ft\n"
    )
    for arguments, problem in (
        (("--ensemble", "kim_vocals:x", "--stem", "vocals"), "'kim_vocals:x' is not NAME:WEIGHT"),
        (("--ensemble", "a:1,a:2", "--stem", "vocals"), "a is named twice"),
        (("--ensemble", "kim_vocals:1"), "Error: stems is missing or not a list of names"),
        (("--ensemble", "kim_vocals", "--licence", "X"), "Give either --file, with its options"),
        ((), "Give either --file, with its options, or --ensemble."),
    ):
        code, _, err = run("add", "other", *arguments)
        assert code in (1, 2)
        assert problem in err


def test_installing_a_combination_installs_its_models() -> None:
    code, out, err = run("install", "best")
    assert code == 1
    assert out.startswith("kim_vocals: vocals; 913 MB\nLicence: MIT, by the author's model card")
    assert err.startswith("Error: MelBandRoformer.ckpt of kim_vocals could not be downloaded: ")


def test_a_damaged_file_of_own_models_is_one_line(empty_machine: Path) -> None:
    empty_machine.mkdir()
    (empty_machine / "models.yaml").write_text("mine: 3\n")
    for command in (("list",), ("add", "a", "--file", str(TINY)), ("remove", "mine")):
        code, out, err = run(*command)
        assert (code, out) == (1, "")
        assert err.startswith(f"Error: {empty_machine / 'models.yaml'}: the model mine: it has no ")
        assert err.count("\n") == 1


def test_help_names_the_commands() -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "install" in out
    assert "list" in out
    assert not any(line.endswith("...") for line in out.splitlines()[1:])  # no line is cut off


def test_nothing_heavy_is_imported_for_help() -> None:
    program = (
        "import sys; import aistemsplitter_engine.cli.models;"
        "assert not {'numpy', 'httpx2', 'rich.progress', 'torch'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
