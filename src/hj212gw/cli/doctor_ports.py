"""The doctor's look at the ports: free, held by this gateway, or by whom else."""

import errno
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from hj212gw.cli.check import Check
from hj212gw.cli.reloading import make_limits
from hj212gw.config import Settings
from hj212gw.errors import ConfigError
from hj212gw.gateway.tls import load_context

_PROBE_SECS = 2.0
_MOST_TEXT = 2000
_LISTENS = "0A"  # of the states in /proc/net/tcp
_PROC = Path("/proc")


def check_ports(settings: Settings) -> Iterator[Check]:
    """Look whether the ports can be listened on, and whether the TLS port has a certificate."""
    is_running = _ask_http(settings, "/healthz") == (HTTPStatus.OK, "alive")
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
        by = f" by {holder}" if holder else ""
        return Check(name, "failed", f"{place} is taken{by}", f"stop that, or set another {option}")
    return Check(name, "ok", f"{place} is free")


def _check_certificate(settings: Settings) -> Check:
    try:
        load_context(make_limits(settings).tls)
    except ConfigError as error:
        return Check("tls certificate", "failed", str(error), "mend the file, then SIGHUP a gateway that runs")
    return Check("tls certificate", "ok", f"{settings.tls.certificate_file} and its key can be used")


def _check_ready(settings: Settings) -> Check:
    status, text = _ask_http(settings, "/readyz")
    if status == HTTPStatus.OK:
        return Check("gateway", "ok", "it runs and takes packets")
    why = text or "it does not answer /readyz"
    return Check("gateway", "failed", f"it runs and takes no packets: {why}", "mend what it says, and read its log")


def _ask_http(settings: Settings, path: str) -> tuple[int, str]:
    """Ask the gateway that may run here; gives status and text, 0 where nobody answers."""
    with closing(HTTPConnection(settings.http.host, settings.http.port, timeout=_PROBE_SECS)) as connection:
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read(_MOST_TEXT).decode(errors="replace").strip()
        except (OSError, HTTPException):
            return 0, ""


def find_listener(port: int) -> str:
    """Name the process that listens on a TCP port, "" where the system does not tell (others' need root)."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return ""
    for folder in _PROC.glob("[0-9]*/fd"):
        with suppress(OSError):
            if any(str(link.readlink()) in inodes for link in folder.iterdir()):
                return f"{(folder.parent / 'comm').read_text().strip()} (process {folder.parent.name})"
    return ""


def _listening_inodes(port: int) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (_PROC / "net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == _LISTENS:
                    yield f"socket:[{fields[9]}]"
