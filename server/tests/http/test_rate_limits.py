from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from aistemsplitter_server.accounts import limits as account_limits
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.app import create_app
from aistemsplitter_server.http.rate_limit_store import RateLimitStore, Taken
from aistemsplitter_server.http.rate_limits import RateLimits, neighbourhood
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import RateLimited
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from customers import customer
from serving import serving

PER_MINUTE = 3  # a request is allowed again after twenty seconds, long after the test


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"rate_limit_per_minute": PER_MINUTE})


def limits(answer: httpx2.Response) -> list[str | None]:
    return [answer.headers.get(f"ratelimit-{name}") for name in ("limit", "remaining", "reset")]


def test_each_key_has_its_own_allowance(
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


def test_errors_have_rate_limit_headers(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    lacking = customer(database, server_secrets, allowed=(Scope.SPLITS_READ,))
    answer = client.get("/v1/credits", headers=lacking.headers)
    assert (answer.status_code, limits(answer)) == (403, ["3", "2", "20"])


def test_invalid_keys_count_for_the_address(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    good = customer(database, server_secrets).headers
    bad = {"Authorization": good["Authorization"].swapcase()}
    attempts = [{}, bad, {"Authorization": "Basic abc"}, bad, {}]
    answers = [client.get("/v1/credits", headers=headers) for headers in attempts]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert int(answers[-1].headers["retry-after"]) > 0
    # Valid keys from that address are not locked out.
    assert client.get("/v1/credits", headers=good).status_code == 200


def test_health_is_not_counted(client: httpx2.Client) -> None:
    answers = [client.get("/healthz") for _ in range(PER_MINUTE * 2)]
    assert {answer.status_code for answer in answers} == {200}
    assert limits(answers[0]) == [None, None, None]


@pytest.fixture
def unlimited(
    settings: Settings, database: Database, server_secrets: Secrets
) -> Iterator[httpx2.Client]:
    off = {"rate_limit_per_minute": 0, "account_requests_per_minute": 0}
    settings = settings.model_copy(update=off)
    with serving(create_app(settings, database, server_secrets)) as client:
        yield client


def test_zero_disables_the_limit(
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


def test_processes_count_together(
    client: httpx2.Client,
    settings: Settings,
    database: Database,
    server_secrets: Secrets,
) -> None:
    mine = customer(database, server_secrets).headers
    with serving(create_app(settings, database, server_secrets)) as another:
        answers = [
            each.get("/v1/credits", headers=headers)
            for headers in (mine, {})
            for each in (client, another, client, another)
        ]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] + [401] * 3 + [429]
    assert [limits(answer)[1] for answer in answers[:4]] == ["2", "1", "0", "0"]


def test_an_accounts_keys_share_its_allowance(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    someone = customer(database, server_secrets)
    with database.write() as session:
        account_limits.set_limits(session, someone.caller.account_id, {"requests_per_minute": 4})
        key = accounts.create_key(session, server_secrets, someone.caller.account_id)
    other = {"Authorization": f"Bearer {key.api_key}"}
    answers = [
        client.get("/v1/credits", headers=headers)
        for headers in (someone.headers, other, someone.headers, other, someone.headers)
    ]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    # The headers report the smaller remaining allowance.
    assert [limits(answer)[:2] for answer in answers] == [
        *(["3", "2"], ["3", "2"], ["3", "1"], ["4", "0"], ["4", "0"])
    ]


@pytest.fixture
def processes(settings: Settings, database: Database) -> list[RateLimits]:
    """The limits as two processes see them."""
    return [RateLimits(database, RateLimitStore(database, settings.data)) for _ in range(2)]


def granted(processes: list[RateLimits], who: str, per_minute: int, times: int) -> int:
    """Return how many requests, sent to the processes in turn, are let through."""
    count = 0
    for number in range(times):
        try:
            processes[number % len(processes)].take_blocking(who, per_minute)
        except RateLimited:
            continue
        count += 1
    return count


def test_requests_taken_in_advance_are_within_the_limit(processes: list[RateLimits]) -> None:
    # A request is restored every 0.1 s, and the loop takes less than a few seconds.
    passed = granted(processes, "key_1", 600, 700)
    assert 570 <= passed <= 680


def test_most_requests_of_a_busy_caller_do_not_use_the_database(
    processes: list[RateLimits], monkeypatch: pytest.MonkeyPatch
) -> None:
    take, asked = RateLimitStore.take, []

    def counting(self: RateLimitStore, who: str, *args: Any, **named: Any) -> Taken:
        asked.append(who)
        return take(self, who, *args, **named)

    monkeypatch.setattr(RateLimitStore, "take", counting)
    assert granted(processes, "key_1", 6000, 1000) == 1000
    assert len(asked) < 100
    asked.clear()
    assert granted(processes, "10.0.0.1", 1, 1000) == 1
    assert len(asked) <= 4  # a caller without allowance is refused without a query


def test_requests_are_allowed_while_the_database_fails(
    client: httpx2.Client,
    database: Database,
    server_secrets: Secrets,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_args: object, **_named: object) -> Taken:
        raise OperationalError("", {}, Exception("disk I/O error"))

    mine = customer(database, server_secrets).headers
    monkeypatch.setattr(RateLimitStore, "take", fail)
    answers = [client.get("/v1/credits", headers=mine) for _ in range(PER_MINUTE + 1)]
    assert {answer.status_code for answer in answers} == {200}


def test_full_allowances_are_not_kept_in_memory(settings: Settings, database: Database) -> None:
    store = RateLimitStore(database, settings.data)
    for number in range(50):
        store.take(f"address {number}", 600_000)
    store.take("key_1", 1)

    def known() -> int:
        with store._engine.connect() as connection:
            return connection.scalar(text("SELECT count(*) FROM rate_limits")) or 0

    assert known() > 1
    for _ in range(200):
        store.take("key_1", 1)
    assert known() == 1
