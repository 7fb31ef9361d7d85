"""The demo at a terminal: it shows a page to open, and stops when it is told to."""

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
def test_the_page_opens_until_somebody_stops_the_service() -> None:
    pytest.importorskip("matplotlib", reason="the demo draws with it: make demo installs it")
    ours, theirs = pty.openpty()
    command = ["setsid", "--ctty", sys.executable, DEMO]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as demo:
        os.close(theirs)
        told = ""
        while "until you press Enter" not in told:
            told += os.read(ours, 65536).decode()
        (link,) = re.findall(r"http://localhost:\d+/join/\S+", told)
        with urllib.request.urlopen(link, timeout=10) as page:
            assert page.status == 200
        os.write(ours, b"\n")
        while piece := _rest(ours):
            told += piece
    os.close(ours)
    assert demo.returncode == 0
    assert "The service has stopped" in told
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(link, timeout=10)


def _rest(terminal: int) -> str:
    try:
        return os.read(terminal, 65536).decode()
    except OSError:  # so a terminal says that nobody holds its other end
        return ""
