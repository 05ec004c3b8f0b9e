"""The private PostgreSQL of `hj212gw up`: kept running, and let go of while it is upgraded."""

import asyncio
from contextlib import suppress
from pathlib import Path

from hj212gw.cli.output import say
from hj212gw.errors import DirectoryInUse, Hj212Error
from hj212gw.store.embedded import EmbeddedServer
from hj212gw.store.lock import is_upgraded

_LOOK_SECS = 1.0


class EmbeddedDatabase:
    """A private PostgreSQL beside a gateway that goes on without it.

    Args:
        data_dir: of the server.
    """

    def __init__(self, data_dir: Path) -> None:
        self._server = EmbeddedServer(data_dir)
        self._task: asyncio.Task[None] | None = None
        self._told = ""

    @property
    def dsn(self) -> str:
        """Address of the database, which may be away."""
        return self._server.dsn

    async def start(self) -> None:
        """Start the server, or find it being upgraded: then it comes when that is done.

        Raises:
            Hj212Error: it cannot be started, or where it will be is not known before.
        """
        try:
            await self._server.start()
        except DirectoryInUse as error:
            if not is_upgraded(self._server.data_dir) or not self._server.is_address_known:
                raise
            self._tell(f"{error}; packets are kept in the journal until then")
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Stop the server and look after it no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._server.stop()

    async def _keep(self) -> None:
        """Look now and then: files are all that an upgrade and a server's end have in common."""
        while True:
            await asyncio.sleep(_LOOK_SECS)
            if is_upgraded(self._server.data_dir):
                await self._let_go()
            elif not self._server.running:
                await self._bring_back()

    async def _let_go(self) -> None:
        if self._server.running:
            await self._server.stop()
            self._tell("the database is let go for its upgrade; packets are kept in the journal until it is back")

    async def _bring_back(self) -> None:
        try:
            await self._server.start()
        except (Hj212Error, OSError) as error:
            self._tell(f"the database cannot be started: {error}; it is tried again")
            return
        self._tell("the database is back")

    def _tell(self, text: str) -> None:
        """Say what is new."""
        if text != self._told:
            self._told = text
            say(text)
