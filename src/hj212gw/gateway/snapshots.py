"""The registry snapshot beside the journal: a JSON file with passwords and keys, its owner's only."""

import json
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from hj212gw.protocol.dialects import Key
from hj212gw.store.loggers import DatedKey, KnownLogger

_FIRST_FORM = 4  # rows of the first version: MN, PW, ST, real-time interval


def write_snapshot(path: Path, loggers: Iterable[KnownLogger]) -> None:
    """Write data loggers to a file, whole or not at all.

    Raises:
        OSError: the file that was there stays.
    """
    rows = [[*logger[:_FIRST_FORM], _to_document(logger)] for logger in loggers]
    draft = path.with_suffix(".draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(rows, file)
    draft.replace(path)


def read_snapshot(path: Path) -> list[KnownLogger] | None:
    """Read what `write_snapshot` of this or an earlier version wrote; None where nothing can be read."""
    try:
        return [_from_row(*row) for row in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None


def _to_document(logger: KnownLogger) -> dict[str, Any]:
    """Return what came after the first version, without what is usual."""
    keys = [
        [dated.key.key_id, dated.key.secret.hex(), *(bound and bound.isoformat() for bound in dated[1:])]
        for dated in logger.keys
    ]
    document = {
        "min_interval_mins": logger.min_interval_mins,
        "dialects": list(logger.dialects),
        "keys": keys,
        "is_retired": not logger.is_registered,
        "networks": list(logger.networks),
    }
    return {name: value for name, value in document.items() if value}


def _from_row(mn: str, pw: str | None, st: str | None, interval_secs: int | None, *later: Any) -> KnownLogger:
    document = later[0] if later else {}
    return KnownLogger(
        mn,
        pw,
        st,
        interval_secs,
        document.get("min_interval_mins"),
        tuple(document.get("dialects", ())),
        tuple(_read_key(*key) for key in document.get("keys", ())),
        not document.get("is_retired", False),
        tuple(document.get("networks", ())),
    )


def _read_key(key_id: str, secret: str, valid_from: str | None, valid_to: str | None) -> DatedKey:
    return DatedKey(Key(key_id, bytes.fromhex(secret)), _read_moment(valid_from), _read_moment(valid_to))


def _read_moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
