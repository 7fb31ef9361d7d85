"""The script that Alembic runs: migrates the connection it is given, within its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
