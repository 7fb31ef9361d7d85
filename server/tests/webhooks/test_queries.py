from __future__ import annotations

from typing import Any

import pytest

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.webhooks import queries, service
from customers import Customer
from databases import only_sqlite
from query_plans import planned


def test_filters(someone: Customer, server_secrets: Secrets) -> None:
    account_id, key_id = someone.caller.account_id, someone.caller.key_id
    with someone.database.write() as session:
        second = accounts.create_key(session, server_secrets, account_id)
        made = [
            service.send_test(session, account_id, key, f"https://a.example/{path}", kind)
            for key, path, kind in (
                (key_id, "Hook_1", "split.succeeded"),
                (key_id, "hookx1", "split.failed"),
                (second.id, "100%", "split.failed"),
            )
        ]
        made[2][0].state = "failed"
    with someone.database.read() as session:

        def found(**by: Any) -> list[int]:
            page = queries.page(session, account_id, limit=10, **by)
            ids = [each.id for each, _ in made]
            return [ids.index(each.id) for each, _ in page]

        assert found() == [2, 1, 0]
        assert found(url_part="hook_") == [0]
        assert found(url_part="HOOK") == [1, 0]
        assert found(url_part="%") == [2]
        assert found(kind="split.failed") == [2, 1]
        assert found(key_id=second.id) == [2]
        assert found(split_id=made[1][1].split_id) == [1]
        assert found(state="failed") == [2]
        assert found(state="failed", key_id=key_id) == []


@only_sqlite
@pytest.mark.parametrize("is_test", [None, False])
@pytest.mark.parametrize("state", ["pending", "failed"])
def test_rare_states_are_read_from_their_index(
    someone: Customer, state: str, is_test: bool | None
) -> None:
    account_id = someone.caller.account_id
    with planned(someone.database) as plans, someone.database.read() as session:
        queries.page(session, account_id, is_test=is_test, state=state, limit=10)
    assert "INDEX ix_deliveries_undelivered (account_id=? AND state=?)" in plans[0]
    assert "ORDER BY" not in plans[0]
