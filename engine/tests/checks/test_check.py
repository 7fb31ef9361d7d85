"""``models check``: digests, the sample, and the comparison with the reference packages."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from aistemsplitter_engine import ModelError, add_model
from aistemsplitter_engine.checks import check
from aistemsplitter_engine.cli.app import app
from aistemsplitter_engine.weights.store import TINY
from fakes import music
from mirror import published_tiny
from roformers import BS, MEL, Config, config, network, save


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["models", "check", *arguments, "--device", "cpu"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.stderr.count("\n") <= 1
    return result.exit_code, result.stdout, result.stderr


def add_roformer(folder: Path, model: Config, target: str | None) -> None:
    """Register a network with random weights as ``mine``, with the stems a and b."""
    save(network(model), folder / "model.ckpt")
    names = ["a", "b"][: 2 if target else model.get("num_stems", 1)]
    content = config(model, chunk=126 * 64, stems=["x", "y"][: len(names)], target=target)
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    add_model("mine", folder / "model.ckpt", config=folder / "config.yaml", stems=names)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Replace the sample by half a second of music, and use one thread of PyTorch.

    On a busy machine, threads of small networks wait for each other.
    """
    monkeypatch.setattr(check, "sample", lambda: music(0.5))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the reference packages."""
    monkeypatch.setattr(check, "REFERENCES", {"htdemucs": "no-demucs", "roformer": "no-pymss"})


def test_the_sample() -> None:
    mixture = check.sample()
    assert mixture.shape == (2, 9 * 44_100)
    assert 0.05 < np.abs(mixture).mean() < 0.5


@pytest.mark.network
@pytest.mark.usefixtures("bag", "short")
def test_each_network_of_a_bag_is_compared_with_demucs() -> None:
    code, out, err = run("4s")
    assert (code, err) == (0, "")
    assert out.count("not known beforehand") == 4
    found = re.findall(r"^(\w+): differs from demucs \S+ by at most (\S+) of full scale", out, re.M)
    assert [stem for stem, _ in found] == ["drums", "bass", "other", "vocals"]
    assert all(float(largest) < 1e-5 for _, largest in found)
    assert out.splitlines()[-1].startswith("htdemucs_ft makes the stems of demucs ")


@pytest.mark.network
@pytest.mark.usefixtures("empty_machine", "short")
@pytest.mark.parametrize(
    ("model", "target"),
    [({**BS, "num_stems": 2, "mask_estimator_depth": 3}, None), ({**MEL, "zero_dc": False}, "x")],
    ids=["bs", "mel"],
)
def test_roformers_are_compared_with_pymss(
    tmp_path: Path, model: Config, target: str | None
) -> None:
    add_roformer(tmp_path, model, target)
    code, out, err = run("mine")
    assert (code, err) == (0, "")
    assert out.count("as expected") == 2  # the checkpoint and its YAML
    assert "The sample was separated into a, b.\n" in out
    found = re.findall(r"^(\w+): differs from pymss-core \S+ by at most (\S+) of full", out, re.M)
    assert [stem for stem, _ in found] == (["a"] if target else ["a", "b"])
    assert all(float(largest) < 1e-5 for _, largest in found)


@pytest.mark.usefixtures("empty_machine", "short", "fakes")
def test_other_stems_than_the_reference_fail(tmp_path: Path) -> None:
    add_roformer(tmp_path, BS, None)
    code, out, err = run("mine")
    assert code == 1
    assert "a: differs from pymss-core" in out
    assert re.fullmatch(
        r"Error: the model mine: its stem a differs from that of pymss-core \S+ by \S+ of "
        r"full scale, more than 1e-04; please report it\n",
        err,
    )


@pytest.mark.usefixtures("empty_machine", "alone", "fakes")
def test_without_the_reference() -> None:
    code, out, err = run("htdemucs_tiny")
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == [
        "The sample was separated into drums, bass, other, vocals.",
        "Not compared with no-demucs: to do that, pip install no-demucs",
    ]


@pytest.mark.usefixtures("empty_machine", "alone", "fakes", "short")
def test_digests_are_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aistemsplitter_engine import install

    with published_tiny(tmp_path, monkeypatch) as model:
        code, _, err = run("some_model")
        assert code == 1
        assert "install it with: aistemsplitter-local models install some_model" in err
        (path,) = install("some_model")
        code, out, err = run("some_model")
        assert (code, err) == (0, "")
        digest = model.spec.files[0].sha256
        assert out.splitlines()[0] == f"{path}: SHA-256 {digest}, as expected"

        # Damage that the record of digests cannot see: neither size nor time have changed.
        state, content = path.stat(), bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        code, out, err = run("some_model")
        assert (code, out) == (1, "")
        assert err.startswith(f"Error: {path} is damaged or another file: its SHA-256 is ")
        assert err.endswith(f", not {digest}\n")


@pytest.mark.usefixtures("empty_machine", "alone")
def test_what_cannot_be_checked(tmp_path: Path) -> None:
    code, _, err = run("mdx")
    assert code == 1
    assert err.startswith("Error: there is no model 'mdx'; there are htdemucs, ")
    path = tmp_path / "own.safetensors"
    path.write_bytes(TINY.read_bytes())
    add_model("mine", path)
    path.unlink()
    code, _, err = run("mine")
    assert (code, err) == (1, f"Error: {path} cannot be read: No such file or directory\n")


def test_silent_and_infinite_stems() -> None:
    class Stub:
        model = "mine"

        def __init__(self, value: float) -> None:
            self.stems = {"a": np.full((2, 9), value, np.float32), "b": np.zeros((2, 9))}

        def separate_array(self, *_: object) -> Stub:
            return self

    for value, problem in ((0, "all its stems"), (np.nan, "its stem a of the sample is not fin")):
        with pytest.raises(ModelError, match=f"mine: {problem}"):
            check.separate_sample(Stub(value), np.zeros((2, 9), np.float32))


def test_a_reference_that_is_not_finite_differs() -> None:
    stem = np.ones((2, 9), np.float32)
    found = check.differences({"a": stem, "b": stem}, {"a": stem, "b": stem * np.nan})
    assert [one.largest for one in found] == [0, np.inf]
