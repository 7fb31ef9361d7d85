"""What people have set in the player of a split: per person, and gone with the audio."""

from __future__ import annotations

from typing import Any

import pytest

from aistemsplitter_server.accounts import members
from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import NotFound
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import deletion, deletion_queries, remembering
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage.configured import configured
from customers import of as customer_of
from visitors import person

STRIP = {"volume": 0.5, "pan": -1, "muted": True, "soloed": False}


def state(**fields: Any) -> remembering.State:
    """Return a state as the browser sends it."""
    return remembering.State.model_validate(
        {
            "mix": {"strips": {"drums": STRIP}, "original": False, "volume": 1},
            "region": {"start": 0, "end": 44100},
            "loops": True,
            "speed": 0.75,
            "position": 1234.5,
            "savedAt": 1_760_000_000_000,
            **fields,
        }
    )


@pytest.fixture
def people(database: Database, server_secrets: Secrets) -> tuple[Person, Person]:
    """Two people of one account."""
    ada = person(database, server_secrets, "ada@example.org")
    bo = person(database, server_secrets, "bo@example.org", account_id=ada.account_id)
    return ada, bo


@pytest.fixture
def split(
    settings: Settings, database: Database, server_secrets: Secrets, people: tuple[Person, Person]
) -> Split:
    """A song on which both have set something."""
    ada, bo = people
    storage = configured(settings, server_secrets)
    made = customer_of(database, ada.account_id, ada.id).finished(storage)
    with database.write() as session:
        remembering.save(session, ada.id, made, state(speed=0.5))
        remembering.save(session, ada.id, made, state(speed=0.75))
        remembering.save(session, bo.id, made, state(speed=2))
    return made


def speeds(database: Database, people: tuple[Person, Person], split: Split) -> list[float | None]:
    """Return the speeds that the people have set."""
    with database.read() as session:
        found = [remembering.of(session, each.id, split.id) for each in people]
    return [each and each["speed"] for each in found]


def test_the_last_state_of_each_person(
    database: Database, people: tuple[Person, Person], split: Split
) -> None:
    assert speeds(database, people, split) == [0.75, 2]
    with database.read() as session:
        found = remembering.of(session, people[0].id, split.id)
    assert found == state().model_dump(mode="json", by_alias=True)


def test_states_go_with_the_split(
    database: Database, people: tuple[Person, Person], split: Split
) -> None:
    with database.write() as session:
        deletion.delete(session, session.get_one(Split, split.id))
    assert speeds(database, people, split) == [None, None]


def test_states_go_with_the_audio(
    database: Database, people: tuple[Person, Person], split: Split
) -> None:
    with database.write() as session:
        session.get_one(Split, split.id).expires_at = times.now()
        deletion_queries.set_swept(session, [split.id], times.now())
    assert speeds(database, people, split) == [None, None]
    with database.write() as session, pytest.raises(NotFound):  # a page is still open
        remembering.save(session, people[0].id, session.get_one(Split, split.id), state())
    assert speeds(database, people, split) == [None, None]


def test_states_go_with_the_person(
    database: Database, people: tuple[Person, Person], split: Split
) -> None:
    ada, bo = people
    with database.write() as session:
        members.remove(session, ada.account_id, bo.id)
    assert speeds(database, people, split) == [0.75, None]
