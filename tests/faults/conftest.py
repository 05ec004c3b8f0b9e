"""Fault tests are made of what end-to-end tests are made of."""

from tests.e2e.conftest import connection, database, dsn, serve

__all__ = ["connection", "database", "dsn", "serve"]
