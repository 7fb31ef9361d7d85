"""States of the pages that their URLs do not show, for screenshots and checks of all of them.

They are brought about without texts, so that they work in every language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from playwright.sync_api import BrowserContext, Page, Route, expect
from sqlalchemy import delete, update

from aistemsplitter_server.kit import times
from aistemsplitter_server.splits import analysis
from aistemsplitter_server.splits.analysis import Detected, Grid
from aistemsplitter_server.splits.tables import PlayerState, Split
from processes import SONG
from tour import Tour

PIECES = "**/storage/splits/**"
YOUTUBE = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
_held: list[Route] = []
State = Callable[[Page, Tour], None]


def loop(page: Page, tour: Tour) -> None:
    """A part of the song is looped, and one stem is muted."""
    _song(page, tour)
    for key in ("ArrowRight", "a", "ArrowRight", "b"):
        page.keyboard.press(key)
    expect(page.locator(".strips.looping")).to_be_visible()
    page.locator(".strip .muted").first.click()
    page.locator("#speed").select_option("0.75")
    page.locator("#key").select_option("-2")


def clicking(page: Page, tour: Tour) -> None:
    """Tempo and key are known, and the click and the count-in are on."""
    beats = Grid(beats=[*range(400, 19_600, 480)], beatsPerBar=4, firstDownbeat=0)
    with tour.database.write() as session:
        split = session.get_one(Split, tour.pages["song"].rpartition("/")[2])
        analysis.store(split, Detected(key="F# minor", grid=beats))
    _song(page, tour)
    for toggle in page.locator(".rhythm .toggle").all():
        toggle.click()


def shortcuts(page: Page, tour: Tour) -> None:
    """The dialog with the keyboard shortcuts."""
    _song(page, tour)
    page.keyboard.press("?")
    expect(page.locator("dialog.keys")).to_be_visible()


def mixing(page: Page, tour: Tour) -> None:
    """The mix is being exported."""
    _song(page, tour)
    page.route(PIECES, _hold)
    page.locator("#mix button").click()
    expect(page.locator("#mix [role=status]")).not_to_be_empty()


def stalled(page: Page, tour: Tour) -> None:
    """The player cannot reach the server."""
    page.route(PIECES, lambda route: route.abort("connectionrefused"))
    _song(page, tour)
    page.locator(".play").click()
    expect(page.locator("#player > .notice")).to_be_visible(timeout=60_000)


def preparing(page: Page, tour: Tour) -> None:
    """The copies for listening are not made yet."""
    page.route("**/player.json", lambda route: route.fulfill(json={"state": "making"}))
    page.goto(tour.pages["song"])
    expect(page.locator("#preparing")).to_be_visible()


def link(page: Page, tour: Tour) -> None:
    """A share link that was just created."""
    _song(page, tour)
    links = page.locator("#share .share-link")
    count = links.count()
    page.locator("#share > form button").click()
    expect(links).to_have_count(count + 1)


def kept(page: Page, tour: Tour) -> None:
    """A song that is kept."""
    _song(page, tour)
    page.locator("#kept button").click()
    expect(page.locator("#kept button")).to_have_count(0)
    _expire(tour, timedelta(days=2, hours=5))


def expiring(page: Page, tour: Tour) -> None:
    """The studio, with songs whose audio is deleted within a day."""
    _expire(tour, timedelta(hours=5, minutes=30))
    page.goto(tour.pages["studio"])
    expect(page.locator(".expiring")).to_be_visible()


def last_hours(page: Page, tour: Tour) -> None:
    """A song whose audio is deleted within a day."""
    _expire(tour, timedelta(hours=5, minutes=30))
    _song(page, tour)
    _expire(tour, timedelta(days=2, hours=5))


def chosen(page: Page, tour: Tour) -> None:
    """Files and a link that are about to be split."""
    _choose(page, tour, "Ludwig van Beethoven - Symphony No. 9 in D minor, Op. 125 (live)", "b")
    page.locator("#url").fill("https://music.example/albums/2026/a-song-with-a-long-address.mp3")
    page.locator("#add-url").click()


def options(page: Page, tour: Tour) -> None:
    """More options of a split, some of which change its price."""
    _choose(page, tour, "song")
    page.locator(".more-options > summary").click()
    page.locator(".more-options [value=no_drums]").check(force=True)
    page.locator("[name=shifts]").select_option("2")
    page.locator("[name=overlap]").select_option("0.5")


def short(page: Page, tour: Tour) -> None:
    """The balance does not cover the songs that were chosen."""
    _choose(page, tour, "song")
    page.evaluate("document.getElementById('balance').dataset.seconds = 5")
    page.locator("[name=stem]:enabled").first.click()
    expect(page.locator("#shortage")).to_be_visible()


def page_link(page: Page, tour: Tour) -> None:
    """A link to a page without audio was refused."""
    page.goto(tour.pages["studio"])
    page.locator("#url").fill(YOUTUBE)
    page.locator("#add-url").click()
    expect(page.locator("#url-fault")).to_be_visible()


def uploading(page: Page, tour: Tour) -> None:
    """Songs that are being uploaded, or wait."""
    _choose(page, tour, "song", "another song", "third song")
    page.route("**/uploads/upl_*", _hold)
    page.locator("#go").click()
    expect(page.locator("#songs .stop").first).to_be_visible()


def upload_failed(page: Page, tour: Tour) -> None:
    """A failed upload that can be tried again."""
    _choose(page, tour, "Ludwig van Beethoven - Symphony No. 9 in D minor, Op. 125 (live)")
    page.route("**/studio/uploads", lambda route: route.abort("connectionrefused"))
    page.locator("#go").click()
    expect(page.locator("#songs .again").first).to_be_visible(timeout=60_000)


def signed_out(page: Page, tour: Tour) -> None:
    """An upload whose session has expired."""
    _choose(page, tour, "song")
    body = {"error": {"code": "UNAUTHORIZED", "message": "", "requestId": "req_1"}}
    page.route("**/studio/uploads", lambda route: route.fulfill(status=401, json=body))
    page.locator("#go").click()
    expect(page.locator("#songs .again").first).to_be_visible(timeout=60_000)


def focus(page: Page, tour: Tour) -> None:
    """Keyboard focus on a slider of a strip."""
    _song(page, tour)
    page.locator(".strip .muted").first.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")


STATES: dict[str, State] = {
    "song-loop": loop,
    "song-clicking": clicking,
    "song-shortcuts": shortcuts,
    "song-mixing": mixing,
    "song-stalled": stalled,
    "song-preparing": preparing,
    "song-focus": focus,
    "song-last-hours": last_hours,
    "song-link": link,
    "song-kept": kept,
    "studio-chosen": chosen,
    "studio-options": options,
    "studio-short": short,
    "studio-page-link": page_link,
    "studio-uploading": uploading,
    "studio-upload-failed": upload_failed,
    "studio-signed-out": signed_out,
    "studio-expiring": expiring,
}


@contextmanager
def shown(context: BrowserContext, tour: Tour, name: str) -> Iterator[Page]:
    """Yield a new page in a state."""
    page = context.new_page()
    STATES[name](page, tour)
    yield page
    while _held:
        _held.pop().abort()
    page.unroute_all(behavior="ignoreErrors")
    page.close()


def _song(page: Page, tour: Tour) -> None:
    """Open the song without any saved player settings, and save none."""
    with tour.database.write() as session:
        session.execute(delete(PlayerState))
    page.add_init_script("localStorage.clear()")
    page.route("**/player-state", lambda route: route.fulfill(json={"success": True}))
    page.goto(tour.pages["song"])
    expect(page.locator(".play")).to_be_visible()


def _choose(page: Page, tour: Tour, *names: str) -> None:
    page.goto(tour.pages["studio"])
    body = SONG.read_bytes()
    page.locator("#files").set_input_files(
        [{"name": f"{name}.flac", "mimeType": "audio/flac", "buffer": body} for name in names]
    )
    page.locator("[value=htdemucs_tiny]").check()
    expect(page.locator("#pending li")).to_have_count(len(names))


def _expire(tour: Tour, left: timedelta) -> None:
    """Let the audio of the tour's song be deleted after some time."""
    identifier = tour.pages["song"].rpartition("/")[2]
    with tour.database.write() as session:
        changed = update(Split).where(Split.id == identifier)
        session.execute(changed.values(expires_at=times.now() + left))


def _hold(route: Route) -> None:
    """Leave a request unanswered as long as the state is shown."""
    _held.append(route)
