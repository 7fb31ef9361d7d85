from __future__ import annotations

from pathlib import Path

from command_line import ok


def test_a_folder_needs_no_setup(tmp_path: Path) -> None:
    message = "ok       storage          a folder of this machine, which needs no setup\n"
    assert ok(tmp_path, "storage", "setup") == message
    assert not (tmp_path / "data").exists()
