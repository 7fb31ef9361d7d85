"""One object of everything that an account can have, each containing a given text."""

from __future__ import annotations

from datetime import timedelta

from aistemsplitter_server.accounts import people, queries, sign_ins
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.limits import Limits
from aistemsplitter_server.accounts.tables import Account, Person, SignIn
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.outgoing import Answer
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.payments.tables import Purchase
from aistemsplitter_server.splits import service, sharing
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.webhooks import attempts, endpoints, receivers
from aistemsplitter_server.webhooks import service as webhooks
from aistemsplitter_server.webhooks.tables import Delivery, Receiver
from customers import Customer, of
from visitors import person

Things = dict[str, str]  # ids by their path parameter, and tokens


class Estate:
    """Creates objects for people.

    Args:
        said: The text, used wherever a user can choose one.
    """

    def __init__(
        self, database: Database, secrets: Secrets, storage: Storage, said: str = "said"
    ) -> None:
        self.database = database
        self.secrets = secrets
        self.storage = storage
        self.said = said

    def things(self, someone: Person) -> Things:
        """Create one new object of everything; there are splits in three states."""
        with self.database.write() as session:
            key = accounts.create_key(session, self.secrets, someone.account_id, name=self.said)
            credits.grant(session, someone.account_id, 3600, self.said)
            audit.record(
                session, someone.account_id, someone.id, Action.KEY_CREATED, key.id, name=self.said
            )
            name = session.get_one(Account, someone.account_id).name
        theirs = of(self.database, someone.account_id, someone.id)
        done = theirs.finished(self.storage, filename=f"{self.said}.flac")
        return {
            "account_id": someone.account_id,
            "account_name": name,
            "key_id": key.id,
            "split_id": done.id,
            "queued": self._split(theirs).id,
            "failed": self._failed(theirs),
            **self._shared(done),
            "delivery_id": self._delivery(someone, key.id),
            "endpoint_id": self._endpoint(someone),
            "purchase_id": self._purchase(someone),
            **self._link(someone),
            "person_id": self._colleague(someone),
            "sign_in_id": self._sign_in(someone),
        }

    def _split(self, theirs: Customer) -> Split:
        return theirs.split_of(theirs.upload(filename=f"{self.said}.flac"))

    def _failed(self, theirs: Customer) -> str:
        split_id = self._split(theirs).id
        with self.database.write() as session:
            split = session.get_one(Split, split_id)
            split.split_metadata = {self.said: self.said}
            split.warnings = [self.said]
            service.fail(session, split, "STRANGE", self.said)
        return split_id

    def _shared(self, split: Split) -> Things:
        with self.database.write() as session:
            share = sharing.share(session, self.secrets, split, timedelta(days=1))
        return {"share_id": share.id, "shared": sharing.token(self.secrets, share)}

    def _delivery(self, someone: Person, key_id: str) -> str:
        """Create a delivery with two failed attempts: an error response and a timeout."""
        url = f"https://example.com/?{key_id}={self.said}"
        with self.database.write() as session:
            sent, _ = webhooks.send_test(session, someone.account_id, key_id, url, "split.failed")
        for outcome in (Answer(500, 0.1, self.said, None), self.said):
            with self.database.write() as session:
                session.get_one(Delivery, sent.id).next_attempt_at = times.now()
                session.flush()
                begun = attempts.begin(session, sent.id)
                assert begun is not None
                attempts.record(session, sent.id, begun[0].attempts, outcome)
        with self.database.write() as session:
            receiver = session.get_one(Receiver, (someone.account_id, receivers.origin(url)))
            receiver.disabled_at, receiver.disabled_reason = times.now(), self.said
        return sent.id

    def _endpoint(self, someone: Person) -> str:
        """Create a disabled endpoint, so that further events are not sent to it."""
        with self.database.write() as session:
            endpoint, _ = endpoints.create(
                session,
                self.secrets,
                Limits(),
                someone.account_id,
                is_test=False,
                url=f"https://example.com/{ids.new('whe')}/{self.said}",
                events=["split.failed"],
                description=self.said,
            )
            endpoints.update(session, endpoint, disabled=True)
        return endpoint.id

    def _purchase(self, someone: Person) -> str:
        bought = Purchase(
            id=ids.new("pur"),
            account_id=someone.account_id,
            minutes=50,
            amount=500,
            currency="usd",
            state="pending",
            created_at=times.now(),
        )
        with self.database.write() as session:
            session.add(bought)
        return bought.id

    def _link(self, someone: Person) -> Things:
        with self.database.write() as session:
            token = people.link(session, self.secrets, someone.account_id, note=self.said)
            found = queries.link(session, self.secrets.digests(token), lock=False)
            assert found is not None
        return {"link_id": found.id, "join": token}

    def _colleague(self, someone: Person) -> str:
        name = self.said.replace(" ", "/")
        email = f"{name}@{ids.new('usr').lower()}.example"
        return person(self.database, self.secrets, email, account_id=someone.account_id).id

    def _sign_in(self, someone: Person) -> str:
        with self.database.write() as session:
            token = sign_ins.begin(
                session, self.secrets, someone, user_agent=self.said, address=self.said
            )
            digest = self.secrets.digest(token)
            return session.query(SignIn.id).where(SignIn.digest == digest).one().id
