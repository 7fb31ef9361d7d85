"""Take the pictures for the README and the documentation: the player, and `make demo`.

They show the real service with the sample song. Run ``make pictures``, then look at them.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

import demo
from browsers import FLAGS, chromium

IMAGES = demo.ROOT / "docs" / "images"
SIZE = {"width": 1200, "height": 792}
HEARD = 6.0  # seconds of the song before the first picture
FRAME = 250  # milliseconds
FRAMES = 5  # after each action
COLOURS = 128


def main() -> None:
    """Run the demo once, and take all pictures of it."""
    path = chromium()
    if path is None:
        sys.exit("No Chromium found. Install it: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    console = Console(record=True, highlight=False, width=100)
    console.print("$ make demo\nStarting the service")
    with (
        tempfile.TemporaryDirectory() as data,
        demo.running_service(Path(data)) as url,
        sync_playwright() as playwright,
    ):
        link = demo.split_sample(console, Path(data), url)
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        context = browser.new_context(viewport=SIZE, device_scale_factor=1.5)
        page = context.new_page()
        open_player(page, link)
        page.get_by_role("button", name="Play", exact=True).click()
        while float(page.get_by_label("Position").input_value()) < HEARD:
            page.wait_for_timeout(100)
        page.screenshot(path=IMAGES / "player.png")
        first, *others = listen(page)
        browser.close()
    first.save(IMAGES / "player.gif", append_images=others, save_all=True, duration=FRAME, loop=0)
    (IMAGES / "demo.svg").write_text(terminal(console.export_text(styles=True), url, link))
    for image in sorted(IMAGES.iterdir()):
        print(f"{image.relative_to(demo.ROOT)}: {image.stat().st_size / 1000:.0f} kB")


def open_player(page: Page, link: str) -> None:
    """Sign in by the link and open the song that the demo has split."""
    page.goto(link)
    page.locator("[name=email]").fill("you@example.org")
    page.locator("[name=password]").fill("only for this picture")
    page.locator("main form button").click()
    page.wait_for_url("**/studio")
    page.locator("a[href*='/studio/songs/']").first.click()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible(timeout=60_000)


def listen(page: Page) -> Iterator[Image.Image]:
    """Mute, unmute and solo stems while the song plays, and yield the frames."""
    for action in ("", "Mute Vocals", "Mute Vocals", "Solo Bass", "Original"):
        if action:
            page.get_by_role("button", name=re.compile(action)).click()
        for _ in range(FRAMES):
            page.wait_for_timeout(FRAME / 2)  # a screenshot takes about as long
            frame = Image.open(io.BytesIO(page.screenshot(scale="css")))
            yield frame.convert("RGB").quantize(COLOURS)


def terminal(text: str, url: str, link: str) -> str:
    """Draw a terminal's output, with the usual port, without the token and without web fonts."""
    port, token = url.rpartition(":")[2], link.rpartition("/")[2]
    text = text.replace(f":{port}", ":8000").replace(token, "...")
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(Text.from_ansi(text))
    drawn = console.export_svg(title="make demo", theme=MONOKAI, unique_id="demo")
    return re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL).replace("\n    \n", "\n")


if __name__ == "__main__":
    main()
