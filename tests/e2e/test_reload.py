"""SIGHUP: settings hold anew without a connection being lost, a bad file changes nothing, the rest is named."""

import asyncio
import json
import os
import pty
import signal
import sys

import pytest
from tests.gateway.certificates import Authority
from tests.support import make_frame, secs, wait_for

from hj212gw.protocol import FrameBuffer

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
MN = "RELOAD00000001"


class Settings:
    """A settings file that a test rewrites."""

    def __init__(self, path):
        self.path = path

    def write(self, **sections):
        """Write sections of options."""
        lines = []
        for section, options in sections.items():
            lines.append(f"[{section}]")
            lines += [f"{name} = {json.dumps(value)}" for name, value in options.items()]
        self.path.write_text("\n".join(lines))


@pytest.fixture
def settings(tmp_path):
    """The file."""
    return Settings(tmp_path / "hj212gw.toml")


def reload(gateway, event):
    """Have a gateway read its settings again; return the facts of the event it tells."""
    before = gateway.log().count(f'"event": "{event}"')
    gateway.process.send_signal(signal.SIGHUP)
    wait_for(lambda: gateway.log().count(f'"event": "{event}"') > before)
    lines = [line for line in gateway.log().splitlines() if f'"event": "{event}"' in line]
    return json.loads(lines[-1])


async def exchange(line, number, mn=MN):
    """Send a packet and take its answer."""
    reader, writer = line
    writer.write(make_frame(mn, number))
    buffer = FrameBuffer()
    async with asyncio.timeout(secs(20)):
        while not (events := buffer.feed(await reader.read(1 << 16))):
            assert not reader.at_eof(), "the gateway closed the line"
    return events


