"""A fake Stripe on loopback, which Stripe's own library calls over HTTP.

It has the endpoints for Checkout sessions, charges and disputes, and the payment page, and sends
signed events in the format of ``payments/events``. It rejects the requests that Stripe rejects.
"""

from __future__ import annotations

import html
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from stripe import WebhookSignature

EVENTS = Path(__file__).parent / "payments" / "events"
SECRET_KEY = "sk_test_aFakeOne"
WEBHOOK_SECRET = "whsec_aFakeOne"
COMPLETED = "checkout.session.completed"
ASYNC_PAID = "checkout.session.async_payment_succeeded"
NEEDED = ("mode", "success_url", "line_items[0][quantity]")
KNOWN = {
    *NEEDED,
    "cancel_url",
    "client_reference_id",
    "adaptive_pricing[enabled]",
    "line_items[0][price_data][currency]",
    "line_items[0][price_data][unit_amount]",
    "line_items[0][price_data][product_data][name]",
}

PAY_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Pay</title>
<link rel="icon" href="data:,">
<h1>{title}</h1><p>{amount} {currency}</p><p role="alert">{fault}</p>
<form method="post">
<button name="with" value="card">Pay</button>
<button name="with" value="refused card">Pay with a card that is refused</button>
<button name="with" value="bank transfer">Pay by bank transfer</button>
</form><a href="{cancel_url}">Back</a></html>
"""


def recorded(name: str) -> dict[str, Any]:
    """Return an event of ``payments/events``."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def signed(body: str, *, secret: str = WEBHOOK_SECRET, age: int = 0) -> dict[str, str]:
    """Return the headers with which Stripe would have sent an event, some seconds ago."""
    then = int(time.time()) - age
    signature = WebhookSignature.generate_signature_header(body, secret, then)
    return {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature}


