"""Alembic migrations, shipped inside the package; kit/migrate.py runs them."""
