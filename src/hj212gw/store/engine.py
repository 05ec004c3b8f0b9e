"""Which database it is: plain PostgreSQL or TimescaleDB, what it can do, and how much it holds."""

from datetime import datetime, timedelta
from typing import NamedTuple

from hj212gw.store.pool import CONNECTION_ERRORS, Connection, sort_error
from hj212gw.store.queries import load_query

# Why old readings do not go into the columnstore, as `hj212.apply_columnstore` says it.
OBSTACLES = {
    "plain_postgresql": "there is none on plain PostgreSQL",
    "native_partitions": "the tables were made before TimescaleDB came and stay native partitions",
    "apache_licence": "columnstore not available under the apache licence (timescaledb.license = apache)",
    "old_timescaledb": "this TimescaleDB is too old for it",
    "owner_without_login": "TimescaleDB runs its jobs as the tables' owner, which is not allowed to log in",
    "no_job": "no job moves anything into it yet: the gateway makes it within an hour",
}
EXPECTED_OBSTACLES = ("plain_postgresql",)  # nothing is amiss there


class Engine(NamedTuple):
    """A database server.

    Attributes:
        server: its version.
        timescaledb: version of the extension, None where it is not installed.
        database_bytes: size of the database.
        table_bytes: size of each time series with all its partitions or chunks, and of the assessment's tables.
        warning: what an operator has to do about the versions, "" where nothing.
        outlook: what has to be done before the server's next update, "" where nothing.
        obstacle: why there is no columnstore, a key of `OBSTACLES`; "" where there is one.
        columnstore_after: age at which readings go into it, "" where they do not.
    """

    server: str
    timescaledb: str | None
    database_bytes: int
    table_bytes: dict[str, int]
    warning: str = ""
    outlook: str = ""
    obstacle: str = ""
    columnstore_after: str = ""


class _Need(NamedTuple):
    """From a minor version of PostgreSQL on, background jobs fail under an older TimescaleDB."""

    from_minor: int
    timescaledb: tuple[int, ...]


# The minors of November 2026.
_NEEDS = {
    15: _Need(20, (2, 28, 4)),
    16: _Need(16, (2, 31, 2)),
    17: _Need(12, (2, 31, 2)),
    18: _Need(6, (2, 31, 2)),
}


def judge_versions(server_num: int, timescaledb: str | None) -> str:
    """Tell what has to be done about a TimescaleDB that is too old for its server; "" where nothing.

    Args:
        server_num: PostgreSQL's `server_version_num`, such as 150020 for 15.20.
        timescaledb: version of the extension, None where it is not installed.
    """
    major, minor = divmod(server_num, 10_000)
    need = _NEEDS.get(major)
    if timescaledb is None or need is None or minor < need.from_minor:
        return ""
    if _read_version(timescaledb) >= need.timescaledb:
        return ""
    wanted = ".".join(map(str, need.timescaledb))
    return (
        f"TimescaleDB {timescaledb} is too old for PostgreSQL {major}.{minor}: all its background jobs fail, nothing"
        f" goes into the columnstore; install {wanted} or later, then ALTER EXTENSION timescaledb UPDATE"
    )


def foresee_versions(server_num: int, timescaledb: str | None) -> str:
    """Tell what has to be done before the server is updated; "" where nothing, or where it is due already."""
    major, minor = divmod(server_num, 10_000)
    need = _NEEDS.get(major)
    if need is None or minor >= need.from_minor or not judge_versions(major * 10_000 + need.from_minor, timescaledb):
        return ""
    wanted = ".".join(map(str, need.timescaledb))
    return f"install TimescaleDB {wanted} or later before PostgreSQL {major}.{need.from_minor}"


def _read_version(text: str) -> tuple[int, ...]:
    """Read 2.28.4 or 2.29.0-dev as numbers."""
    return tuple(int(part) for part in text.partition("-")[0].split(".") if part.isdigit())


