"""The names that can be imported from the package."""

from __future__ import annotations

import subprocess
import sys

import aistemsplitter_engine


def test_every_public_name_exists_and_has_a_docstring() -> None:
    for name in aistemsplitter_engine.__all__:
        assert getattr(aistemsplitter_engine, name).__doc__, name


def test_public_names() -> None:
    assert set(aistemsplitter_engine.__all__) == {
        *("AudioArray", "AudioFile", "Block", "ModelInfo", "OutputFormat", "Separated"),
        *("Separator", "SongOutcome", "SplitResult", "StemWriter", "install", "list_models"),
        *("add_ensemble", "add_model", "remove_model"),
        *("AudioError", "Cancelled", "DeviceError", "DownloadError", "EngineError", "ModelError"),
        *("ModelNotInstalled", "OptionError", "OutputError", "SeparatorClosed"),
    }


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, aistemsplitter_engine;"
        "print({'numpy', 'openvino', 'av', 'torch', 'httpx2'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout == "set()\n"
