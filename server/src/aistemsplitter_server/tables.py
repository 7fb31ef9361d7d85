"""All tables of the service, gathered for the migrations."""

from aistemsplitter_server.accounts import tables as accounts
from aistemsplitter_server.credits import tables as credits
from aistemsplitter_server.kit.database import Base

metadata = Base.metadata

__all__ = ["accounts", "credits", "metadata"]