@dataclass
class Call:
    """A request to the API."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]


@dataclass
class FakeStripe:
    """The state and the endpoints of Stripe.

    Attributes:
        url: Base URL of the API and of the pages.
        callback: URL to which events are sent.
        loses_events: Whether events are dropped instead of sent.
        fault: Error status of all API responses, if any.
        calls: Requests to the API.
        sessions: Checkout sessions by id.
        charges: Charges by id.
        disputes: All disputes.
        answers: The service's responses to the events.
    """

    url: str
    callback: str | None = None
    loses_events: bool = False
    fault: int | None = None
    calls: list[Call] = field(default_factory=list)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    charges: dict[str, dict[str, Any]] = field(default_factory=dict)
    disputes: list[dict[str, Any]] = field(default_factory=list)
    answers: list[httpx2.Response] = field(default_factory=list)
    _seconds: int = 0  # between now and the newest event about a refund or dispute
    _titles: dict[str, str] = field(default_factory=dict)
    _made: dict[str, tuple[dict[str, str], str]] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a service that takes payments here."""
        return {
            "stripe_secret_key": SECRET_KEY,
            "stripe_webhook_secret": WEBHOOK_SECRET,
            "stripe_api_url": self.url,
        }

    def event(self, session_id: str, kind: str = COMPLETED) -> str:
        """Return the body of an event about a session in its current state."""
        event = recorded(kind)
        event |= {"id": f"evt_{token_hex(12)}", "created": int(time.time())}
        event["data"]["object"] = self.sessions[session_id]
        return json.dumps(event, indent=2)

    def send(self, body: str) -> None:
        """Send a signed event, unless events are lost."""
        if self.callback is None or self.loses_events:
            return
        with httpx2.Client(trust_env=False, timeout=30) as client:
            self.answers.append(client.post(self.callback, content=body, headers=signed(body)))

    def pay(self, session_id: str, how: str = "card") -> str | None:
        """Pay as a buyer does; return the URL that the browser goes to, None if it stays."""
        session = self.sessions[session_id]
        if how == "refused card":
            return None
        if session["status"] == "open":
            done = recorded(COMPLETED)["data"]["object"]
            for name in ("customer_details", "collected_information"):
                session[name] = done[name]
            session["payment_intent"] = f"pi_{token_hex(12)}"
            charge_id = f"ch_{token_hex(12)}"
            self.charges[charge_id] = {
                "id": charge_id,
                "object": "charge",
                "amount": session["amount_total"],
                "amount_refunded": 0,
                "currency": session["currency"],
                "payment_intent": session["payment_intent"],
            }
            paid = "paid" if how == "card" else "unpaid"
            session |= {"status": "complete", "payment_status": paid, "url": None}
            self.send(self.event(session_id))
        url: str = session["success_url"]
        return url

    def charge(self, session_id: str) -> dict[str, Any]:
        """Return the charge of a session that was paid."""
        payment = self.sessions[session_id]["payment_intent"]
        return next(one for one in self.charges.values() if one["payment_intent"] == payment)

    def refund(self, session_id: str, amount: int) -> str:
        """Refund a part of a payment; return the body of the event."""
        charge = self.charge(session_id)
        charge["amount_refunded"] += amount
        return self._about("charge.refunded", charge)

    def dispute(self, session_id: str, amount: int, status: str) -> str:
        """Begin a dispute, or change its status; return the body of the event."""
        charge_id = self.charge(session_id)["id"]
        found = next((one for one in self.disputes if one["charge"] == charge_id), None)
        if found is None:
            found = {"id": f"du_{token_hex(12)}", "object": "dispute", "charge": charge_id}
            self.disputes.append(found)
        found |= {"amount": amount, "status": status}
        return self._about("charge.dispute.updated", found)

    def _about(self, kind: str, it: dict[str, Any]) -> str:
        self._seconds += 1
        event = {"id": f"evt_{token_hex(12)}", "created": int(time.time()) + self._seconds}
        return json.dumps(event | {"type": kind, "data": {"object": it}})

    def transfer_arrives(self, session_id: str) -> None:
        """Complete a bank transfer of days ago."""
        self.sessions[session_id]["payment_status"] = "paid"
        self.send(self.event(session_id, ASYNC_PAID))

    def call(self, call: Call) -> tuple[int, dict[str, Any]]:
        """Return the API's response."""
        self.calls.append(call)
        if self.fault is not None:
            return self.fault, _error("api_error", "Something went wrong on Stripe's end.")
        if call.headers.get("authorization") != f"Bearer {SECRET_KEY}":
            return 401, _error("invalid_request_error", "Invalid API Key provided: sk_test_****")
        if call.method == "GET" and (found := self._found(call)) is not None:
            return 200, found
        session_id = call.path.removeprefix("/v1/checkout/sessions").strip("/")
        if call.method == "POST" and not session_id:
            return self._create(call)
        if call.method == "GET" and session_id in self.sessions:
            return 200, self.sessions[session_id]
        return 404, _error("invalid_request_error", f"No such checkout.session: {session_id}")

    def _found(self, call: Call) -> dict[str, Any] | None:
        """Return a charge, or a list that is filtered by the query."""
        collection, _, name = call.path.removeprefix("/v1/").rpartition("/")
        if collection == "charges":
            return self.charges.get(name)
        if name == "disputes":
            those = [one for one in self.disputes if one["charge"] == call.form["charge"]]
        elif (collection, name) == ("checkout", "sessions"):
            payment = call.form["payment_intent"]
            those = [one for one in self.sessions.values() if one["payment_intent"] == payment]
        else:
            return None
        return {"object": "list", "data": those, "has_more": False, "url": call.path}

    def page(self, session_id: str, fault: str = "") -> str:
        """Return the page where a buyer pays."""
        session = self.sessions[session_id]
        return PAY_PAGE.format(
            title=html.escape(self._titles[session_id]),
            amount=session["amount_total"],
            currency=session["currency"],
            cancel_url=html.escape(session["cancel_url"]),
            fault=fault,
        )

    def _create(self, call: Call) -> tuple[int, dict[str, Any]]:
        form, key = call.form, call.headers.get("idempotency-key")
        for name in (*NEEDED, *form):
            if name not in form or name not in KNOWN:
                return 400, _error("invalid_request_error", f"Missing or unknown: {name}")
        if key in self._made:
            before, session_id = self._made[key]
            if before != form:
                return 400, _error("idempotency_error", "This key was used with others.")
            return 200, self.sessions[session_id]
        session_id = f"cs_test_{token_hex(29)}"
        amount = int(form["line_items[0][price_data][unit_amount]"])
        now = int(time.time())
        self.sessions[session_id] = recorded(COMPLETED)["data"]["object"] | {
            "id": session_id,
            "amount_subtotal": amount,
            "amount_total": amount,
            "cancel_url": form["cancel_url"],
            "client_reference_id": form.get("client_reference_id"),
            "collected_information": None,
            "created": now,
            "currency": form["line_items[0][price_data][currency]"],
            "customer_details": None,
            "expires_at": now + 24 * 3600,
            "payment_intent": None,
            "payment_status": "unpaid",
            "status": "open",
            "success_url": form["success_url"],
            "url": f"{self.url}/c/pay/{session_id}",
        }
        self._titles[session_id] = form["line_items[0][price_data][product_data][name]"]
        if key is not None:
            self._made[key] = form, session_id
        return 200, self.sessions[session_id]


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message}}


@contextmanager
def fake_stripe() -> Iterator[FakeStripe]:
    """Run a fake Stripe for the duration of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._take("GET")

        def do_POST(self) -> None:
            self._take("POST")

        def _take(self, method: str) -> None:
            path, query = urlsplit(self.path).path, urlsplit(self.path).query
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = dict(parse_qsl(body or query, keep_blank_values=True))
            if path.startswith("/v1/"):
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, answer = stripe.call(Call(method, path, headers, form))
                self._answer(status, json.dumps(answer), "application/json")
                return
            session_id = path.rpartition("/")[2]
            if session_id not in stripe.sessions:
                self._answer(404, "There is no such page.", "text/plain")
            elif method == "GET":
                self._answer(200, stripe.page(session_id), "text/html; charset=utf-8")
            elif (url := stripe.pay(session_id, form["with"])) is None:
                page = stripe.page(session_id, "Your card was declined.")
                self._answer(200, page, "text/html; charset=utf-8")
            else:
                self._answer(303, "", "text/plain", {"Location": url})

        def _answer(
            self, status: int, body: str, kind: str, headers: dict[str, str] | None = None
        ) -> None:
            content = body.encode()
            self.send_response(status)
            sent = {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}
            for name, value in sent.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        stripe = FakeStripe(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield stripe
        finally:
            server.shutdown()
            thread.join()
