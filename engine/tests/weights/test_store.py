"""Weights that are already on this machine are found if their checksums match."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aistemsplitter_engine.errors import ModelError, ModelNotInstalled
from aistemsplitter_engine.weights.store import find_files, is_installed, models_folder

Place = Callable[[Path, str, bytes], Path]


def place(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_PATH", str(tmp_path / "own"))
    return tmp_path / "own"


def test_the_demonstration_model_is_always_installed() -> None:
    (path,) = find_files("htdemucs_tiny")
    assert path.is_file()


@pytest.mark.parametrize("name", ["htdemucs", "htdemucs_ft", "4s", "6s"])
def test_a_missing_model_prints_how_to_install_it(name: str, own: Path) -> None:
    assert not is_installed(name)
    with pytest.raises(ModelNotInstalled, match=r"aistemsplitter-local models install htdemucs"):
        find_files(name)
    assert not own.exists()


def test_unknown_models() -> None:
    with pytest.raises(ModelError, match="there is no model"):
        find_files("../../etc/passwd")
    with pytest.raises(ModelError, match="there is no model"):
        is_installed("nothing")


@pytest.mark.parametrize("where", ["models", "own", "torch/hub/checkpoints"])
def test_an_official_file_is_found(where: str, published: Any, tmp_path: Path, own: Path) -> None:
    path = place(tmp_path / where, published.file.name, published.content)
    assert find_files("some_model") == (path,)
    assert is_installed("some_model")
    assert own.name == "own"


@pytest.mark.parametrize("where", ["models", "own", "torch/hub/checkpoints"])
def test_a_damaged_file_is_named(where: str, published: Any, tmp_path: Path, own: Path) -> None:
    path = place(tmp_path / where, published.file.name, published.content[:-1])
    assert not is_installed("some_model")
    with pytest.raises(ModelNotInstalled, match=f"{path} is damaged or another file"):
        find_files("some_model")
    good = place(own, published.file.name, published.content)
    assert find_files("some_model") == (good,)


def test_a_digest_is_computed_once(published: Any, empty_machine: Path, own: Path) -> None:
    path = place(own, published.file.name, published.content)
    assert is_installed("some_model")
    record = empty_machine / "digests.json"
    assert [*json.loads(record.read_text())] == [str(path)]

    forged = json.loads(record.read_text())
    forged[str(path)][2] = "0" * 64  # the recorded digest is used
    record.write_text(json.dumps(forged))
    assert not is_installed("some_model")

    place(own, published.file.name, published.content + b"!")  # as long as the file does not change
    assert not is_installed("some_model")
    place(own, published.file.name, published.content)
    assert is_installed("some_model")


@pytest.mark.parametrize("junk", [b"", b"[]", b"{", b'{"a": 1}', b"\xff", b'{"a": [1]}'])
def test_a_damaged_digest_record_is_ignored(
    junk: bytes, published: Any, empty_machine: Path
) -> None:
    place(empty_machine, published.file.name, published.content)
    place(empty_machine, "digests.json", junk)
    assert is_installed("some_model")


def test_a_models_folder_that_cannot_be_created_is_ignored(
    published: Any, tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("AISTEMSPLITTER_MODELS_DIR", str(tmp_path / "file" / "models"))
    place(own, published.file.name, published.content)
    assert is_installed("some_model")


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("folder", ["/" + "a" * 300, "/dev/null", "~nobody-at-all/x", ""])
@pytest.mark.parametrize(
    "setting", ["AISTEMSPLITTER_MODELS_DIR", "AISTEMSPLITTER_WEIGHTS_PATH", "TORCH_HOME", "HF_HOME"]
)
def test_invalid_folders(
    setting: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv(setting, folder)
    assert not is_installed("some_model")


def test_the_hub_form(published: Any, empty_machine: Path, own: Path) -> None:
    digest = hashlib.sha256(published.hub_content).hexdigest()
    place(
        empty_machine, "feedbeef.safetensors", published.hub_content
    )  # our file names contain a digest
    place(empty_machine, "feedbeef-00000000.safetensors", published.hub_content)
    assert not is_installed("some_model")
    path = place(empty_machine, f"feedbeef-{digest[:8]}.safetensors", published.hub_content)
    assert find_files("some_model") == (path,)
    path.unlink()
    path = place(own, "feedbeef.safetensors", published.hub_content)
    assert find_files("some_model") == (path,)


@pytest.mark.parametrize("setting", ["HF_HOME", "HF_HUB_CACHE"])
def test_the_cache_of_the_hub(
    setting: str, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "elsewhere"
    monkeypatch.setenv(setting, str(home))
    cache = home if setting == "HF_HUB_CACHE" else home / "hub"
    repository = cache / "models--somebody--Some-Model"
    digest = hashlib.sha256(published.hub_content).hexdigest()
    blob = place(repository / "blobs", digest, published.hub_content)
    snapshot = repository / "snapshots" / "abc" / "feedbeef.safetensors"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(blob)
    assert find_files("some_model") == (snapshot,)
    blob.write_bytes(b"cut short")
    assert not is_installed("some_model")


def test_the_hubs_cache_of_an_official_file(
    published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub" / "models--somebody--Some-Model" / "snapshots" / "abc"
    path = place(snapshot, published.file.name, published.content)
    assert find_files("some_model") == (path,)
    path.write_bytes(b"cut short")
    assert not is_installed("some_model")


def test_models_are_stored_in_the_users_data_folder_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AISTEMSPLITTER_MODELS_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    assert models_folder().parts[-2:] == ("aistemsplitter", "models")
