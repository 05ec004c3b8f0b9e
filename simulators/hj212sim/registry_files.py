"""A city as the registry's CSV files, so that a gateway knows the fleet it will meet."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from hj212sim.base_list import find_due
from hj212sim.gaps import Mark
from hj212sim.presets import City, Monitor
from hj212sim.truth import show_time

COLUMNS = {
    "enterprises.csv": ("enterprise", "name", "credit_code", "county", "level", "valid_from", "valid_to"),
    "outlets.csv": ("outlet", "enterprise", "name", "medium", "valid_from", "valid_to"),
    "data_loggers.csv": (
        *("mn", "pw", "st", "outlet", "cns", "rtd_interval_secs", "min_interval_mins", "factors"),
        *("valid_from", "valid_to"),
    ),
}
KEYS = "cipher_keys.csv"  # written where there are any
_KEY_COLUMNS = ("mn", "key_id", "secret", "valid_from", "valid_to")
_BASE_COLUMNS = ("outlet", "factor", "fields", "valid_from", "valid_to")
_MARK_COLUMNS = (
    *("outlet", "factor", "kind", "from", "to", "recorded_at", "source", "author"),
    *("state", "decided_by", "decided_at"),
)
_SOURCE, _AUTHOR, _REVIEWER = "enterprise", "hj212-sim enterprise", "hj212-sim city"
_ALWAYS = ("", "")  # valid_from and valid_to: simulated time may be any
_SECRETS = frozenset(("pw", "secret"))
_PRIVATE = 0o600  # data_loggers.csv holds passwords, cipher_keys.csv keys
_PUBLIC = 0o644


def write_registry(city: City, directory: Path) -> list[Path]:
    """Write enterprises.csv, outlets.csv, data_loggers.csv and, where any has a key, cipher_keys.csv.

    Files of these names are replaced.

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
    written = [_write(directory / name, columns, rows[name]) for name, columns in COLUMNS.items()]
    keys = sorted(
        (monitor.profile.mn, key.key_id, key.secret.hex(), *_ALWAYS)
        for monitor in city.monitors
        if (key := monitor.profile.key) is not None
    )
    return [*written, _write(directory / KEYS, _KEY_COLUMNS, keys)] if keys else written


def write_assessment(city: City, directory: Path) -> list[Path]:
    """Write base_list.csv, and marks.csv where the city has gaps; files of these names are replaced.

    The base list has what the data loggers send in hour data and counts (assessment.md, section 3); with gaps it
    begins with the first hour of the plan.

    Args:
        city: what they say.
        directory: made when missing.

    Raises:
        OSError: one cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    rows = sorted(row for monitor in city.monitors for row in _base_rows(monitor))
    written = [_write(directory / "base_list.csv", _BASE_COLUMNS, rows)]
    plans = [monitor.profile.plan for monitor in city.monitors if monitor.profile.plan is not None]
    if plans:
        marks = sorted(_mark_row(plan.site.outlet, mark) for plan in plans for mark in plan.marks)
        written.append(_write(directory / "marks.csv", _MARK_COLUMNS, marks))
    return written


def _base_rows(monitor: Monitor) -> Iterable[tuple[str, ...]]:
    plan = monitor.profile.plan
    validity = _ALWAYS if plan is None else (show_time(plan.run.first_secs), "")
    for due in find_due(monitor.profile.factors):
        yield (monitor.outlet, due.factor, str(due.fields), *validity)


def _mark_row(outlet: str, mark: Mark) -> tuple[str, ...]:
    times = map(show_time, (mark.from_secs, mark.to_secs, mark.recorded_secs))
    decision = ("declared", "", "")
    if mark.voided_secs is not None:
        decision = ("void", _REVIEWER, show_time(mark.voided_secs))
    return (outlet, mark.factor, mark.kind, *times, _SOURCE, _AUTHOR, *decision)


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


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Path:
    mode = _PRIVATE if _SECRETS.intersection(columns) else _PUBLIC
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