async def read_engine(connection: Connection) -> Engine:
    """Look at the server and the database.

    Raises:
        StoreUnavailable: try again.
    """
    try:
        server = await connection.fetchval("SHOW server_version")
        number = int(await connection.fetchval("SHOW server_version_num"))
        extension = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
        known = await connection.fetchval("SELECT to_regproc('hj212.columnstore_obstacle') IS NOT NULL")
        warning, outlook = judge_versions(number, extension), foresee_versions(number, extension)
        engine = Engine(server, extension, size, {}, warning, outlook)
        return await _look_into(connection, engine) if known else engine
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error


async def _look_into(connection: Connection, engine: Engine) -> Engine:
    is_hyper = await connection.fetchval("SELECT hj212.timescale_schema() IS NOT NULL")
    rows = await connection.fetch(load_query("read_hypertable_sizes" if is_hyper else "read_table_sizes"))
    rows += await connection.fetch(load_query("read_assessed_sizes"))
    engine = engine._replace(table_bytes=dict(sorted((row["table_name"], row["bytes"]) for row in rows)))
    if not is_hyper:
        return engine._replace(obstacle=await connection.fetchval("SELECT hj212.columnstore_obstacle()"))
    row = await connection.fetchrow(load_query("read_columnstore"))
    assert row is not None
    obstacle = row["obstacle"] or ("" if row["after"] else "no_job")
    return engine._replace(obstacle=obstacle, columnstore_after="" if obstacle else row["after"])


def describe_columnstore(engine: Engine) -> str:
    """Say in words whether readings go into the columnstore, and if not, why."""
    if engine.obstacle:
        return OBSTACLES.get(engine.obstacle, engine.obstacle)
    return f"readings go into it after {engine.columnstore_after}" if engine.columnstore_after else "not known yet"


async def read_clock(connection: Connection) -> datetime:
    """Read the server's clock.

    Raises:
        StoreUnavailable: try again.
    """
    try:
        moment: datetime = await connection.fetchval("SELECT clock_timestamp()")
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
    return moment


async def read_partitions_ahead(connection: Connection, now: datetime) -> timedelta | None:
    """Tell how far ahead of a moment there are partitions; None where they need not be made.

    Raises:
        StoreUnavailable: try again, or the login may not ask.
    """
    try:
        ahead: timedelta | None = await connection.fetchval("SELECT hj212.partitions_ahead($1)", now)
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
    return ahead


class MissingPartition(NamedTuple):
    """A partition that is noted and is none of its table's; `stands_apart`: a table of its name is there."""

    table: str
    name: str
    from_at: datetime
    to_at: datetime
    stands_apart: bool

    @property
    def remedy(self) -> str:
        """The statement that brings it back, for the owner; what it held comes back only where it stands apart."""
        bounds = f"FOR VALUES FROM ('{self.from_at:%Y-%m-%d %H:%M:%S}Z') TO ('{self.to_at:%Y-%m-%d %H:%M:%S}Z')"
        if self.stands_apart:
            return f"ALTER TABLE hj212.{self.table} ATTACH PARTITION hj212.{self.name} {bounds}"
        return f"CREATE TABLE hj212.{self.name} PARTITION OF hj212.{self.table} {bounds}"


async def find_missing_partitions(connection: Connection) -> list[MissingPartition]:
    """Find the partitions that somebody dropped or detached by hand, the newest first.

    Raises:
        StoreUnavailable: try again, or the login may not ask.
    """
    try:
        rows = await connection.fetch(load_query("find_missing_partitions"))
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
    return [MissingPartition(*row) for row in rows]


async def read_daily_growth(connection: Connection, now: datetime) -> float:
    """Tell about how many bytes a day are stored, by the newest partition of each table; 0 where that is not known.

    Raises:
        StoreUnavailable: try again.
    """
    try:
        growth: float = await connection.fetchval(load_query("read_daily_growth"), now)
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
    return growth
