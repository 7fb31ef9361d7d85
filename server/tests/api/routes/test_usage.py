from __future__ import annotations

import httpx2
import pytest

from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from customers import Customer, customer

USAGE = "/v1/usage"


def test_usage_by_day(client: httpx2.Client, someone: Customer) -> None:
    someone.split(20.2)
    someone.split(30)
    answer = client.get(USAGE, headers=someone.headers)
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert list(data) == ["start", "end", "seconds", "splits", "days"]
    assert (data["seconds"], data["splits"], len(data["days"])) == (51, 2, 30)
    used = [day for day in data["days"] if day["splits"]]  # two if midnight has just passed
    assert sum(day["seconds"] for day in used) == 51
    assert [data["start"], data["end"]] == [data["days"][0]["day"], data["days"][-1]["day"]]


def test_a_period(client: httpx2.Client, someone: Customer) -> None:
    someone.split()
    params = {"start": "2026-01-31", "end": "2026-03-02"}
    data = client.get(USAGE, headers=someone.headers, params=params).json()["data"]
    assert [data["start"], data["end"], data["seconds"]] == ["2026-01-31", "2026-03-02", 0]
    assert len({day["day"] for day in data["days"]}) == 31
    first = client.get(USAGE, headers=someone.headers, params={"end": "2000-01-01"})
    assert len(first.json()["data"]["days"]) == 1


@pytest.mark.parametrize(
    "params",
    [
        {"start": "2026-01-30", "end": "2026-03-02"},
        {"start": "2026-03-03", "end": "2026-03-02"},
        {"end": "9999-12-31"},
        {"start": "0001-01-01", "end": "0001-01-02"},
        {"start": "yesterday"},
    ],
    ids=repr,
)
def test_not_a_period(client: httpx2.Client, someone: Customer, params: dict[str, str]) -> None:
    answer = client.get(USAGE, headers=someone.headers, params=params)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")


def test_a_test_key_used_nothing(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    tester = customer(database, server_secrets, test=True)
    tester.split()
    data = client.get(USAGE, headers=tester.headers).json()["data"]
    assert (data["seconds"], data["splits"], len(data["days"])) == (0, 0, 30)


def test_it_needs_a_scope(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    limited = customer(database, server_secrets, allowed=(Scope.SPLITS_READ,))
    assert client.get(USAGE, headers=limited.headers).status_code == 403
