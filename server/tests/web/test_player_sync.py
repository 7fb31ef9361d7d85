"""The player's modules in a real browser: tracks stay in sync to the sample."""

from __future__ import annotations

import io
import wave
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx2
import numpy as np
import pytest
from fastapi import FastAPI, Response
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.storage import keys
from aistemsplitter_server.web import assets
from customers import Customer, customer
from databases import only_sqlite
from played import RATE, Player, Tracks, noise, sine
from processes import until

pytestmark = only_sqlite  # these tests do not use the database

HERE = Path(__file__).parent
QUIET = -60.0  # dB
FADED = 200  # frames, more than the fade at the ends of a loop and where playing begins
STEP = (
    1 / 32767
)  # for 16 bits; Chromium divides positive samples by this, negative ones by one more


@pytest.fixture
def someone(database: Database, server_secrets: Secrets) -> Customer:
    """A customer with songs."""
    return customer(database, server_secrets, seconds=6000)


@pytest.fixture
def player(app: FastAPI, database: Database, client: httpx2.Client, tmp_path: Path) -> Player:
    """Stores songs in the service."""
    return Player(app, database, tmp_path, _base_url(client))


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    """The application with the tests' scripts."""

    @app.get("/v1/test/{name}", include_in_schema=False)
    def script(name: Literal["sync.js", "recorder.js"]) -> Response:
        return Response((HERE / name).read_text(), media_type="text/javascript")

    return app


@pytest.fixture
def page(browser: Browser, client: httpx2.Client) -> Iterator[Page]:
    """A page of the service, with its policy, which may run the tests' script."""
    context = browser.new_context()
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))

    page.goto(f"{_base_url(client)}/sign-in")
    yield page
    context.close()
    assert not faults


def run(page: Page, function: str, *given: Any) -> Any:
    """Call a function of sync.js."""
    folder = assets.url("player/transport.js").removesuffix("/player/transport.js")
    # Chromium sometimes collects a promise that is awaited over its protocol, so none is.
    page.evaluate(
        """([name, given]) => {
            window.ran = null;
            import("/v1/test/sync.js")
                .then((module) => module[name](...given))
                .then((value) => (window.ran = { value }), (error) => (window.ran = { error }));
        }""",
        [function, [folder, *given]],
    )
    page.wait_for_function("() => window.ran", polling=100, timeout=600_000)
    assert page.evaluate("String(window.ran.error)") == "undefined"
    return page.evaluate("window.ran.value")


def live(page: Page, kind: str) -> int:
    """Collect garbage, and return how many objects of a class the page still holds."""
    session = page.context.new_cdp_session(page)
    prototype = session.send("Runtime.evaluate", {"expression": f"{kind}.prototype"})["result"]
    found = session.send("Runtime.queryObjects", {"prototypeObjectId": prototype["objectId"]})
    count = session.send(
        "Runtime.callFunctionOn",
        {
            "objectId": found["objects"]["objectId"],
            "functionDeclaration": "function () { return this.length; }",
        },
    )
    session.detach()
    return int(count["result"]["value"])


def channels(packed: list[str]) -> NDArray[np.float32]:
    return np.stack([np.frombuffer(b64decode(channel), np.float32) for channel in packed])


def inverted(player: Player, someone: Customer, seconds: float) -> dict[str, Any]:
    """Two stems, one of which is the inverted other."""
    stem = noise(seconds, seed=1)
    return stored(player, someone, {"vocals": stem, "instrumental": -stem})


def stored(player: Player, someone: Customer, tracks: Tracks) -> dict[str, Any]:
    """Store a song, and return the player's data of it."""
    split = someone.split()
    player.store(split, tracks)
    return player.data(split)


def test_stems_stay_together_offline(page: Page, player: Player, someone: Customer) -> None:
    found = run(page, "offlineSync", inverted(player, someone, 40))
    assert found["sum"] < QUIET, found
    # For comparison, one stem alone is audible for nearly all of the minute.
    assert found["alone"] > -20
    assert found["heard"] > 0.95


def test_stems_stay_together_live(page: Page, player: Player, someone: Customer) -> None:
    song = inverted(player, someone, 60)
    found = run(page, "liveSync", song, 14, 6)
    assert found["seconds"] > 60, found
    assert found["turns"] > 100
    assert found["sum"] < QUIET, found
    assert found["alone"] > -20
    assert found["sounding"] > 0.7, found


