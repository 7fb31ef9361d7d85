"""The demo at a terminal: it prints a link to its pages and stops on Enter."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "demo" / "demo.py"


@pytest.mark.skipif(not shutil.which("setsid"), reason="no setsid here")
def test_the_page_can_be_opened_until_enter_is_pressed() -> None:
    pytest.importorskip("matplotlib", reason="the demo draws with it: make demo installs it")
    ours, theirs = pty.openpty()
    command = ["setsid", "--ctty", sys.executable, DEMO]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as demo:
        os.close(theirs)
        output = ""
        while "until you press Enter" not in output:
            output += os.read(ours, 65536).decode()
        (link,) = re.findall(r"http://localhost:\d+/join/\S+", output)
        with urllib.request.urlopen(link, timeout=10) as page:
            assert page.status == 200
        os.write(ours, b"\n")
        while piece := _rest(ours):
            output += piece
    os.close(ours)
    assert demo.returncode == 0
    assert "The service has stopped" in output
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(link, timeout=10)


def _rest(terminal: int) -> str:
    try:
        return os.read(terminal, 65536).decode()
    except OSError:  # a terminal reports EIO once its other end is closed
        return ""
