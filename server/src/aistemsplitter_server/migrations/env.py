"""What Alembic runs: on the connection that it is given, inside that one's transaction."""

from alembic import context

from aistemsplitter_server import tables
from aistemsplitter_server.kit import jobs

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    render_as_batch=True,  # SQLite cannot alter much in place
    include_name=lambda name, kind, _parents: kind != "table" or not jobs.is_table(name),
)
context.run_migrations()
