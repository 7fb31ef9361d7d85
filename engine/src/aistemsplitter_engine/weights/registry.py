"""The user's own models: the file ``models.yaml`` in the models folder, which users may edit.

It has an entry for each model, by its name::

    my_vocals:
      file: /models/vocals.ckpt       # relative paths start at the folder of this file
      config: /models/vocals.yaml     # a RoFormer's YAML
      stems: [vocals, instrumental]   # in the order of the network's outputs
      sha256: 87201f4d...             # optional; another file is refused
      config_sha256: 1c3f8a02...      # optional
      licence: MIT                    # optional
      description: Trained on my songs.  # optional
    duo:
      ensemble: {kim_vocals: 0.6, htdemucs_ft: 0.4}  # weights of the average
      stems: [vocals]
    mix:
      steps:  # each separates what the stems of those before it leave of the mixture
        - {model: my_vocals, stems: [vocals]}
        - {ensemble: {htdemucs: 1, htdemucs_ft: 2}, stems: [drums, bass, other]}
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.folders import expanded
from aistemsplitter_engine.messages import excerpt, printable
from aistemsplitter_engine.weights.catalogue import ALIASES, MODELS, ModelSpec, resolve_name
from aistemsplitter_engine.weights.combinations import (
    COMBINATIONS,
    Combination,
    parse_combination,
)
from aistemsplitter_engine.weights.config_file import parse_config, read_text
from aistemsplitter_engine.weights.digests import sha256_of
from aistemsplitter_engine.weights.store import models_folder

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
UNKNOWN_LICENCE = "not stated: the model was registered on this machine"
_HEADER = (
    "# Models of your own. `aistemsplitter-local models add` adds entries; you may edit them.\n"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A checkpoint on this machine that is registered under a name.

    Attributes:
        name: Its name, which no model of the catalogue has.
        file: Path of the checkpoint.
        stems: Stems that are made by default, in the order of the network's outputs; the last one
            may be the mixture minus the only one before it.
        config: Path of a RoFormer's YAML, or None.
        sha256: SHA-256 of the checkpoint in hex, or None if any content is accepted.
        config_sha256: The same of the YAML.
        licence: Licence of the weights, in one sentence.
        description: One sentence to choose by.
    """

    name: str
    file: Path
    stems: tuple[str, ...]
    config: Path | None = None
    sha256: str | None = None
    config_sha256: str | None = None
    licence: str = UNKNOWN_LICENCE
    description: str = "A model of your own."

    def check_files(self) -> list[str]:
        """Return the SHA-256 of the checkpoint, and of the YAML if there is one.

        Raises:
            ModelError: A file is missing or has changed.
        """
        digests = []
        for path, sha256 in ((self.file, self.sha256), (self.config, self.config_sha256)):
            if path is None:
                continue
            try:
                digest = sha256_of(path, models_folder())
            except OSError as error:
                raise ModelError(
                    f"the model {self.name}: its file {printable(path)} cannot be read: "
                    f"{error.strerror or error}; put it back, or {self._how_to_register()}"
                ) from None
            if sha256 not in (None, digest):
                raise ModelError(
                    f"the model {self.name}: {printable(path)} is damaged or another file than the "
                    f"registered one: its SHA-256 is {digest}, not {sha256}; put that back, or "
                    f"{self._how_to_register()}"
                )
            digests.append(digest)
        return digests

    def _how_to_register(self) -> str:
        return f"register the model again after: aistemsplitter-local models remove {self.name}"


def registry_path() -> Path:
    """Return the path of the file with the user's own models; it may not exist."""
    return models_folder() / "models.yaml"


def local_models() -> dict[str, LocalModel | Combination]:
    """Return the user's own models by name, in the order of the file.

    Raises:
        ModelError: The file is damaged; the message names the entry.
    """
    return _parsed(_text())


def find_model(name: str) -> ModelSpec | LocalModel | Combination:
    """Return a model by its name or alias: one of the catalogue, or one of the user's own.

    Raises:
        ModelError: There is no such model; the message lists the existing ones.
    """
    if name in MODELS or name in ALIASES:
        return MODELS[resolve_name(name)]
    if name in COMBINATIONS:
        return COMBINATIONS[name]
    own = local_models()
    return own[name] if name in own else MODELS[resolve_name(name, [*COMBINATIONS, *own])]


def check_new_name(name: str) -> None:
    """Raise :class:`ModelError` if a model cannot be registered under a name."""
    if not NAME.fullmatch(name):
        raise ModelError(
            f"{excerpt(name)!r} cannot be the name of a model: use up to 64 letters, digits, _ and "
            "-, of which the first is a letter or a digit"
        )
    if _is_taken(name):
        raise ModelError(f"{name} is a model of the catalogue; choose another name")
    if name in local_models():
        raise ModelError(
            f"there is a model {name} already; choose another name, or remove it first: "
            f"aistemsplitter-local models remove {name}"
        )


def _is_taken(name: str) -> bool:
    return name in MODELS or name in ALIASES or name in COMBINATIONS


def write_model(model: LocalModel | Combination) -> None:
    """Append a model to the file.

    Raises:
        ModelError: Its name is taken or invalid, or the file cannot be written.
    """
    added = {model.name: _entry(model)}

    def edit(text: str) -> str:
        check_new_name(model.name)
        before = text if not text or text.endswith("\n") else f"{text}\n"
        return (before or _HEADER) + yaml.safe_dump(added, sort_keys=False, allow_unicode=True)

    _rewrite(edit)


