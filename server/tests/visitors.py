"""Users of the pages, signed in or not, over plain HTTP without a browser.

Cookies are stored by hand, because Python's cookie jar stores secure cookies only over https.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx2
from sqlalchemy import select

from aistemsplitter_server.accounts import people
from aistemsplitter_server.accounts.tables import Account, Person
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.operations import opening

PASSWORD = "correct horse battery"
SESSION = "__Host-session"


@dataclass
class Visitor:
    """A user's browser, as far as the server can tell."""

    client: httpx2.Client
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **options: Any) -> httpx2.Response:
        """Open a page, without following redirects."""
        return self.request("GET", path, **options)

    def post(self, path: str, form: Any = None, **options: Any) -> httpx2.Response:
        """Send a form from a page of the same site."""
        headers = {"Sec-Fetch-Site": "same-origin", **options.pop("headers", {})}
        return self.request("POST", path, data=form or {}, headers=headers, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request with the stored cookies."""
        headers = {"Accept": "text/html", **options.pop("headers", {})}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if method == "POST" and not options.get("data") and "json" not in options:
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        answer = self.client.request(method, path, headers=headers, **options)
        for line in answer.headers.get_list("set-cookie"):
            name, _, rest = line.partition("=")
            value = rest.partition(";")[0]
            if value.strip('"'):
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return answer

    def sign_in(self, email: str, password: str = PASSWORD) -> httpx2.Response:
        """Sign in with the form."""
        return self.post("/sign-in", {"email": email, "password": password})


_hash: list[str] = []  # hash of PASSWORD, because hashing is slow


def person(
    database: Database,
    secrets: Secrets,
    email: str,
    *,
    owner: bool = False,
    account_id: str | None = None,
    free_seconds: int = 600,
) -> Person:
    """Add a person: the owner, the first person of a new account, or a colleague."""
    if not _hash:
        _hash.append(people.hashed(PASSWORD))
    with database.write() as session:
        if owner:
            account_id = opening.owner_account(session, "cli:tests", free_seconds=free_seconds).id
        elif account_id is None:
            account_id = opening.open_account(session, email, free_seconds=free_seconds).id
        token = people.link(session, secrets, account_id)
        return people.follow(session, secrets, token, email, _hash[0])


def account_of(database: Database, someone: Person) -> Account:
    """Return the person's account."""
    with database.read() as session:
        return session.scalars(select(Account).where(Account.id == someone.account_id)).one()
