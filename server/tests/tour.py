"""A used service and its pages, for screenshots and for tests of every page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import httpx2
from sqlalchemy import select

from aistemsplitter_server.accounts import people, service, standing
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.operations import opening
from aistemsplitter_server.splits import sharing
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.webhooks.tables import Delivery
from fake_stripe import FakeStripe, fake_stripe
from peers import Peer, answers
from processes import Service, ended, running, split, state, until, upload
from visitors import Visitor, person

OWNER = "owner@example.org"
NOT_SIGNED_IN = ("sign-in", "join", "shared")


@dataclass(frozen=True)
class Tour:
    """Paths of the pages, and the service's URL and database."""

    base_url: str
    database: Database
    pages: Mapping[str, str]  # paths by name


@contextmanager
def tour(settings: Settings) -> Iterator[Tour]:
    """Start the service, use it for a while, and keep it running for the block."""
    database = Database(settings.database)
    keys = secrets.load(settings.data)
    owner = person(database, keys, OWNER, owner=True)
    with database.write() as session:
        credits.grant(session, owner.account_id, 150 * 60, "pack of 150 minutes")
        key = service.create_key(session, keys, owner.account_id, name="shop on the web")
        service.create_key(session, keys, owner.account_id, name="trying out", test=True)
        choir = opening.open_account(session, "Choir of St. Mary", free_seconds=600)
        band = opening.open_account(session, "A band that did not pay", free_seconds=600)
        standing.suspend(session, band.id)
        actor = audit.command_line()
        audit.record(session, band.id, actor, Action.ACCOUNT_SUSPENDED, reason="did not pay")
        invitation = people.link(session, keys, choir.id, note="conductor@example.org")
    with (
        Peer([answers(200)]) as shop,
        fake_stripe() as stripe,
        running(settings) as service_,
        ExitStack() as stack,
    ):
        sold = {**stripe.settings, "pack_prices": "[500, 1200, 3000]"}
        service_.environment |= {PREFIX + name.upper(): str(value) for name, value in sold.items()}
        client = stack.enter_context(service_.api())
        service_.start("worker")
        theirs = {"Authorization": f"Bearer {key.api_key}"}
        done = _split(service_, client, theirs, shop.url)
        visitor = Visitor(client)
        visitor.sign_in(OWNER)
        page = visitor.get(f"/studio/songs/{done}").text  # makes the listening copies
        assert "</html>" in page
        until(lambda: '"ready"' in visitor.get(f"/studio/songs/{done}/player.json").text)
        with database.write() as session:
            made = session.get_one(Split, done)
            share = sharing.share(session, keys, made, timedelta(days=7))
            delivery = session.scalars(select(Delivery)).first()
            broken = session.scalars(select(Split).where(Split.filename == "song.mp3")).one()
        assert delivery is not None
        yield Tour(
            f"http://localhost:{client.base_url.port}",
            database,
            {
                "sign-in": "/sign-in",
                "join": f"/join/{invitation}",
                "studio": "/studio",
                "song": f"/studio/songs/{done}",
                "shared": f"/shared/{sharing.token(keys, share)}",
                "developer": "/settings/developer",
                "new-key": "/settings/developer/keys/new",
                "webhooks": "/settings/webhooks",
                "delivery": f"/settings/webhooks/{delivery.id}",
                "test-event": "/settings/webhooks/test",
                "usage": "/settings/usage",
                "paid": _bought(visitor, stripe, pay=True),
                "not-paid": _bought(visitor, stripe, pay=False) + "?cancelled=1",
                "people": "/settings/people",
                "activity": "/settings/activity",
                "account": "/settings/account",
                "operator": "/operator",
                "operator-accounts": "/operator/accounts",
                "operator-account": f"/operator/accounts/{choir.id}",
                "operator-failures": "/operator/failures",
                "operator-suspended": f"/operator/accounts/{band.id}",
                "operator-audit": "/operator/audit",
                "operator-split": f"/operator/splits/{broken.id}",
                "failed-song": f"/studio/songs/{broken.id}",
                "nothing": "/nothing-here",
            },
        )
    database.close()


def _bought(visitor: Visitor, stripe: FakeStripe, *, pay: bool) -> str:
    """Buy a pack, or cancel; return the page to come back to."""
    sent = visitor.post("/settings/usage/buy", {"minutes": "50"})
    session_id = sent.headers["location"].rpartition("/")[2]
    if pay:
        stripe.pay(session_id)
    return urlsplit(stripe.sessions[session_id]["success_url"]).path


def _split(service_: Service, client: httpx2.Client, headers: dict[str, str], hook: str) -> str:
    """Submit a song that succeeds, one that fails and one that is cancelled; return the first."""
    client.headers.update(headers)
    done = split(client, upload(client), stemModel="htdemucs_ft", webhookUrl=f"{hook}/stems")
    broken = client.post(
        "/v1/audio/splits",
        json={
            "input": {"type": "direct_url", "url": f"{hook}/song.mp3"},
            "stemModel": "htdemucs_tiny",
        },
    ).json()["data"]["id"]
    assert ended(client, done)["status"] == "succeeded", service_.log()
    assert ended(client, broken)["status"] == "failed"
    stopped = split(client, upload(client))
    client.post(f"/v1/audio/splits/{stopped}/cancel")
    assert state(client, stopped)["status"] == "failed"
    until(lambda: "delivered" in client.get("/v1/webhooks/deliveries").text)
    del client.headers["Authorization"]
    return done
