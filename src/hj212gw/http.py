"""The HTTP endpoint for machines that watch the gateway: /metrics, /healthz, /readyz.

Three read-only routes do not earn a framework. Only what they need of HTTP/1.1 is here: GET and HEAD, one request
a connection, headers of at most 8 KiB within 5 seconds, at most 64 connections at a time.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import NamedTuple

from prometheus_client import disable_created_metrics
from prometheus_client.exposition import choose_encoder

from hj212gw.errors import ConfigError
from hj212gw.merging import Collector
from hj212gw.telemetry import READY, REGISTRY

MAX_REQUEST_BYTES = 8192
MAX_CONNECTIONS = 64
TIMEOUT_SECS = 5.0

_PLAIN = "text/plain; charset=utf-8"


class Readiness(NamedTuple):
    """Whether packets are accepted and kept; `reason` says why not."""

    is_ready: bool
    reason: str = ""


class _Request(NamedTuple):
    method: str
    path: str
    accept: str


class _Response(NamedTuple):
    status: HTTPStatus
    body: bytes
    content_type: str = _PLAIN


class HttpServer:
    """Serves the three routes; `readiness` is asked on every request to /readyz and /metrics.

    Args:
        host: address to listen on.
        port: TCP port; 0 takes any free one.
        readiness: must not block, but may be awaited; it may bring gauges up to date, hence the call before /metrics.
        metrics: what /metrics shows.
        timeout_secs: time for a whole request, and again for its response.
    """

    def __init__(
        self,
        host: str,
        port: int,
        readiness: Callable[[], Readiness | Awaitable[Readiness]],
        *,
        metrics: Collector = REGISTRY,
        timeout_secs: float = TIMEOUT_SECS,
    ) -> None:
        self._host = host
        self._port = port
        self._readiness = readiness
        self._metrics = metrics
        self._timeout_secs = timeout_secs
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> tuple[str, int]:
        """Listen, and tell the address and port.

        Raises:
            ConfigError: the address or port cannot be had.
        """
        # The `_created` twins would double the number of series and tell nothing that process_start_time does not.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        try:
            self._server = await asyncio.start_server(self._accept, self._host, self._port, limit=MAX_REQUEST_BYTES)
        except OSError as error:
            why = error.strerror or str(error)
            raise ConfigError(f"http.port: cannot listen on {self._host}:{self._port}: {why}") from error
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    async def stop(self) -> None:
        """Close the port and every connection; a second call does nothing."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; a client that is slow, gone or wrong costs a bounded time and nothing else."""
        try:
            with suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(self._timeout_secs):
                    head = await _read_head(reader)
                if head is not None:
                    async with asyncio.timeout(self._timeout_secs):
                        await self._reply(head, writer)
        finally:
            writer.transport.abort()

    async def _reply(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        request = _parse(head)
        response = await self._respond(request)
        writer.write(_encode(response, has_body=request is None or request.method != "HEAD"))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _respond(self, request: _Request | None) -> _Response:
        if request is None:
            return _Response(HTTPStatus.BAD_REQUEST, b"expected an HTTP/1.1 request of at most 8192 bytes\n")
        if request.path not in ("/metrics", "/healthz", "/readyz"):
            return _Response(HTTPStatus.NOT_FOUND, b"there are /metrics, /healthz and /readyz\n")
        if request.method not in ("GET", "HEAD"):
            return _Response(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD\n")
        if request.path == "/healthz":
            return _Response(HTTPStatus.OK, b"alive\n")
        return await self._tell_state(request)

    async def _tell_state(self, request: _Request) -> _Response:
        """Answer what depends on the gateway's state."""
        told = self._readiness()
        readiness = await told if inspect.isawaitable(told) else told
        READY.set(readiness.is_ready)
        if request.path == "/metrics":
            encoder, content_type = choose_encoder(request.accept)
            return _Response(HTTPStatus.OK, encoder(self._metrics), content_type)
        if readiness.is_ready:
            return _Response(HTTPStatus.OK, b"ready\n")
        return _Response(HTTPStatus.SERVICE_UNAVAILABLE, f"{readiness.reason}\n".encode())


async def _read_head(reader: asyncio.StreamReader) -> bytes | None:
    """Read up to the empty line; b"" when it is too long, None when the client left without a request."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return b""
    except asyncio.IncompleteReadError as error:
        return b"" if error.partial else None


def _parse(head: bytes) -> _Request | None:
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):  # noqa: PLR2004 - method, target, version
        return None
    headers = (line.partition(":") for line in lines[1:])
    accept = ",".join(value.strip() for name, _, value in headers if name.strip().lower() == "accept")
    return _Request(parts[0], parts[1].partition("?")[0], accept)


def _encode(response: _Response, *, has_body: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {response.status.value} {response.status.phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if response.status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head + response.body if has_body else head
