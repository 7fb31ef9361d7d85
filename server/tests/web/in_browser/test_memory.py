"""What a song's page holds in memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import keys
from customers import Customer
from played import Player, noise
from player_pages import opened
from processes import until

PIECES = 120  # of five seconds
LIMIT = 400  # MB


@pytest.fixture
def long_song(player: Player, hers: Customer) -> Split:
    """Ten minutes of four loud stems and their sum: a short song's pieces, repeated."""
    split = hers.split(5)
    names = ("drums", "bass", "other", "vocals", "mixture")
    player.store(split, {name: noise(5, seed, 20_000) for seed, name in enumerate(names)})
    storage = player.app.state.context.settings.data / "storage"
    index = storage / keys.player(split.id, 1)
    song = json.loads(index.read_text())
    song["frames"] *= PIECES
    for track in song["tracks"]:
        file = storage / keys.pieces(split.id, 1, track["name"])
        piece = file.read_bytes()
        file.write_bytes(piece * PIECES)
        track["offsets"] = [number * len(piece) for number in range(PIECES + 1)]
    index.write_text(json.dumps(song))
    return split


def largest_tab(browser: Browser) -> int:
    """Return the MB that the browser's largest tab holds."""
    devtools = browser.new_browser_cdp_session()
    found = devtools.send("SystemInfo.getProcessInfo")["processInfo"]
    devtools.detach()
    held = [0]
    for process in found:
        status = Path(f"/proc/{process['id']}/status")
        if process["type"] == "renderer" and status.exists():
            line = next(line for line in status.read_text().splitlines() if "VmRSS" in line)
            held.append(int(line.split()[1]) // 1000)
    return max(held)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_mix_of_a_long_song_leaves_little_memory(
    page: Page, browser: Browser, base: str, long_song: Split
) -> None:
    opened(page, base, long_song)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download this mix (WAV)").click()
    assert Path(waiting.value.path()).stat().st_size == 600 * 44_100 * 4 + 44
    until(lambda: largest_tab(browser) < LIMIT)
