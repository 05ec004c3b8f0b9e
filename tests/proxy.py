"""A line to the database that tests can slow down, hold up and cut, as networks do."""

import asyncio
import socket
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

_CHUNK = 65536
_KERNEL_BYTES = 16384  # a line that is held up is soon felt by who writes to it


class Proxy:
    """Stands between a gateway and its database on a port of its own.

    Attributes:
        delay_secs: how long each piece takes, either way.
        chunk_bytes: longest piece; with `delay_secs` this is the speed of the line.
        hold_at: what the gateway sends that is the first to be held up; forgotten once it came.
        cut_after: what the gateway sends whose answer never arrives: the line is cut in place of it; taken once.
        cuts: how often that happened.
    """

    def __init__(self, dsn):
        self.url = urlsplit(dsn)
        self.delay_secs = 0.0
        self.chunk_bytes = _CHUNK
        self.hold_at = None
        self.cut_after = None
        self.cuts = 0
        self._transports = set()
        self._serving = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._server = None

    @property
    def dsn(self):
        """Address of the database through this line."""
        host, port = self._server.sockets[0].getsockname()
        login = self.url.netloc.rpartition("@")[0] or "hj212"
        return f"{self.url.scheme}://{login}@{host}:{port}{self.url.path}"

    @property
    def is_held(self):
        """Whether nothing is let through."""
        return not self._flows.is_set()

    async def __aenter__(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BYTES)
        listener.bind(("127.0.0.1", 0))
        self._server = await asyncio.start_server(self._serve, sock=listener, limit=_CHUNK)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()
        self.go_on()
        if self._serving:
            await asyncio.wait(self._serving)
        await self._server.wait_closed()

    def hold(self):
        """Let nothing through any more; connections stay."""
        self._flows.clear()

    def go_on(self):
        """Let through what waits and what comes."""
        self._flows.set()

    def cut(self):
        """End all connections at once, on both sides."""
        for transport in list(self._transports):
            transport.abort()

    async def _open(self):
        query = parse_qs(self.url.query)
        if "host" in query:
            return await asyncio.open_unix_connection(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}", limit=_CHUNK)
        return await asyncio.open_connection(self.url.hostname, self.url.port or 5432, limit=_CHUNK)

    async def _serve(self, reader, writer):
        self._serving.add(asyncio.current_task())
        transports = {writer.transport}
        try:
            their_reader, their_writer = await self._open()
            transports.add(their_writer.transport)
            self._transports |= transports
            doomed = asyncio.Event()
            ways = [self._carry_up(reader, their_writer, doomed), self._carry_down(their_reader, writer, doomed)]
            tasks = [asyncio.create_task(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        except OSError:
            pass  # the database is away, and so is its line
        finally:
            self._transports -= transports
            for transport in transports:
                transport.abort()
            self._serving.discard(asyncio.current_task())

    async def _carry_up(self, reader, writer, doomed):
        """From the gateway to the database."""
        with suppress(OSError):
            while data := await self._read(reader):
                if self.hold_at is not None and self.hold_at in data:
                    self.hold_at = None
                    self.hold()
                    await self._flows.wait()
                if self.cut_after is not None and self.cut_after in data:
                    self.cut_after = None
                    doomed.set()
                writer.write(data)
                await writer.drain()

    async def _carry_down(self, reader, writer, doomed):
        """From the database to the gateway."""
        with suppress(OSError):
            while data := await self._read(reader):
                if doomed.is_set():
                    self.cuts += 1
                    return
                writer.write(data)
                await writer.drain()

    async def _read(self, reader):
        data = await reader.read(self.chunk_bytes)
        if self.delay_secs:
            await asyncio.sleep(self.delay_secs)  # the slow line itself
        await self._flows.wait()
        return data
