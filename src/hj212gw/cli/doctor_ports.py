"""The doctor's look at the ports: free, held by this gateway, or by whom else."""

import errno
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus

from hj212gw.cli.asking import ask_http, find_listener
from hj212gw.cli.check import Check
from hj212gw.cli.reloading import make_limits
from hj212gw.config import Settings
from hj212gw.errors import ConfigError
from hj212gw.gateway.certificates import find_endings
from hj212gw.gateway.tls import load_context


def check_ports(settings: Settings) -> Iterator[Check]:
    """Look whether the ports can be listened on, and whether the TLS port has a certificate."""
    is_running = ask_http(settings, "/healthz") == (HTTPStatus.OK, "alive")
    yield _check_port("gateway port", settings.gateway.host, settings.gateway.port, is_running=is_running)
    if settings.tls.port is not None:
        yield _check_port("tls port", settings.tls.host, settings.tls.port, is_running=is_running)
        yield _check_certificate(settings)
    yield _check_port("http port", settings.http.host, settings.http.port, is_running=is_running)
    if is_running:
        yield _check_ready(settings)


def _check_port(name: str, host: str, port: int, *, is_running: bool) -> Check:
    place = f"{host}:{port}"
    option = name.replace(" ", ".")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return Check(name, "failed", f"{place}: {error.strerror}", f"set another {option.partition('.')[0]}.host")
        if is_running:
            return Check(name, "ok", f"{place} is in use, and a gateway answers")
        holder = find_listener(port)
        by = f" by {holder.name} (process {holder.pid})" if holder else ""
        return Check(name, "failed", f"{place} is taken{by}", f"stop that, or set another {option}")
    return Check(name, "ok", f"{place} is free")


def _check_certificate(settings: Settings) -> Check:
    try:
        load_context(make_limits(settings).tls)
    except ConfigError as error:
        return Check("tls certificate", "failed", str(error), "mend the file, then SIGHUP a gateway that runs")
    endings = find_endings((settings.tls.certificate_file, settings.tls.client_ca_file), datetime.now(UTC))
    if endings:
        found = "; ".join(ending.describe() for ending in endings)
        step = "put a new certificate in its place, then SIGHUP a gateway that runs"
        return Check(
            "tls certificate", "failed" if any(ending.is_over for ending in endings) else "warning", found, step
        )
    return Check("tls certificate", "ok", f"{settings.tls.certificate_file} and its key can be used")


def _check_ready(settings: Settings) -> Check:
    status, text = ask_http(settings, "/readyz")
    if status == HTTPStatus.OK:
        return Check("gateway", "ok", "it runs and takes packets")
    why = text or "it does not answer /readyz"
    return Check("gateway", "failed", f"it runs and takes no packets: {why}", "mend what it says, and read its log")
