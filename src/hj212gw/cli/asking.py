"""Ask the gateway that may run on this machine, over HTTP."""

from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

from hj212gw.config import Settings

_PROBE_SECS = 2.0
_MOST_BYTES = 1 << 20
_LISTENS = "0A"  # of the states in /proc/net/tcp
_PROC = Path("/proc")


class Listener(NamedTuple):
    """A process that listens on a port."""

    pid: int
    name: str


def ask_http(settings: Settings, path: str) -> tuple[int, str]:
    """Ask for a path of the gateway's HTTP; gives status and text, 0 where nobody answers."""
    with closing(HTTPConnection(settings.http.host, settings.http.port, timeout=_PROBE_SECS)) as connection:
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read(_MOST_BYTES).decode(errors="replace").strip()
        except (OSError, HTTPException):
            return 0, ""


def find_listener(port: int) -> Listener | None:
    """Find the process that listens on a TCP port, None where the system does not tell (others' need root)."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return None
    for folder in _PROC.glob("[0-9]*/fd"):
        with suppress(OSError):
            if any(str(link.readlink()) in inodes for link in folder.iterdir()):
                return Listener(int(folder.parent.name), (folder.parent / "comm").read_text().strip())
    return None


def find_parent(pid: int) -> int | None:
    """Return the process that started another; None where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (_PROC / "net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == _LISTENS:
                    yield f"socket:[{fields[9]}]"
