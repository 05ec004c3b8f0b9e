"""Where a DSN says that the server is, without anything that may be secret."""

from urllib.parse import parse_qs, unquote, urlsplit

_PORT = "5432"


def find_place(dsn: str) -> str:
    """Return host:port, or the path of the socket, of a DSN; "" where it does not tell without doubt."""
    try:
        parts = urlsplit(dsn)
        query = parse_qs(parts.query)
    except ValueError:
        return ""
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return ""  # a password with a slash in it ends the address early
    port = query.get("port", [_PORT])[-1]
    hosts = parts.netloc.rpartition("@")[2] or ",".join(query.get("host", []))
    return ", ".join(_complete(unquote(host), port) for host in hosts.split(",") if host)


def _complete(host: str, port: str) -> str:
    if host.startswith("/"):
        return f"{host}/.s.PGSQL.{port}"
    return host if ":" in host.rpartition("]")[2] else f"{host}:{port}"
