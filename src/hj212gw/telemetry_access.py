"""Metrics and events of access: rates, TLS, proxies, suspicions, and settings that are read again."""

import math
from collections.abc import Iterable
from datetime import datetime

from hj212gw.telemetry import (
    CONFIG_RELOADS,
    PROXIES_REFUSED,
    SESSIONS_RESTED,
    SUSPICIONS_DROPPED,
    SUSPICIONS_NOTED,
    TLS_ENDING,
    TLS_EXPIRES,
    TLS_FAILURES,
    error_facts,
    host_of,
    tell,
)


def session_rested(peer: str, secs: float) -> None:
    """Count a pause of reading for a rate, and tell how long it is."""
    SESSIONS_RESTED.inc()
    tell("session.rested", host_of(peer), peer=peer, secs=round(secs, 1))


def tls_failed(peer: str, why: str) -> None:
    """Count a connection ended by a fault of TLS and tell which."""
    TLS_FAILURES.inc()
    tell("tls.failed", f"{host_of(peer)} {why}"[:200], peer=peer, why=why)


def certificates_loaded(expires_at: datetime | None) -> None:
    """Show when the first of the certificates in force runs out; None without TLS."""
    TLS_EXPIRES.set(math.nan if expires_at is None else expires_at.timestamp())


def certificate_ending(file: str, expires_at: datetime, days_left: float) -> None:
    """Count and tell a certificate in force that runs out soon, or did: then less than nothing is left."""
    TLS_ENDING.inc()
    tell("certificate.ending", file[:200], file=file, expires_at=expires_at.isoformat(), days_left=round(days_left, 1))


def proxy_refused(host: str, why: str) -> None:
    """Count a connection of a proxy that did not say for whom it is."""
    PROXIES_REFUSED.inc()
    tell("proxy.refused", host, host=host, why=why)


def suspicion_noted(what: str, mn: str, peer: str, evidence: str) -> None:
    """Count a packet that makes one suspicious; `what` is one of `SUSPICIONS`."""
    SUSPICIONS_NOTED.get(what, SUSPICIONS_NOTED["other"]).inc()
    tell("suspicion.noted", f"{what} {mn[:40]}", what=what, mn=mn, peer=peer, evidence=evidence)


def conflicts_noted(count: int) -> None:
    """Count packets in conflict with another peer's among the suspicions; what became of them is told elsewhere."""
    SUSPICIONS_NOTED["mn_conflict"].inc(count)


def suspicions_dropped(count: int) -> None:
    """Count suspicions the database will not have: too many different ones between two batches."""
    SUSPICIONS_DROPPED.inc(count)


def config_reloaded(changed: Iterable[str]) -> None:
    """Tell which settings hold another value from now on."""
    CONFIG_RELOADS["applied"].inc()
    names = " ".join(changed) or "nothing"
    tell("config.reloaded", names, changed=names)


def config_postponed(names: Iterable[str]) -> None:
    """Tell which settings changed and take a restart."""
    CONFIG_RELOADS["postponed"].inc()
    text = " ".join(names)
    tell("config.postponed", text, names=text)


def config_refused(error: BaseException) -> None:
    """Tell why the settings could not be read again."""
    CONFIG_RELOADS["refused"].inc()
    tell("config.refused", str(error)[:200], **error_facts(error))
