"""When certificates run out, for the alarm long before."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

SOON: Final = timedelta(days=21)


class Ending(NamedTuple):
    """A PEM file with a certificate that ran out, or does soon."""

    file: Path
    at: datetime
    left: timedelta

    @property
    def is_over(self) -> bool:
        """Tell whether it ran out."""
        return self.left <= timedelta()

    def describe(self) -> str:
        """Put it into words."""
        return f"{self.file} {'ran out' if self.is_over else 'runs out'} on {self.at:%Y-%m-%d %H:%M} UTC"


def find_endings(files: Iterable[Path | None], now: datetime) -> list[Ending]:
    """Return the files with a certificate that ran out or does within `SOON`, the first end of each."""
    ends = [(file, at) for file in files if file is not None and (at := find_expiry([file]))]
    return [Ending(file, at, at - now) for file, at in ends if at - now < SOON]


def find_expiry(files: Iterable[Path]) -> datetime | None:
    """Return when the first certificate of some PEM files runs out; None where none can be read.

    Whether they can be used is not decided here: OpenSSL says it when they are loaded.
    """
    from cryptography import x509  # noqa: PLC0415 - a gateway without TLS does not pay for it

    ends = []
    for file in files:
        with suppress(OSError, ValueError):
            ends += [each.not_valid_after_utc for each in x509.load_pem_x509_certificates(file.read_bytes())]
    return min(ends, default=None)
