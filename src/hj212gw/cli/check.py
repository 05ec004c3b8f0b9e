"""What the doctor finds: a check, how it stands, and the next step."""

from pathlib import Path
from typing import Literal, NamedTuple

GIB = 1 << 30


class Check(NamedTuple):
    """What was looked at, how it stands, and what to do about it."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    next_step: str = ""


def find_existing(path: Path) -> Path:
    """Find the path itself, or the nearest parent there is."""
    return next(parent for parent in [path.absolute(), *path.absolute().parents] if parent.exists())


def judge_days_left(name: str, detail: str, days: float, least_days: float, step: str) -> Check:
    """Warn of something that lasts less than so many days."""
    found = f"{detail}: {days:.1f} days" if days < 1000 else f"{detail}: years"  # noqa: PLR2004 - nobody plans by it
    return Check(name, "warning", found, step) if days < least_days else Check(name, "ok", found)
