"""A new user's first minutes: every command in README.md, typed into a fresh clone.

Two things differ: the weights of ``htdemucs_ft`` come from the model that ships with the engine,
and ``make test`` is left out because it would run this test again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reader import COMMAND, Reader, blocks, commands, reader, without_settings

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
REPOSITORY = "https://github.com/aistemsplitter/aistemsplitter-python/blob/main/"
NOT_TYPED = ("make test", "aistemsplitter-local models install")
REPLACED = {"htdemucs_ft": "htdemucs_tiny", "-o stems": "-o stems --model htdemucs_tiny"}
ENGINE = re.compile("aistemsplitter-local|aistemsplitter_engine")
STEMS = ["bass.wav", "drums.wav", "other.wav", "vocals.wav"]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of the last commit."""
    target = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, target], check=True)
    return target


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_from_clone_to_stems_on_disk(clone: Path, mp3: Path) -> None:
    shutil.copy(mp3, clone / "song.mp3")
    environment = {
        name: value for name, value in without_settings().items() if name != "VIRTUAL_ENV"
    }
    with reader(clone, environment) as newcomer:
        newcomer.environment["PATH"] = os.environ["PATH"]  # without this checkout's .venv
        type_all(newcomer)
    (of_first_program,) = (clone / "stems").glob("split_*")
    for folder in ("out/demo", "sample-stems", "stems/song", of_first_program):
        assert sorted(path.name for path in (clone / folder).glob("*.wav")) == STEMS, folder
    assert (clone / "stems" / "instrumental.flac").exists()


def type_all(newcomer: Reader) -> None:
    """Type the README's blocks in order; its first program needs the service started below it."""
    first, *others = blocks(README)
    for language, code in [*others, first]:
        typed = code
        for there, here in REPLACED.items() if ENGINE.search(code) else ():
            typed = typed.replace(there, here)
        if language == "console":
            for command in commands(typed):
                if not command.removeprefix(".venv/bin/").startswith(NOT_TYPED):
                    newcomer.type(command)
        else:
            newcomer.type(f"cat > program.py <<'END'\n{typed}END\n.venv/bin/python program.py")


def test_readme_shows_code_and_pictures_first() -> None:
    text = README.read_text()
    screen = text.splitlines()[:25]
    assert any("docs/images/player" in line for line in screen)
    assert "```python" in screen
    for picture in re.findall(r"\((docs/images/[^)]+)\)", text):
        assert (ROOT / picture).stat().st_size < 2_000_000, picture
    assert len(COMMAND.findall(text)) >= 6


def test_links_of_the_readmes_lead_somewhere() -> None:
    """Links in the packages' READMEs are absolute, because a package index shows them too."""
    for page in [*ROOT.glob("*.md"), *ROOT.glob("*/README.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if link.startswith(REPOSITORY):
                assert (ROOT / link.removeprefix(REPOSITORY)).exists(), f"{page}: {link}"
            elif "://" not in link:
                assert (page.parent / link).exists(), f"{page}: {link}"
                assert page.parent.name not in ("sdk", "engine", "server"), f"{page}: {link}"