def _entry(model: LocalModel | Combination) -> dict[str, Any]:
    if isinstance(model, Combination):
        (step,) = model.steps  # only ensembles are written
        return {
            "ensemble": dict(step.weights),
            "stems": list(step.stems),
            "description": model.description,
        }
    entry = {
        "file": str(model.file),
        "config": None if model.config is None else str(model.config),
        "stems": list(model.stems),
        "sha256": model.sha256,
        "config_sha256": model.config_sha256,
        "licence": None if model.licence == UNKNOWN_LICENCE else model.licence,
        "description": model.description,
    }
    return {key: value for key, value in entry.items() if value is not None}


def remove_model(name: str) -> None:
    """Remove one of the user's own models from the file; its checkpoint stays where it is.

    Raises:
        ModelError: There is no such model, or the file cannot be written.
    """

    def edit(text: str) -> str:
        if _is_taken(name):
            raise ModelError(f"{name} is a model of the catalogue, which cannot be removed")
        if name not in (own := local_models()):
            names = ", ".join(own) or "none"
            raise ModelError(f"there is no model {excerpt(name)!r} of your own; there are: {names}")
        for other in own.values():
            if isinstance(other, Combination) and name in other.models:
                raise ModelError(f"{name} is part of {other.name}; remove that first")
        rest = _without(text, name)
        try:
            left = _parsed(rest).keys()
        except ModelError:
            left = own.keys()
        if left != own.keys() - {name}:  # the file is in braces, or several entries are in one line
            raise ModelError(f"{name} has no lines of its own; remove it from {path} by hand")
        return rest

    path = printable(registry_path())
    _rewrite(edit)


def _without(text: str, name: str) -> str:
    """Return the file's text without the lines of an entry.

    Comments before the next entry belong to that one.
    """
    mapping = yaml.compose(text, yaml.SafeLoader)
    assert isinstance(mapping, yaml.MappingNode)  # it was parsed
    starts = [key.start_mark.line for key, _ in mapping.value]
    number = next(n for n, (key, _) in enumerate(mapping.value) if key.value == name)
    lines = text.splitlines(keepends=True)
    end = starts[number + 1] if number + 1 < len(starts) else len(lines)
    while lines[end - 1].startswith("#"):
        end -= 1
    return "".join(lines[: starts[number]] + lines[end:])


def _rewrite(edit: Callable[[str], str]) -> None:
    """Replace the file's text by an edited one, while no other process does."""
    from filelock import FileLock  # rarely needed

    path = registry_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.parent / f".{path.name}.lock"):
            text = edit(_text())
            _parsed(text)  # refuses what could not be read again
            _replace(path, text)
    except OSError as error:
        raise ModelError(
            f"{printable(path)} cannot be written: {error.strerror or error}; choose another "
            "folder with AISTEMSPLITTER_MODELS_DIR"
        ) from None


def _replace(path: Path, text: str) -> None:
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)


def _text() -> str:
    path = registry_path()
    try:
        return read_text(path).decode()
    except FileNotFoundError:
        return ""
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    raise ModelError(f"{printable(path)} cannot be read: {reason}")


def _parsed(text: str) -> dict[str, LocalModel | Combination]:
    path = registry_path()
    lines = (line.strip() for line in text.splitlines())
    try:
        entries = parse_config(text) if any(x and not x.startswith("#") for x in lines) else {}
    except ModelError as error:
        raise ModelError(f"{printable(path)} cannot be read: {error}") from None
    models: dict[str, LocalModel | Combination] = {}
    for name, entry in entries.items():
        try:
            if not NAME.fullmatch(name) or _is_taken(name):
                raise ModelError("it cannot have this name; rename it")
            models[name] = _model(name, entry, path.parent)
        except ModelError as error:
            raise ModelError(f"{printable(path)}: the model {excerpt(name)}: {error}") from None
    for model in models.values():
        for member in model.models if isinstance(model, Combination) else ():
            if member in COMBINATIONS or isinstance(models.get(member), Combination):
                raise ModelError(
                    f"{printable(path)}: the model {model.name}: {member} is a combination, which "
                    "cannot be part of another one"
                )
    return models


def _model(name: str, entry: Any, folder: Path) -> LocalModel | Combination:
    if not isinstance(entry, Mapping):
        raise ModelError("it has no settings below its name, such as file and stems")
    if "ensemble" in entry or "steps" in entry:
        return parse_combination(name, entry)
    texts = ("file", "config", "sha256", "config_sha256", "licence", "description")
    for key, value in entry.items():
        if key not in (*texts, "stems"):
            raise ModelError(f"unknown setting {excerpt(key)}; use {', '.join(texts)} or stems")
        if key != "stems" and not (isinstance(value, str) and value):
            raise ModelError(f"{key} is not text")
        if key.endswith("sha256") and not _SHA256.fullmatch(value):
            raise ModelError(f"{key} is not a SHA-256 in 64 lowercase hexadecimal digits")
    stems = entry.get("stems")
    if not isinstance(stems, list) or not stems or not all(isinstance(s, str) for s in stems):
        raise ModelError("stems is missing or not a list of names, such as [vocals, instrumental]")
    if "file" not in entry:
        raise ModelError("file is missing, the path of its checkpoint")
    paths = {key: folder / expanded(entry[key]) for key in ("file", "config") if key in entry}
    return LocalModel(name, **{**entry, **paths, "stems": tuple(stems)})
