from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import func, select

import aistemsplitter
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import Conflict, NotFound, ValidationFailed
from aistemsplitter_server.kit.outgoing import Outgoing
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.webhooks import queries, receivers, service
from aistemsplitter_server.webhooks.tables import Delivery, Receiver
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.delivering import deliver
from customers import Customer, customer
from deliveries import attempt_now, attempts, delivery, failed_split, headers
from peers import Peer, answers


@pytest.mark.parametrize("kind", ["split.succeeded", "split.failed"])
def test_a_test_event(context: WorkerContext, someone: Customer, kind: service.EventType) -> None:
    account_id, key_id = someone.caller.account_id, someone.caller.key_id
    with Peer([answers(500), answers(204)]) as peer:
        with someone.database.write() as session:
            sent, _ = service.send_test(session, account_id, key_id, f"{peer.url}/hook", kind)
        deliver(context, sent.id)
        attempt_now(context, someone)
    payload = json.loads(peer.requests[1].body)
    assert list(payload) == ["id", "type", "event", "createdAt", "test", "data"]
    verified = aistemsplitter.verify_signature(
        headers(peer.requests[1]), peer.requests[1].body, someone.webhook_secret
    )
    assert (verified.type, verified.test) == (kind, True)
    assert verified.data.status == kind.removeprefix("split.")
    assert bool(verified.data.stems) == (kind == "split.succeeded")
    assert (verified.data.error is None) == (kind == "split.succeeded")
    found = delivery(someone)
    assert (found.state, found.attempts) == ("delivered", 2)
    with someone.database.read() as session:
        assert session.get(Split, verified.data.id) is None


def test_a_test_event_to_a_private_address(context: WorkerContext, someone: Customer) -> None:
    strict = WorkerContext(
        context.settings, context.database, context.secrets, context.storage, Outgoing(), "wrk_2"
    )
    account_id, key_id = someone.caller.account_id, someone.caller.key_id
    with Peer([answers(200)]) as peer:
        with someone.database.write() as session:
            service.send_test(session, account_id, key_id, peer.url, "split.succeeded")
        deliver(strict, delivery(someone).id)
    assert peer.requests == []
    assert "private or not allowed" in (attempts(someone)[0].error or "")


def test_a_test_event_is_refused(someone: Customer, server_secrets: Secrets) -> None:
    other = customer(someone.database, server_secrets)
    good = "https://receiver.example/"
    with someone.database.write() as session:
        account_id, key_id = someone.caller.account_id, someone.caller.key_id
        with pytest.raises(NotFound):
            service.send_test(session, account_id, other.caller.key_id, good, "split.failed")
        for url in ("ftp://receiver.example/", "https://", "https://user@receiver.example/", "x"):
            with pytest.raises(ValidationFailed, match="url"):
                service.send_test(session, account_id, key_id, url, "split.failed")
        accounts.revoke_key(session, account_id, key_id)
        with pytest.raises(Conflict):
            service.send_test(session, account_id, key_id, good, "split.failed")
    with someone.database.read() as session:
        assert session.scalar(select(func.count(Delivery.id))) == 0


def test_a_receiver_is_enabled_again(someone: Customer, server_secrets: Secrets) -> None:
    url, other = "http://127.0.0.1:9/hook?job=1", customer(someone.database, server_secrets)
    account_id = someone.caller.account_id
    with someone.database.write() as session:
        long_ago = times.now() - timedelta(days=6)
        for each in (account_id, other.caller.account_id):
            row = Receiver(
                account_id=each,
                url=receivers.origin(url),
                failing_since=long_ago,
                disabled_at=times.now(),
                disabled_reason="disabled",
            )
            session.add(row)
    with someone.database.write() as session:
        with pytest.raises(NotFound):
            receivers.enable(session, account_id, "http://127.0.0.1:10/")
        receivers.enable(session, account_id, url)
    with someone.database.read() as session:
        assert queries.disabled(session, account_id) == []
        (theirs,) = queries.disabled(session, other.caller.account_id)
        assert theirs.failing_since == long_ago
    failed_split(someone, url)
    assert delivery(someone).state == "pending"
