from __future__ import annotations

import hmac
import json
from base64 import b64decode, b64encode
from datetime import timedelta
from hashlib import sha256
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

import aistemsplitter
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts import standing, webhook_secrets
from aistemsplitter_server.accounts.tables import ApiKey
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.outgoing import Outgoing
from aistemsplitter_server.operations import closing
from aistemsplitter_server.splits import payloads
from aistemsplitter_server.webhooks import attempts as attempting
from aistemsplitter_server.webhooks import schedule, service
from aistemsplitter_server.webhooks.tables import Attempt, Delivery, Event, Receiver
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.delivering import deliver
from customers import Customer
from deliveries import attempt_now, attempts, delivery, failed_split, headers
from peers import Peer, answers, hangs
from sweeps import sweep


def test_an_event_for_every_end(someone: Customer) -> None:
    failed_split(someone, None)
    with someone.database.read() as session:
        assert session.scalars(select(Event)).one().type == "split.failed"
        assert session.scalar(select(func.count(Delivery.id))) == 0


def test_delivered(context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(204)]) as peer:
        split_id = failed_split(someone, f"{peer.url}/hook?a=1")
        deliver(context, delivery(someone).id)
        deliver(context, delivery(someone).id)  # it is no longer due
    (request,) = peer.requests
    assert request.line == "POST /hook?a=1 HTTP/1.1"
    payload = json.loads(request.body)
    assert list(payload) == ["id", "type", "event", "createdAt", "data"]
    assert (payload["type"], payload["event"]) == ("split.failed", "audio.split.completed")
    assert payload["data"]["id"] == split_id
    assert payload["data"]["error"]["code"] == "CANCELED"
    assert "stems" not in payload["data"]
    event = aistemsplitter.verify_signature(headers(request), request.body, someone.webhook_secret)
    assert event.data.id == split_id
    found = delivery(someone)
    assert (found.state, found.attempts) == ("delivered", 1)
    (attempt,) = attempts(someone)
    assert attempt.status == 204
    assert attempt.latency_seconds is not None


def test_standard_webhooks(context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(200)]) as peer:
        failed_split(someone, peer.url)
        deliver(context, delivery(someone).id)
    sent = headers(peer.requests[0])
    message = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode()
    key = b64decode(someone.webhook_secret.removeprefix("whsec_"))
    signature = hmac.digest(key, message + peer.requests[0].body, sha256)
    assert sent["webhook-signature"] == f"v1,{b64encode(signature).decode()}"
    assert sent["webhook-id"].startswith("evt_")


def test_a_failed_attempt_is_retried(context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(500, b"oh " * 5000), answers(200)]) as peer:
        failed_split(someone, peer.url)
        deliver(context, delivery(someone).id)
        found = delivery(someone)
        assert found.state == "pending"
        assert found.next_attempt_at is not None
        assert timedelta(seconds=3) < found.next_attempt_at - times.now() < timedelta(seconds=6)
        attempt_now(context, someone)
    assert delivery(someone).state == "delivered"
    first, second = attempts(someone)
    assert (first.status, second.status) == (500, 200)
    assert first.excerpt is not None
    assert len(first.excerpt) == 2048
    ids = [json.loads(request.body)["id"] for request in peer.requests]
    assert ids[0] == ids[1]


def test_an_unreachable_and_a_forbidden_receiver(context: WorkerContext, someone: Customer) -> None:
    with Peer([hangs]) as peer:
        unreachable = peer.url
    failed_split(someone, unreachable)
    deliver(context, delivery(someone).id)
    (attempt,) = attempts(someone)
    assert attempt.status is None
    assert attempt.error is not None
    strict = WorkerContext(
        context.settings,
        context.database,
        context.secrets,
        context.storage,
        Outgoing(),
        "wrk_2",
    )
    attempt_now(strict, someone)
    assert "private or not allowed" in (attempts(someone)[1].error or "")