def test_a_loop_repeats_to_the_sample(page: Page, player: Player, someone: Customer) -> None:
    """Across the boundary of two pieces, and within one."""
    stem = noise(12, seed=2)
    song = stored(player, someone, {"vocals": stem})
    for start, end in ((4.5, 5.7), (6.0, 6.5)):
        answer = run(page, "offlineLoop", song, round(start * RATE), round(end * RATE), 8)
        loop = slice(answer["loop"]["start"], answer["loop"]["end"])
        assert abs(loop.start - start * RATE) <= 90
        length = loop.stop - loop.start
        heard = channels(answer["channels"])
        begins = _first_frame(heard)
        rounds = (heard.shape[1] - begins) // length
        assert rounds >= 5
        wanted = stem[:, loop].astype(np.float32) / 32768
        first = heard[:, begins : begins + length]
        assert np.abs(first - wanted)[:, FADED:-FADED].max() < STEP
        for number in range(1, rounds):
            at = begins + number * length
            part = heard[:, at : at + length]
            assert np.abs(part - first).max() < 1e-6, number


def test_a_loop_repeats_without_a_click(page: Page, player: Player, someone: Customer) -> None:
    """Fifty passes over a sine whose ends do not fit together, at several speeds."""
    song = stored(player, someone, {"vocals": sine(5, 440, 16000)})
    start, end = 4500, 4500 + 247 * 180  # about a second, and 443.6 periods
    for speed in (0.5, 0.95, 1, 1.25, 2):
        found = run(page, "offlineLoopJumps", song, start, end, speed, 50)
        steepest = 16000 / 32768 * 2 * np.pi * 440 * speed / RATE
        assert found["passes"] >= 50
        assert found["highest"] == pytest.approx(16000 / 32768, rel=0.01)
        assert found["jump"] < 1.2 * steepest, speed


def test_the_original_is_in_sync_with_the_stems(
    page: Page, player: Player, someone: Customer
) -> None:
    one, other = noise(8, seed=3), noise(8, seed=4)
    tracks = {"vocals": one, "instrumental": other, "mixture": one + other}
    heard = channels(run(page, "offlineOriginal", stored(player, someone, tracks), 7))
    begins = _first_frame(heard)
    wanted = (one + other).astype(np.float32)[:, : heard.shape[1] - begins] / 32768
    # Also during the crossfade between them, which would reveal a shift of a single sample.
    assert np.abs(heard[:, begins:] - wanted)[:, FADED:].max() < STEP
    assert np.abs(wanted[:, 1:] - wanted[:, :-1]).max() > 0.2


def test_seams_at_every_speed(page: Page, player: Player, someone: Customer) -> None:
    """A slow sine stays continuous at the boundary of two pieces."""
    song = stored(player, someone, {"vocals": sine(12, 110, 8000)})
    for speed in (0.55, 0.6, 0.95, 1.25, 1.35, 2):
        heard = channels(run(page, "offlineSpeed", song, 10, speed))[0]
        heard = heard[np.flatnonzero(heard)[0] + FADED :]
        heard = heard[: round(11 * RATE / speed)]
        bend = 2 * np.cos(2 * np.pi * 110 * speed / RATE) * heard[1:-1] - heard[:-2] - heard[2:]
        assert np.abs(bend).max() < 1e-4, speed  # a click would be a discontinuity


