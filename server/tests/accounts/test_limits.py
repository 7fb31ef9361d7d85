from __future__ import annotations

import pytest

from aistemsplitter_server.accounts import limits
from aistemsplitter_server.accounts.limits import Limits
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import NotFound, ValidationFailed
from aistemsplitter_server.kit.settings import Settings
from customers import Customer


def of(database: Database, settings: Settings, someone: Customer) -> Limits:
    with database.read() as session:
        return limits.limits_of(session, settings, someone.caller.account_id)


def test_settings_are_the_defaults(
    database: Database, settings: Settings, someone: Customer
) -> None:
    found = of(database, settings.model_copy(update={"account_keys": 7}), someone)
    assert (found.keys, found.stored_bytes) == (7, 100 << 30)


def test_the_operator_overrides_them_for_one_account(
    database: Database, settings: Settings, someone: Customer
) -> None:
    with database.write() as session:
        limits.set_limits(session, someone.caller.account_id, {"keys": 3, "streams": 0})
    assert (of(database, settings, someone).keys, of(database, settings, someone).streams) == (3, 0)
    with database.write() as session:
        limits.set_limits(session, someone.caller.account_id, {"keys": 4, "streams": None})
    changed = of(database, settings, someone)
    assert (changed.keys, changed.streams) == (4, settings.account_streams)


def test_invalid_limits_are_rejected(database: Database, someone: Customer) -> None:
    with pytest.raises(ValidationFailed, match="songs: is not a limit"), database.write() as it:
        limits.set_limits(it, someone.caller.account_id, {"songs": 1})
    with pytest.raises(ValidationFailed, match="keys: must be from 0"), database.write() as it:
        limits.set_limits(it, someone.caller.account_id, {"keys": -1})
    with pytest.raises(NotFound), database.write() as it:
        limits.set_limits(it, "acc_none", {"keys": 1})
