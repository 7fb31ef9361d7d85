from __future__ import annotations

import json

from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.audit import service
from aistemsplitter_server.kit import ids
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.configured import configured
from audit_log import actions, entries
from customers import Customer
from databases import only_sqlite
from visitors import Visitor


@only_sqlite
def test_actions_of_people(
    signed_in: Visitor,
    ada: Person,
    hers: Customer,
    adas: Customer,
    database: Database,
    settings: Settings,
    server_secrets: Secrets,
) -> None:
    key_id = ids.new("key")
    signed_in.post("/settings/developer/keys", {"id": key_id, "scope": "splits:read"})
    signed_in.post(f"/settings/developer/keys/{key_id}/revoke")
    signed_in.post("/settings/people/links", {"note": "bo"})
    sample = {"url": "https://example.com/?token=hidden", "key": adas.caller.key_id}
    sent = signed_in.post("/settings/webhooks/test", sample)
    signed_in.post(sent.headers["location"] + "/replay")
    kept = hers.finished(configured(settings, server_secrets))
    signed_in.post(f"/studio/songs/{kept.id}/keep")
    title = "A new/../title v1.2 \u202e"
    signed_in.post(f"/studio/songs/{kept.id}/rename", {"title": title})
    assert "A new_.._title v1.2" in signed_in.get(f"/studio/songs/{kept.id}").text
    split = hers.split()
    signed_in.post(f"/studio/songs/{split.id}/cancel")
    signed_in.post(f"/studio/songs/{split.id}/again")
    signed_in.post(f"/studio/songs/{split.id}/delete")
    signed_in.post("/sign-out")
    signed_in.sign_in(ada.email, "not this one")
    assert actions(database, ada.account_id, ada.id) == [
        "key.created",
        "key.revoked",
        "person.invited",
        "person.signed_in",
        "person.signed_out",
        "split.canceled",
        "split.deleted",
        "split.kept",
        "split.renamed",
        "split.retried",
        "webhook.replayed",
        "webhook.test_sent",
    ]
    assert actions(database, ada.account_id, service.ANONYMOUS) == ["person.sign_in_failed"]
    assert "hidden" not in json.dumps([e.details for e in entries(database, ada.account_id)])


@only_sqlite
def test_people_only_see_their_accounts_log(
    signed_in: Visitor, stranger: Visitor, owner: Visitor, ada: Person
) -> None:
    suspend = {"reason": "not for their eyes"}
    owner.post(f"/operator/accounts/{ada.account_id}/suspend", suspend)
    owner.post(f"/operator/accounts/{ada.account_id}/resume")
    signed_in.post("/settings/people/links", {"note": "for bo"})
    page = signed_in.get("/settings/activity").text
    assert "note: for bo" in page
    assert ">account.suspended</span>" in page
    assert "Operator or service" in page
    assert "not for their eyes" not in page
    assert "owner@example.org" not in page
    assert "for bo" not in stranger.get("/settings/activity").text
    assert signed_in.get("/settings/activity?before=aud_0").text.count("<tr>") == 0


@only_sqlite
def test_a_sign_in_with_an_unknown_email_does_not_store_it(
    visitor: Visitor, database: Database
) -> None:
    """People sometimes type their password into the wrong field."""
    visitor.sign_in("my password")
    (entry,) = entries(database, None)
    assert (entry.action, entry.details) == ("person.sign_in_failed", {"address": "127.0.0.1"})


def test_actions_of_the_operator(owner: Visitor, database: Database, ada: Person) -> None:
    path = f"/operator/accounts/{ada.account_id}"
    form = {"kind": "grant", "minutes": "5", "reason": "thanks"}
    for change in ({"entry": ids.new("ent")}, {"entry": ids.new("ent"), "kind": "withdrawal"}):
        for _ in range(2):  # a double click is one change, and one entry
            owner.post(f"{path}/credits", form | change)
    owner.post(f"{path}/links", {"person": ada.id})
    found = {e.action: e for e in entries(database, ada.account_id)}
    assert list(found) == ["credits.granted", "credits.withdrawn", "person.password_link_created"]
    assert found["credits.granted"].details == {"seconds": 300, "reason": "thanks"}
    assert found["credits.withdrawn"].details == {"seconds": 300, "reason": "thanks"}
    assert found["credits.granted"].actor.startswith("usr_")
