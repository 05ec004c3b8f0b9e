"""`hj212gw doctor`: look at what a gateway needs on this machine, before it is started or while it runs."""

import asyncio
import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Literal, NamedTuple

import typer

from hj212gw.cli import options
from hj212gw.cli.output import print_json, print_table
from hj212gw.config import Settings, load_settings
from hj212gw.errors import ConfigError, SchemaMismatch, StoreError

# Before this the program was not written: a clock that shows it was never set.
_EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_SKEW_SECS = 5.0
_PROBE_SECS = 2.0
_GIB = 1 << 30


class Check(NamedTuple):
    """What was looked at, how it stands, and what to do about it."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    next_step: str = ""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Check settings, directories, disk, ports, clock and database; exit 1 when one of them fails.

    Example: hj212gw doctor --config /etc/hj212gw.toml
    """
    overrides = {"data_dir": data_dir, "database.dsn": dsn}
    try:
        settings = load_settings(config, overrides, simulated_clock=True)
    except ConfigError as error:
        step = "correct the option, then run: hj212gw config check"
        _print([Check("settings", "failed", str(error), step)], as_json=as_json)
        raise typer.Exit(3) from error
    checks = [Check("settings", "ok", f"read from {config or 'environment and defaults'}"), *_look(settings)]
    _print(checks, as_json=as_json)
    if any(check.state == "failed" for check in checks):
        raise typer.Exit(1)


def _print(checks: list[Check], *, as_json: bool) -> None:
    if as_json:
        print_json([check._asdict() for check in checks])
    else:
        print_table(("check", "state", "found", "next step"), checks)


def _look(settings: Settings) -> Iterator[Check]:
    yield _check_directory("data directory", settings.data_dir)
    yield _check_directory("journal directory", settings.journal.directory)
    yield _check_disk(settings)
    is_running = _answers_http(settings.http.host, settings.http.port)
    yield _check_port("gateway port", settings.gateway.host, settings.gateway.port, is_running=is_running)
    yield _check_port("http port", settings.http.host, settings.http.port, is_running=is_running)
    yield _check_clock(datetime.now(UTC))
    yield asyncio.run(_check_database(settings))


def _existing(path: Path) -> Path:
    """Find the path itself, or the nearest parent there is."""
    return next(parent for parent in [path.absolute(), *path.absolute().parents] if parent.exists())


def _check_directory(name: str, path: Path) -> Check:
    place = _existing(path)
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"hj212gw")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        step = f"let this user write there, or choose another {name}"
        return Check(name, "failed", f"{place}: {error.strerror}", step)
    found = f"{path} can be written" if place == path.absolute() else f"{path} can be made in {place}"
    return Check(name, "ok", found)


def _check_disk(settings: Settings) -> Check:
    journal = settings.journal
    try:
        free = shutil.disk_usage(_existing(journal.directory)).free
        used = sum(file.stat().st_size for file in journal.directory.glob("*") if file.is_file())
    except OSError as error:
        return Check("disk", "failed", f"{journal.directory}: {error.strerror}", "see whether the disk is well")
    found = f"{free / _GIB:.1f} GiB free for a journal of at most {journal.max_bytes / _GIB:.1f} GiB"
    if free < journal.reserve_bytes + journal.segment_bytes:
        return Check("disk", "failed", found, "make room: loggers would have to wait at once")
    if free + used < journal.max_bytes:
        step = "make room or lower journal.max_bytes: the disk is full before the journal is"
        return Check("disk", "warning", found, step)
    return Check("disk", "ok", found)


def _check_port(name: str, host: str, port: int, *, is_running: bool) -> Check:
    place = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and is_running:
            return Check(name, "ok", f"{place} is in use, and a gateway answers")
        option = name.replace(" ", ".")
        return Check(name, "failed", f"{place}: {error.strerror}", f"free it, or set another {option}")
    return Check(name, "ok", f"{place} is free")


def _answers_http(host: str, port: int) -> bool:
    """Ask whether a gateway runs here already."""
    with closing(HTTPConnection(host, port, timeout=_PROBE_SECS)) as connection:
        try:
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            return response.status == HTTPStatus.OK and response.read(16) == b"alive\n"
        except (OSError, HTTPException):
            return False


def _check_clock(now: datetime) -> Check:
    if not _EARLIEST < now < _LATEST:
        return Check("clock", "failed", f"it shows {now:%Y-%m-%d %H:%M} UTC", "set the clock, best by NTP")
    return Check("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC")


async def _check_database(settings: Settings) -> Check:
    if settings.database.dsn is None:
        step = "name one with --dsn or database.dsn_file, unless `up` shall start its own"
        return Check("database", "warning", "none is named", step)
    try:
        return await _ask_database(settings.database.dsn.get_secret_value())
    except SchemaMismatch as error:
        return Check("database", "failed", str(error), "run: hj212gw db migrate")
    except (StoreError, ConfigError) as error:
        return Check("database", "failed", str(error), "see whether it runs and whether its address is right")


async def _ask_database(dsn: str) -> Check:
    from hj212gw.store.engine import read_engine  # noqa: PLC0415 - asyncpg, only where a database is named
    from hj212gw.store.migrate import check_schema  # noqa: PLC0415
    from hj212gw.store.pool import connect  # noqa: PLC0415

    connection = await connect(dsn, name="hj212gw doctor")
    try:
        engine = await read_engine(connection)
        await check_schema(connection)
        theirs = await connection.fetchval("SELECT clock_timestamp()")
    finally:
        await connection.close()
    skew_secs = abs((theirs - datetime.now(UTC)).total_seconds())
    found = f"PostgreSQL {engine.server}, TimescaleDB {engine.timescaledb or 'not installed'}, schema up to date"
    if skew_secs > _SKEW_SECS:
        return Check("database", "warning", f"{found}; its clock differs by {skew_secs:.0f} s", "set both clocks")
    return Check("database", "ok", found)
