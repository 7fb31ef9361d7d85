"""The file with the user's own models: entries, their checks, and edits that keep the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.weights.listing import list_models
from aistemsplitter_engine.weights.registry import (
    LocalModel,
    find_model,
    local_models,
    registry_path,
    remove_model,
    write_model,
)

Write = Callable[[str], None]


@pytest.fixture
def write(empty_machine: Path) -> Write:
    """Return a function that writes the file as a user does."""
    empty_machine.mkdir()

    def write(text: str) -> None:
        registry_path().write_bytes(text.encode())

    return write


def test_an_entry_by_hand(
    write: Write, empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/user")
    write("mine: {file: own/a.ckpt, config: ~/a.yaml, stems: [vocals, music], licence: MIT}\n")
    model = find_model("mine")
    assert isinstance(model, LocalModel)
    assert model.file == empty_machine / "own" / "a.ckpt"
    assert model.config == Path("/home/user/a.yaml")
    assert model.stems == ("vocals", "music")
    assert (model.licence, model.sha256) == ("MIT", None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mine: [", "its YAML is damaged"),
        ("- mine", "its YAML has no sections"),
        ("on: {file: a, stems: [a]}", "a name of type bool, not text"),
        ("4s: {file: a, stems: [a]}", "the model 4s: it cannot have this name; rename it"),
        ("a.b: {file: a, stems: [a]}", "the model a.b: it cannot have this name; rename it"),
        ("mine: a.ckpt", "the model mine: it has no settings below its name"),
        ("mine: {stems: [a]}", "the model mine: file is missing, the path of its checkpoint"),
        ("mine: {file: a}", "the model mine: stems is missing or not a list of names"),
        ("mine: {file: a, stems: a}", "the model mine: stems is missing or not a list of names"),
        ("mine: {file: 1, stems: [a]}", "the model mine: file is not text"),
        ("mine: {file: a, stem: [a]}", "the model mine: unknown setting stem; use file, "),
        ("mine: {file: a, stems: [a], sha256: AB}", "sha256 is not a SHA-256 in 64 lowercase"),
        ("mine: &x {file: a, stems: [a]}\nb: *x", "it has an alias"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(write: Write, text: str, problem: str) -> None:
    write(text)
    for read in (local_models, list_models, lambda: find_model("mine")):
        with pytest.raises(ModelError) as error:
            read()
        assert str(error.value).startswith(str(registry_path()))
        assert problem in str(error.value)
        assert "\n" not in str(error.value)
    assert find_model("4s").name == "htdemucs_ft"  # the catalogue does not need the file


def test_a_file_that_is_none(empty_machine: Path) -> None:
    assert local_models() == {}
    registry_path().mkdir(parents=True)
    with pytest.raises(ModelError, match="it is not a file"):
        local_models()
    registry_path().rmdir()
    registry_path().write_bytes(b"\xff")
    with pytest.raises(ModelError, match="it is not UTF-8"):
        local_models()
    registry_path().write_text("# nothing yet\n\n")
    assert local_models() == {}
    assert empty_machine.is_dir()


def test_edits_keep_comments_and_other_entries(write: Write) -> None:
    before = "# of mine\nfirst:  # the first\n  file: a.ckpt\n  stems: [a]"
    write(before)
    added = LocalModel("second", Path("/b.ckpt"), ("b", "rest"), sha256="0" * 64)
    write_model(added)
    text = registry_path().read_text()
    assert text.startswith(f"{before}\n")
    assert local_models()["second"] == added
    write_model(LocalModel("123", Path("/c.ckpt"), ("c",), licence="yes: 'no'", description="ä"))
    assert list(local_models()) == ["first", "second", "123"]
    assert local_models()["123"].licence == "yes: 'no'"
    remove_model("second")
    assert list(local_models()) == ["first", "123"]
    remove_model("123")
    assert registry_path().read_text() == f"{before}\n"
    remove_model("first")
    assert local_models() == {}
    assert registry_path().read_text() == "# of mine\n"


def test_removal_keeps_the_comments_of_other_entries(write: Write) -> None:
    kept = "# of b\nb: {file: b, stems: [b]}\n# end\n"
    write(f"a: {{file: a, stems: [a]}}  # gone\n  # gone, too\n\n{kept}")
    remove_model("a")
    assert registry_path().read_text() == kept
    remove_model("b")
    assert registry_path().read_text() == "# of b\n# end\n"
    for text in (
        "{a: {file: a, stems: [a]}, b: {file: b, stems: [b]}}\n",
        "{a: {file: a, stems: [a]},\nb: {file: b, stems: [b]}}\n",
    ):
        write(text)
        with pytest.raises(ModelError, match=r"a has no lines of its own; remove it from .* by"):
            remove_model("a")
        assert registry_path().read_text() == text


def test_names(write: Write) -> None:
    write("taken: {file: a.ckpt, stems: [a]}\n")
    for name, problem in {
        "htdemucs": "htdemucs is a model of the catalogue; choose another name",
        "6s": "6s is a model of the catalogue; choose another name",
        "taken": "there is a model taken already; choose another name, or remove it first: ",
        "a/b": "'a/b' cannot be the name of a model: use up to 64 letters, digits, _ and -",
        "model.ckpt": "'model.ckpt' cannot be the name of a model",
        "": "'' cannot be the name of a model",
        "-a": "'-a' cannot be the name of a model",
        "a\n": r"'a\?' cannot be the name of a model",
    }.items():
        with pytest.raises(ModelError, match=f"^{problem}"):
            write_model(LocalModel(name, Path("/a.ckpt"), ("a",)))
    with pytest.raises(ModelError, match="kim_vocals is a model of the catalogue, which cannot be"):
        remove_model("kim_vocals")
    with pytest.raises(ModelError, match="no model 'other' of your own; there are: taken"):
        remove_model("other")
    with pytest.raises(ModelError, match=r"no model 'other'; there are htdemucs, .*, taken \(and"):
        find_model("other")
    assert list(local_models()) == ["taken"]


def test_files_that_are_missing_or_have_changed(write: Write, tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    write(f"mine: {{file: {path}, stems: [a], sha256: {digest}}}\n")
    mine = local_models()["mine"]
    mine.check_files()
    (listed,) = (model for model in list_models() if model.name == "mine")
    assert (listed.installed, listed.files, listed.size) == (True, (path,), 7)
    path.write_bytes(b"others!!")
    with pytest.raises(ModelError, match="is damaged or another file than the registered one"):
        mine.check_files()
    path.unlink()
    with pytest.raises(ModelError, match=r"cannot be read: No such file .*models remove mine"):
        mine.check_files()
    (listed,) = (model for model in list_models() if model.name == "mine")
    assert (listed.installed, listed.files, listed.size) == (False, (), 0)


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("AISTEMSPLITTER_MODELS_DIR", str(tmp_path / "file" / "models"))
    with pytest.raises(ModelError, match=r"models\.yaml cannot be .*AISTEMSPLITTER_MODELS_DIR"):
        write_model(LocalModel("mine", Path("/a.ckpt"), ("a",)))