def test_a_redirect_is_not_followed(context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(200)]) as other, Peer([answers(302, Location=other.url)]) as peer:
        failed_split(someone, peer.url)
        deliver(context, delivery(someone).id)
    assert other.requests == []
    assert attempts(someone)[0].status == 302
    assert delivery(someone).state == "pending"


def test_status_410_ends_the_delivery(context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(410)]) as peer:
        failed_split(someone, peer.url)
        deliver(context, delivery(someone).id)
    found = delivery(someone)
    assert (found.state, found.next_attempt_at) == ("failed", None)


def test_a_delivery_fails_after_the_last_attempt(context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(503)]) as peer:
        failed_split(someone, peer.url)
        for _ in range(12):
            attempt_now(context, someone)
    found = delivery(someone)
    assert (found.state, found.attempts) == ("failed", 1 + len(schedule.PAUSES))
    assert found.reason == "failed after 9 attempts"


def test_a_receiver_is_disabled_after_five_days(context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(500), answers(500), answers(200)]) as peer:
        failed_split(someone, peer.url)
        deliver(context, delivery(someone).id)
        with someone.database.write() as session:
            long_ago = times.now() - timedelta(days=5)
            session.execute(update(Receiver).values(failing_since=long_ago))
        attempt_now(context, someone)
        found = delivery(someone)
        assert (found.state, "5 days" in (found.reason or "")) == ("failed", True)
        failed_split(someone, f"{peer.url}/other?song=2")  # the whole host is disabled
    with someone.database.read() as session:
        newest = session.scalars(select(Delivery).order_by(Delivery.id.desc())).first()
    assert newest is not None
    assert (newest.state, newest.attempts, newest.reason) == ("failed", 0, found.reason)
    assert len(peer.requests) == 2


def test_deliveries_of_test_keys_leave_receivers_of_live_keys_alone(
    context: WorkerContext, someone: Customer
) -> None:
    with Peer([answers(500), answers(200)]) as peer:
        account_id = someone.caller.account_id
        failing = {"failing_since": times.now() - timedelta(days=6)}
        disabled = {"disabled_at": times.now(), "disabled_reason": "disabled"}

        def receiver() -> Receiver:
            with someone.database.read() as session:
                return session.scalars(select(Receiver)).one()

        def test_delivery() -> str:
            with someone.database.write() as session:
                event = session.scalars(select(Event)).one()
                event.is_test = True
                return service.send(session, event, peer.url).id

        failed_split(someone, None)
        with someone.database.write() as session:
            session.add(Receiver(account_id=account_id, url=peer.url, **failing))
        deliver(context, test_delivery())  # fails
        assert receiver().disabled_at is None
        with someone.database.write() as session:
            session.execute(update(Receiver).values(**disabled))
        delivered = test_delivery()
        deliver(context, delivered)  # succeeds
        assert len(peer.requests) == 2
        assert receiver().disabled_reason == "disabled"
        with someone.database.write() as session:
            service.replay(session, account_id, delivered, is_test=True)
        assert receiver().disabled_reason == "disabled"


def test_a_worker_dies_during_an_attempt(context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(200)]) as peer:
        failed_split(someone, peer.url)
        with someone.database.write() as session:
            attempting.begin(session, delivery(someone).id)
        due = delivery(someone).next_attempt_at
        assert due is not None
        assert due - times.now() <= attempting.LEASE  # it becomes due again
        deliver(context, delivery(someone).id)
        assert peer.requests == []
        attempt_now(context, someone)
    assert (delivery(someone).state, delivery(someone).attempts) == ("delivered", 2)
    assert [attempt.status for attempt in attempts(someone)] == [None, 200]


