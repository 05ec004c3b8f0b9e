"""Open connections and sort what goes wrong: try again, or never storable."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from asyncpg import Connection

from hj212gw.errors import ConfigError, RowsRefused, StoreError, StoreUnavailable
from hj212gw.store.places import find_place

__all__ = [
    "AGGREGATOR_ROLE",
    "CONNECTION_ERRORS",
    "DECOMPRESSION_LIMIT",
    "GATEWAY_ROLE",
    "REFUSALS",
    "Connection",
    "connect",
    "connected",
    "count_rows",
    "describe",
    "is_refusal",
    "lift_decompression_limit",
    "quiet_lost_lines",
    "sort_error",
]

CONNECT_TIMEOUT_SECS = 10.0
_CLOSE_TIMEOUT_SECS = 5.0
GATEWAY_ROLE = "hj212_gateway"
AGGREGATOR_ROLE = "hj212_aggregator"

_CHECK_VIOLATION = "23514"  # what a row without a partition gets: a fault of the store, not of the row
_REFUSING_CLASSES = ("22", "23", "54")  # 54: a value too long for an index
_NO_PRIVILEGE = "42501"
_DSN_ERRORS = (asyncpg.ClientConfigurationError, ValueError)

# What a database that is away, or a bad line to it, can raise through asyncpg.
CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    ssl.SSLError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection cut in the middle of an operation
    asyncpg.PostgresError,
)


# SQLSTATE 53400: a transaction would unpack more rows of TimescaleDB's columnstore than one may.
DECOMPRESSION_LIMIT = asyncpg.ConfigurationLimitExceededError

# What a row the database will never take can raise; `is_refusal` tells it from the server's other faults.
REFUSALS = (asyncpg.PostgresError, ValueError, TypeError)


async def connect(dsn: str, *, name: str, role: str | None = None, statement_timeout_secs: float = 60.0) -> Connection:
    """Open one connection.

    Args:
        dsn: postgresql:// URL.
        name: what the server shows as the application.
        role: role to act as; left out where the login may not, so that a plain test account works too.
        statement_timeout_secs: longest a statement may take, on both ends.

    Raises:
        ConfigError: the DSN cannot be read.
        StoreUnavailable: no connection; try again.
    """
    settings = {
        "application_name": name,
        "search_path": "hj212, public",
        "timezone": "UTC",
        "statement_timeout": str(int(statement_timeout_secs * 1000)),
    }
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_SECS,
            command_timeout=statement_timeout_secs,
            server_settings=settings,
        )
    except _DSN_ERRORS as error:
        message = f"the database DSN should be postgresql://user@host:port/name, it cannot be read: {error}"
        raise ConfigError(message) from error
    except CONNECTION_ERRORS as error:
        raise StoreUnavailable(f"no connection to the database: {describe(error, dsn)}") from error
    if role is not None:
        await _act_as(connection, role)
    return connection


@asynccontextmanager
async def undone(connection: Connection) -> AsyncIterator[None]:
    """Hold a part of a transaction that is undone at its end, so that none of its locks is kept."""
    part = connection.transaction()
    await part.start()
    try:
        yield
    finally:
        await part.rollback()


@asynccontextmanager
async def connected(
    dsn: str, *, name: str, role: str | None = None, statement_timeout_secs: float = 60.0
) -> AsyncIterator[Connection]:
    """Hold a connection, as `connect` opens it; closed at the end, cut where the database does not answer."""
    connection = await connect(dsn, name=name, role=role, statement_timeout_secs=statement_timeout_secs)
    try:
        yield connection
    finally:
        try:
            await connection.close(timeout=_CLOSE_TIMEOUT_SECS)
        except CONNECTION_ERRORS:
            connection.terminate()


async def _act_as(connection: Connection, role: str) -> None:
    try:
        may = await connection.fetchval(
            "SELECT pg_has_role(current_user, oid, 'member') FROM pg_roles WHERE rolname = $1", role
        )
        if may:
            await connection.execute(f"SET ROLE {role}")
    except CONNECTION_ERRORS as error:
        connection.terminate()
        raise sort_error(error) from error


async def lift_decompression_limit(connection: Connection) -> None:
    """Let the rest of a transaction unpack as much of the columnstore as it needs; elsewhere it does nothing."""
    await connection.execute("SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)")


def quiet_lost_lines(loop: asyncio.AbstractEventLoop) -> None:
    """Have a loop pass by the future that asyncpg can leave behind when a line is lost while it copies.

    Whoever copied has told the loss. All else is handled as by default.
    """
    loop.set_exception_handler(_tell_unless_left)


def _tell_unless_left(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    is_left = "future" in context and not isinstance(context["future"], asyncio.Task)
    if not (is_left and isinstance(context.get("exception"), asyncpg.PostgresConnectionError)):
        loop.default_exception_handler(context)


def count_rows(status: str) -> int:
    """Read the number of rows off a command's status, such as `INSERT 0 3`."""
    return int(status.rpartition(" ")[2])


def sort_error(error: BaseException) -> StoreError:
    """Turn a database error into ours.

    Returns:
        `RowsRefused` for faults of a row (SQLSTATE class 22, 54, and 23 but for check violations), else
        `StoreUnavailable`: a missing partition, a full disk, a deadlock, a lost connection all pass.
    """
    state = getattr(error, "sqlstate", None) or ""
    if state[:2] in _REFUSING_CLASSES and state != _CHECK_VIOLATION:
        return RowsRefused(f"the database refuses these rows: {describe(error)}")
    if state == _NO_PRIVILEGE:
        step = (
            "use one that is a member of hj212_gateway to take packets, hj212_aggregator to assess, hj212_owner for all"
        )
        return StoreUnavailable(f"this login may not do that: {step} ({describe(error)})")
    return StoreUnavailable(f"the database did not do it: {describe(error)}")


def is_refusal(error: BaseException) -> bool:
    """Tell whether an error lies in the rows: a value asyncpg cannot encode, or one the server refuses."""
    return isinstance(error, ValueError | TypeError) or isinstance(sort_error(error), RowsRefused)


def describe(error: BaseException, dsn: str | None = None) -> str:
    """Put an error on one bounded line, with its SQLSTATE where it has one.

    Args:
        error: of asyncpg, or of the system, which is told in the system's words.
        dsn: of the connection that was not had; only where it leads is shown.
    """
    words = _system_words(error)
    if words:
        place = find_place(dsn) if dsn else ""
        return f"{place}: {words}" if place else words
    state = getattr(error, "sqlstate", None)
    # asyncpg's own text ends in DETAIL, which can quote a whole row, passwords included
    message = str(error.strerror if isinstance(error, ssl.SSLError) else error.args[0]) if error.args else ""
    text = " ".join(message.split())[:300] or "no message"
    return f"{type(error).__name__}{f' {state}' if state else ''}: {text}"


def _system_words(error: BaseException) -> str:
    """Return what the system calls an error of its own; "" for all others."""
    if isinstance(error, TimeoutError) and not error.args:
        return "no answer in time"
    if not isinstance(error, OSError) or isinstance(error, ssl.SSLError) or error.errno is None:
        return ""
    if isinstance(error, socket.gaierror):  # it has numbers of its own
        return str(error.strerror)
    return os.strerror(error.errno)
