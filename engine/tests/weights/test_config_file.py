"""Reading of the YAML beside a checkpoint, which may be hostile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.weights.config_file import parse_config, read_config

BS_ROFORMER = """
audio:
  chunk_size: 352800
model:
  dim: 512
  freqs_per_bands: !!python/tuple
    - 2
    - 4
  stereo: true
  attn_dropout: 0.1
training:
  instruments: ['vocals', 'other']
  target_instrument: null
  lr: 1.0e-05
"""


def test_a_config_as_in_msst(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(BS_ROFORMER)
    assert read_config(path) == parse_config(BS_ROFORMER) == {
        "audio": {"chunk_size": 352800},
        "model": {
            "dim": 512, "freqs_per_bands": [2, 4], "stereo": True, "attn_dropout": 0.1
        },
        "training": {
            "instruments": ["vocals", "other"], "target_instrument": None, "lr": 1e-5
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model: !!python/object/apply:os.system ['touch it_ran']", "could not determine a const"),
        ("model: !!python/name:os.system ''", "could not determine a constructor"),
        ("model: !!python/tuple {a: 1}", "expected a sequence node"),
        ("a: &a [1, 2]\nb: [*a, *a]", "an alias, which no config needs"),
        ("a: &a {b: 1}\nc: {<<: *a}", "an alias, which no config needs"),
        ("a: &a [*a]", "an alias"),
        ("model: 2026-01-01", "model has a date, not a plain value"),
        ("model: !!binary aGk=", "model has a bytes"),
        ("model: {1: 2}", "a name of type int, not text"),
        ("? 0x" + "f" * 5000 + "\n: 1", "a name of type int, not text"),
        ("model: 0x" + "f" * 5000, "model has a long integer"),
        ("model: 1" + ":1" * 300 + ".5", "its YAML is damaged"),
        ("model: !!int ''", "its YAML is damaged"),
        ("model: !!float ''", "its YAML is damaged"),
        ("model: !!bool x", "its YAML is damaged"),
        ("model: !!timestamp x", "its YAML is damaged"),
        ("[1, 2]", "no sections"),
        ("", "no sections"),
        ("a: [", "its YAML is damaged or not a config"),
        ("a: 1\n---\nb: 2", "its YAML is damaged"),
        ("a: \0", "its YAML is damaged"),
        ("a: " + "9" * 5000, "its YAML is damaged"),
        ("a: " + "[" * 50_000, "its YAML is damaged"),
        ("#" * 300_000, "300000 characters"),
    ],
)
def test_other_texts_are_rejected_with_a_reason(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=reason) as caught:
        parse_config(text)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "long.yaml").write_bytes(b"#" * 300_000)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    for name, reason in (
        ("missing.yaml", "cannot be read: No such file"),
        ("pipe.yaml", "cannot be read: it is not a file"),
        (".", "cannot be read: it is not a file"),
        ("long.yaml", "has 300000 bytes, more than any config"),
        ("latin.yaml", "cannot be used as a config: its YAML is damaged"),
    ):
        with pytest.raises(ModelError, match=reason) as caught:
            read_config(tmp_path / name)
        assert str(tmp_path) in str(caught.value)
