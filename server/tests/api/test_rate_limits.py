from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.api import create_app
from aistemsplitter_server.api.rate_limits import RateLimits, neighbourhood
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import RateLimited
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from customers import customer
from serving import serving

PER_MINUTE = 3  # one comes back after twenty seconds, long after a test has ended


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"rate_limit_per_minute": PER_MINUTE})


def limits(answer: httpx2.Response) -> list[str | None]:
    return [answer.headers.get(f"ratelimit-{name}") for name in ("limit", "remaining", "reset")]


def test_a_key_has_its_own_minute(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    mine, others = (customer(database, server_secrets).headers for _ in range(2))
    for left, reset in ((2, 20), (1, 40), (0, 60)):
        answer = client.get("/v1/credits", headers=mine)
        assert answer.status_code == 200
        assert limits(answer) == ["3", str(left), str(reset)]
    answer = client.get("/v1/credits", headers=mine)
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "RATE_LIMITED"
    assert 18 <= int(answer.headers["retry-after"]) <= 20
    assert limits(answer)[:2] == ["3", "0"]
    assert client.get("/v1/credits", headers=others).status_code == 200


def test_errors_bear_it_too(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    lacking = customer(database, server_secrets, allowed=(Scope.SPLITS_READ,))
    answer = client.get("/v1/credits", headers=lacking.headers)
    assert (answer.status_code, limits(answer)) == (403, ["3", "2", "20"])


def test_without_a_good_key_the_address_counts(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    good = customer(database, server_secrets).headers
    bad = {"Authorization": good["Authorization"].swapcase()}
    attempts = [{}, bad, {"Authorization": "Basic abc"}, bad, {}]
    answers = [client.get("/v1/credits", headers=headers) for headers in attempts]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert int(answers[-1].headers["retry-after"]) > 0
    # Whoever else is behind that address is not locked out.
    assert client.get("/v1/credits", headers=good).status_code == 200


def test_health_is_not_counted(client: httpx2.Client) -> None:
    answers = [client.get("/healthz") for _ in range(PER_MINUTE * 2)]
    assert {answer.status_code for answer in answers} == {200}
    assert limits(answers[0]) == [None, None, None]


@pytest.fixture
def unlimited(
    settings: Settings, database: Database, server_secrets: Secrets
) -> Iterator[httpx2.Client]:
    settings = settings.model_copy(update={"rate_limit_per_minute": 0})
    with serving(create_app(settings, database, server_secrets)) as client:
        yield client


def test_zero_switches_it_off(
    unlimited: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    mine = customer(database, server_secrets).headers
    answers = [unlimited.get("/v1/credits", headers=mine) for _ in range(20)]
    answers += [unlimited.get("/v1/credits") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200, 401}
    assert limits(answers[0]) == [None, None, None]


def test_an_address_of_ipv6_counts_for_its_network() -> None:
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff:1") == "2001:db8::/64"
    assert neighbourhood("2001:db8:0:1::1") != neighbourhood("2001:db8::1")
    assert neighbourhood("192.0.2.1") == "192.0.2.1"
    assert neighbourhood("") == ""


def test_what_is_forgotten_is_what_was_seen_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aistemsplitter_server.api.rate_limits.REMEMBERED", 2)
    few = RateLimits(1)
    few.take("a")
    few.take("b")
    with pytest.raises(RateLimited):
        few.take("a")
    few.take("c")  # there is room for two: b goes
    with pytest.raises(RateLimited):
        few.take("a")
    few.take("b")
