"""When certificates run out, for the alarm long before."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path


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
