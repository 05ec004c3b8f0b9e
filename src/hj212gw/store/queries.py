"""The package's SQL, read once from its files."""

from functools import cache
from importlib import resources


@cache
def load_query(name: str) -> str:
    """Return the text of `sql/queries/<name>.sql`."""
    path = resources.files("hj212gw.store") / "sql" / "queries" / f"{name}.sql"
    return path.read_text(encoding="utf-8")


@cache
def load_table_query(name: str, table: str) -> str:
    """Return a query for one of the tables it can be run on; `table` is a name of ours, never input."""
    return load_query(name).replace("{table}", table)
