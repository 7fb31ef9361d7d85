"""All tables of the service, gathered for the migrations."""

from aistemsplitter_server.accounts import tables as accounts
from aistemsplitter_server.audit import tables as audit
from aistemsplitter_server.credits import tables as credits
from aistemsplitter_server.kit.database import Base
from aistemsplitter_server.models import tables as models
from aistemsplitter_server.payments import tables as payments
from aistemsplitter_server.retention import tables as retention
from aistemsplitter_server.splits import tables as splits
from aistemsplitter_server.uploads import tables as uploads
from aistemsplitter_server.webhooks import tables as webhooks
from aistemsplitter_server.workers import tables as worker

metadata = Base.metadata

__all__ = [
    "accounts",
    "audit",
    "credits",
    "metadata",
    "models",
    "payments",
    "retention",
    "splits",
    "uploads",
    "webhooks",
    "worker",
]
