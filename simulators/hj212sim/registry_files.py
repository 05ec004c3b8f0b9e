"""A city as the registry's CSV files, so that a gateway knows the fleet it will meet."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from hj212sim.presets import City, Monitor

COLUMNS = {
    "enterprises.csv": ("enterprise", "name", "credit_code", "county", "level", "valid_from", "valid_to"),
    "outlets.csv": ("outlet", "enterprise", "name", "medium", "valid_from", "valid_to"),
    "data_loggers.csv": (
        *("mn", "pw", "st", "outlet", "cns", "rtd_interval_secs", "min_interval_mins", "factors"),
        *("valid_from", "valid_to"),
    ),
}
_ALWAYS = ("", "")  # valid_from and valid_to: simulated time may be any
_PRIVATE = 0o600  # data_loggers.csv holds passwords
_PUBLIC = 0o644


def write_registry(city: City, directory: Path) -> list[Path]:
    """Write enterprises.csv, outlets.csv and data_loggers.csv; files of these names are replaced.

    Args:
        city: what they say.
        directory: made when missing.

    Raises:
        OSError: one cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Iterable[tuple[object, ...]]] = {
        "enterprises.csv": (
            (row.enterprise, row.name, row.credit_code, row.county.name, row.level, *_ALWAYS)
            for row in city.enterprises
        ),
        "outlets.csv": ((row.outlet, row.enterprise, row.name, row.medium, *_ALWAYS) for row in city.monitors),
        "data_loggers.csv": sorted(map(_logger_row, city.monitors)),
    }
    return [_write(directory / name, rows[name]) for name in COLUMNS]


def _logger_row(monitor: Monitor) -> tuple[str, ...]:
    profile = monitor.profile
    return (
        profile.mn,
        profile.pw,
        profile.st,
        monitor.outlet,
        " ".join(profile.cns),
        str(profile.rhythm.rtd_interval_secs),
        str(profile.rhythm.min_interval_mins),
        " ".join(profile.factors),
        *_ALWAYS,
    )


def _write(path: Path, rows: Iterable[tuple[object, ...]]) -> Path:
    mode = _PRIVATE if "pw" in COLUMNS[path.name] else _PUBLIC
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS[path.name])
            writer.writerows(rows)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