def test_at_its_own_speed_the_song_is_untouched_again(
    page: Page, player: Player, someone: Customer
) -> None:
    """After any speeds, across the boundary of two pieces, every sample is one of the song."""
    stem = noise(14, seed=6)
    changes = [[1, 0.95], [2, 1.35], [6, 0.7], [7.25, 1.85], [8, 1]]
    song = stored(player, someone, {"vocals": stem})
    heard = channels(run(page, "offlineSpeeds", song, 9, changes))[0]
    end = heard[-RATE // 2 :]
    samples = stem[0].astype(np.float32) / 32768
    starts = np.flatnonzero(np.abs(samples[: -end.size] - end[0]) < STEP)
    assert any(np.abs(samples[at : at + end.size] - end).max() < STEP for at in starts)


def test_a_speed_chosen_before_playing_begins(
    page: Page, player: Player, someone: Customer
) -> None:
    """It holds from the first sample, and the song begins when it was to begin."""
    song = stored(player, someone, {"vocals": noise(6, seed=7)})
    heard = channels(run(page, "offlineSpeeds", song, 4, [[1, 0.5]], 2))
    begins = _first_frame(heard)
    assert abs(begins - 2 * RATE) <= 1
    wanted = channels(run(page, "offlineSpeed", song, 4, 0.5))
    first = _first_frame(wanted)
    length = heard.shape[1] - begins
    assert np.abs(heard[:, begins:] - wanted[:, first : first + length]).max() < 1e-6


def test_the_mix_is_the_sum_of_the_stems(page: Page, player: Player, someone: Customer) -> None:
    stems = {name: noise(12.3, seed, 5000) for seed, name in enumerate(("drums", "bass", "vocals"))}
    split = someone.split()
    player.store(split, stems | {"mixture": noise(12.3, 9)})
    song = player.data(split)
    made = run(page, "mixed", song, {})
    total = sum(stem.astype(int) for stem in stems.values())
    assert np.abs(written(made) - total).max() <= 1
    assert made["told"][-1] == 1
    # With settings: one stem muted, one at half volume, one panned right.
    set_so = {"drums": {"muted": True}, "bass": {"volume": 0.5**0.5}, "vocals": {"pan": 1}}
    left, right = written(run(page, "mixed", song, set_so))
    bass, vocals = (stems[name].astype(int) for name in ("bass", "vocals"))
    assert np.abs(left - bass[0] / 2).max() <= 1
    assert np.abs(right - (bass[1] / 2 + vocals.sum(0))).max() <= 2


def test_a_mix_that_exceeds_full_scale_is_attenuated(
    page: Page, player: Player, someone: Customer
) -> None:
    loud = noise(6, 5, 30_000)
    split = someone.split()
    player.store(split, {"drums": loud, "vocals": loud})
    found = written(run(page, "mixed", player.data(split), {}))
    peak = np.abs(loud.astype(int)).max() * 2
    assert np.abs(found - loud.astype(float) * 2 * 32768 / peak).max() <= 2


def test_a_mix_that_is_rendered_again_takes_memory_once(page: Page) -> None:
    windows, frames = 4, 10_000
    run(page, "beginLoudMix", windows, frames)
    page.wait_for_function("() => window.mixing?.isSecondTime")
    until(lambda: live(page, "Blob") == 0)  # nothing of the first rendering is left
    page.evaluate("mixing.blob.then((blob) => (mixing.size = blob.size)); mixing.goOn(); null")
    page.wait_for_function("() => mixing.size")
    assert page.evaluate("mixing.size") == 44 + 4 * windows * frames
    page.evaluate("delete window.mixing")
    until(lambda: live(page, "Blob") == 0)


def test_a_long_song_fits_into_a_phone(page: Page, player: Player, someone: Customer) -> None:
    """Six stems and the song, ten minutes: a short song's pieces, repeated."""
    names = ("drums", "bass", "other", "vocals", "guitar", "piano", "mixture")
    split = someone.split()
    player.store(split, {name: noise(5, seed) for seed, name in enumerate(names)})
    song = player.data(split)
    assert song["frames"] == song["pieceFrames"]
    song["frames"] *= 120
    for track in song["tracks"]:
        key = keys.pieces(split.id, 1, track["name"])
        file = player.app.state.context.settings.data / "storage" / key
        piece = file.read_bytes()
        file.write_bytes(piece * 120)
        track["offsets"] = [number * len(piece) for number in range(121)]
    found = run(page, "held", song, 20)
    assert found["whole"] > 1.4e9
    assert found["loaded"] > 25
    assert found["budget"] == 80e6
    assert found["most"] <= 80e6, found


def test_all_tracks_wait_for_a_late_one(page: Page, player: Player, someone: Customer) -> None:
    song = inverted(player, someone, 40)
    late = song["tracks"][1]["url"]
    # Two pieces in 7 s, and at twice the speed they last 5.
    page.route(late, lambda route: (page.wait_for_timeout(7000), route.continue_()))
    found = run(page, "starved", song, 18)
    page.unroute_all(
        behavior="ignoreErrors"
    )  # one request may still be waiting after the page is closed
    assert found["waits"] >= 2, found
    assert found["reached"] > 8
    assert found["sum"] < QUIET, found


def written(made: dict[str, Any]) -> NDArray[np.int64]:
    with wave.open(io.BytesIO(b64decode(made["bytes"]))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, RATE)
        data = file.readframes(file.getnframes())
        assert len(data) == file.getnframes() * 4
    return np.frombuffer(data, "<i2").reshape(-1, 2).T.astype(np.int64)


def _first_frame(heard: NDArray[np.float32]) -> int:
    """Return where playing begins: one frame earlier than it is heard, since it fades in."""
    return int(np.flatnonzero(heard[0])[0]) - 1


def _base_url(client: httpx2.Client) -> str:
    return f"http://localhost:{client.base_url.port}"