def test_an_account_deleted_during_an_attempt(
    context: WorkerContext, someone: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = someone.caller.account_id
    render = payloads.render

    def render_after_deletion(*args: Any) -> Any:
        with someone.database.write() as session:
            standing.start_deletion(session, account_id)
        closing.finish(someone.database, account_id)
        return render(*args)

    monkeypatch.setattr(payloads, "render", render_after_deletion)
    with Peer([answers(200)]) as peer:
        failed_split(someone, peer.url)
        deliver(context, delivery(someone).id)
    aistemsplitter.verify_signature(
        headers(peer.requests[0]), peer.requests[0].body, someone.webhook_secret
    )
    with someone.database.read() as session:
        for table in (Delivery, Attempt, Event, Receiver, ApiKey):
            assert session.scalar(select(func.count()).select_from(table)) == 0


def test_attempts_without_an_outcome_are_limited(someone: Customer) -> None:
    """As if every worker had died during its attempt."""
    failed_split(someone, "http://127.0.0.1:9/")
    for _ in range(schedule.ATTEMPTS + 1):
        with someone.database.write() as session:
            session.execute(update(Delivery).values(next_attempt_at=times.now()))
            attempting.begin(session, delivery(someone).id)
    found = delivery(someone)
    assert (found.state, found.attempts) == ("failed", schedule.ATTEMPTS)
    assert found.next_attempt_at is None


@pytest.mark.parametrize("fails", ["begin", "record"])
def test_a_long_database_outage(
    context: WorkerContext, someone: Customer, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Longer than a worker waits: the delivery becomes due again."""
    with Peer([answers(200)]) as peer:
        failed_split(someone, peer.url)
        with monkeypatch.context() as patch:
            away = OperationalError("", {}, Exception("the database is away"))
            patch.setattr(attempting, fails, Mock(side_effect=away))
            patch.setattr("aistemsplitter_server.worker.context.DATABASE_TIMEOUT", -1.0)
            with pytest.raises(OperationalError):
                deliver(context, delivery(someone).id)
        assert delivery(someone).next_attempt_at is not None
        attempt_now(context, someone)
    assert delivery(someone).state == "delivered"


def test_an_invalid_retry_after(context: WorkerContext, someone: Customer) -> None:
    retry_after = "Mon, 01 Jan 99999999999 00:00:00 GMT"
    with Peer([answers(503, Retry_After=retry_after), answers(200)]) as peer:
        failed_split(someone, peer.url)
        deliver(context, delivery(someone).id)
        assert [attempt.status for attempt in attempts(someone)] == [503]
        attempt_now(context, someone)
    assert delivery(someone).state == "delivered"


def test_secret_rotation(context: WorkerContext, someone: Customer) -> None:
    with someone.database.write() as session:
        new = accounts.rotate_webhook_secret(session, context.secrets, None, someone.caller.key_id)
    with Peer([answers(500), answers(200)]) as peer:
        failed_split(someone, peer.url)
        deliver(context, delivery(someone).id)
        with someone.database.write() as session:
            expired = times.now() - timedelta(seconds=1)
            session.execute(update(ApiKey).values(previous_secret_until=expired))
            webhook_secrets.erase_old(ApiKey, session, times.now(), 10)
        attempt_now(context, someone)
    both, later = peer.requests
    for secret in (new, someone.webhook_secret):
        aistemsplitter.verify_signature(headers(both), both.body, secret)
    aistemsplitter.verify_signature(headers(later), later.body, new)
    with pytest.raises(aistemsplitter.InvalidWebhook):
        aistemsplitter.verify_signature(headers(later), later.body, someone.webhook_secret)
    with someone.database.read() as session:
        assert session.get_one(ApiKey, someone.caller.key_id).sealed_previous_secret is None


def test_old_attempts_are_deleted(context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(200)]) as peer:
        failed_split(someone, peer.url)
        deliver(context, delivery(someone).id)
        sweep(context, "deliveries", "events", after=timedelta(days=29))
        assert len(attempts(someone)) == 1
        sweep(context, "deliveries", "events", after=timedelta(days=31))
    assert attempts(someone) == []