async def is_turned_away(port):
    """Whether a new connection is closed at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(secs(1)):
            return await reader.read(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    finally:
        writer.close()


@pytest.mark.parametrize("command", ["serve", "up"])
async def test_lists_limits_and_level_hold_at_once(serve, dsn, settings, command):
    """The line that is open goes on through every reload; `up` reloads as `serve` does."""
    settings.write(log={"level": "info"})
    gateway = serve(dsn, "--config", str(settings.path), "--unknown-mn", "accept", command=command)
    await asyncio.to_thread(gateway.start)
    line = await asyncio.open_connection("127.0.0.1", gateway.port)
    await exchange(line, 1)

    settings.write(log={"level": "debug"}, limits={"connections_per_peer": 1}, retention={"minute_days": 700})
    facts = await asyncio.to_thread(reload, gateway, "config.reloaded")
    assert set(facts["changed"].split()) == {"limits.connections_per_peer", "log.level", "retention.minute_days"}
    await exchange(line, 2)
    assert await is_turned_away(gateway.port)
    assert gateway.has_logged("session.opened"), "debug lines are printed now"

    settings.write(gateway={"deny_networks": ["192.0.2.0/24"]})
    facts = await asyncio.to_thread(reload, gateway, "config.reloaded")
    assert "gateway.deny_networks" in facts["changed"]
    assert not await is_turned_away(gateway.port)
    await exchange(line, 3)
    metrics = await asyncio.to_thread(gateway.metrics)
    assert metrics['hj212gw_config_reloads_total{outcome="applied"}'] == 2
    line[1].close()
    assert await asyncio.to_thread(gateway.stop) == 0


async def test_bad_file_keeps_the_settings_of_before(serve, settings):
    """Each fault is named with its option, and what held before still does."""
    settings.write(limits={"connections_per_peer": 1})
    gateway = serve(NOWHERE, "--config", str(settings.path))
    await asyncio.to_thread(gateway.start)
    line = await asyncio.open_connection("127.0.0.1", gateway.port)
    await exchange(line, 1)
    settings.write(limits={"connections_per_peer": -1})
    facts = await asyncio.to_thread(reload, gateway, "config.refused")
    assert "limits.connections_per_peer = -1" in facts["error"]
    assert await is_turned_away(gateway.port)
    await exchange(line, 2)
    metrics = await asyncio.to_thread(gateway.metrics)
    assert metrics['hj212gw_config_reloads_total{outcome="refused"}'] == 1
    line[1].close()
    assert await asyncio.to_thread(gateway.stop) == 0


async def test_what_takes_a_restart_is_named(serve, settings):
    """With every reload until there was one."""
    settings.write(log={"level": "info"})
    gateway = serve(NOWHERE, "--config", str(settings.path))
    await asyncio.to_thread(gateway.start)
    settings.write(journal={"keep_days": 9}, database={"batch_packets": 7}, limits={"connections_per_mn": 9})
    facts = await asyncio.to_thread(reload, gateway, "config.postponed")
    assert set(facts["names"].split()) == {"journal.keep_days", "database.batch_packets"}
    assert await asyncio.to_thread(gateway.stop) == 0


async def test_certificate_is_renewed_under_an_open_line(serve, settings, tmp_path):
    """The new one for new handshakes; a broken one changes nothing, and says which file."""
    authority = Authority(tmp_path / "ca")
    pair = authority.sign_gateway()
    tls = {"host": "127.0.0.1", "port": 0, "certificate_file": str(pair[0]), "key_file": str(pair[1])}
    settings.write(tls=tls)
    gateway = serve(NOWHERE, "--config", str(settings.path))
    await asyncio.to_thread(gateway.start)
    address = gateway.ready["tls"].rpartition(":")
    context = authority.client_context()

    async def connect():
        return await asyncio.open_connection(address[0], int(address[2]), ssl=context)

    lines = [await connect()]
    await exchange(lines[0], 1)
    authority.sign_gateway("gateway")  # the same files, as a renewal writes them
    await asyncio.to_thread(reload, gateway, "config.reloaded")
    lines.append(await connect())
    serials = [line[1].get_extra_info("peercert")["serialNumber"] for line in lines]
    assert serials[0] != serials[1]

    pair[0].write_text("no certificate")
    facts = await asyncio.to_thread(reload, gateway, "config.refused")
    assert str(pair[0]) in facts["error"]
    lines.append(await connect())
    assert lines[2][1].get_extra_info("peercert")["serialNumber"] == serials[1]
    for number, line in enumerate(lines, 2):
        await exchange(line, number)
        line[1].close()
    assert await asyncio.to_thread(gateway.stop) == 0


async def test_certificate_that_cannot_be_used_stops_the_start(serve, settings):
    """Exit 3, with the option and the file; no port was opened."""
    settings.write(tls={"port": 0, "certificate_file": "none.pem", "key_file": "none.key"})
    gateway = serve(NOWHERE, "--config", str(settings.path))
    gateway.launch()
    assert await asyncio.to_thread(gateway.wait) == 3
    assert "tls.certificate_file = none.pem" in gateway.log()
    assert "gateway.started" not in gateway.log()


async def test_all_workers_reload(serve, settings, tmp_path):
    """The supervisor passes the signal on; the TLS port is shared as the plain one is."""
    authority = Authority(tmp_path / "ca")
    certificate, key = map(str, authority.sign_gateway())
    tls = {"host": "127.0.0.1", "port": 0, "certificate_file": certificate, "key_file": key}
    settings.write(tls=tls)
    gateway = serve(NOWHERE, "--config", str(settings.path), "--workers", "2")
    await asyncio.to_thread(gateway.start)
    host, _, port = gateway.ready["tls"].rpartition(":")
    lines = []
    for number in range(8):
        lines.append(await asyncio.open_connection(host, int(port), ssl=authority.client_context()))
        await exchange(lines[-1], number)
    settings.write(tls=tls, limits={"connections_per_mn": 50})
    gateway.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(wait_for, lambda: gateway.log().count('"event": "config.reloaded"') == 2)
    told = [json.loads(line) for line in gateway.log().splitlines() if '"event": "config.reloaded"' in line]
    assert sorted(line["worker"] for line in told) == [0, 1]
    for number, line in enumerate(lines[-3:], 10):
        await exchange(line, number)
    for line in lines:
        line[1].close()
    assert await asyncio.to_thread(gateway.stop) == 0


def test_terminal_that_is_closed_stops_the_gateway(tmp_path):
    """A hang-up is a reload only where nobody sat before a terminal; there it is an orderly stop."""
    ready, command = tmp_path / "ready.json", [sys.executable, "-m", "hj212gw", "serve", "--dsn", NOWHERE]
    command += ["--data-dir", str(tmp_path / "data"), "--host", "127.0.0.1", "--port", "0"]
    command += ["--http", "127.0.0.1:0", "--ready-file", str(ready)]
    pid, terminal = pty.fork()
    if not pid:
        os.execv(command[0], command)  # in the child, which has the terminal
    wait_for(ready.exists)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
