"""The TLS port: the same sessions, certificates that say for which MNs a data logger may speak, and reloads."""

import asyncio
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tests.gateway.certificates import Authority
from tests.gateway.support import (
    LIMITS,
    MN,
    Counts,
    eventually,
    frame,
    live_gateway,
    on_both_loops,
    qns,
)

from hj212gw.errors import ConfigError
from hj212gw.gateway.tls import TlsFiles, load_context, named_mns
from hj212gw.store.retention import Retention


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Who signs everything."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def files(authority):
    """The gateway's files, client certificates not asked for."""
    return TlsFiles(*authority.sign_gateway())


def tls_gateway(folder, files, **limits):
    """A gateway with both ports."""
    return live_gateway(folder, tls_host="127.0.0.1", tls_port=0, tls=files, **limits)


async def exchange(line, sent):
    """Send a frame and take its answer."""
    await line.send(sent)
    await line.answers(1)


def notes(live):
    """What the journal notes of what it holds."""
    return [record.note for record in live.records()]


@on_both_loops
async def test_both_ports_take_packets(tmp_path, authority, files):
    """The same answers on both, and what is kept is plain."""
    async with tls_gateway(tmp_path, files) as live:
        plain, secret = await live.connect(), await live.connect_tls(authority.client_context())
        for number, line in enumerate((plain, secret)):
            await line.send(frame(number))
            assert qns(await line.answers(1)) == [f"20260301080000{number:03d}"]
        assert live.frames() == [frame(0), frame(1)]
        assert secret.writer.get_extra_info("ssl_object").version() == "TLSv1.3"


@on_both_loops
async def test_many_packets_in_and_out(tmp_path, authority, files):
    """Records are cut as they like; a hundred packets, then one byte at a time."""
    async with tls_gateway(tmp_path, files) as live:
        line = await live.connect_tls(authority.client_context())
        await line.send(b"".join(frame(number) for number in range(500)))
        assert len(await line.answers(500)) == 500
        await line.send(*(bytes([byte]) for byte in frame(501)))
        assert len(await line.answers(1)) == 1


@on_both_loops
async def test_end_that_is_announced_keeps_what_came(tmp_path, authority, files):
    """What came before close_notify is kept and answered, and the line is closed."""
    counts = Counts()
    async with tls_gateway(tmp_path, files) as live:
        line = await live.connect_tls(authority.client_context())
        line.writer.write(frame(1))
        line.writer.close()
        await eventually(lambda: len(live.frames()) == 1)
        await eventually(lambda: not live.intake.sessions)
        assert counts("sessions_closed_total", reason="peer") == 1


@on_both_loops
async def test_socket_cut_without_a_word(tmp_path, authority, files):
    """A data logger that loses its network is no fault of TLS."""
    counts = Counts()
    async with tls_gateway(tmp_path, files) as live:
        line = await live.connect_tls(authority.client_context())
        await line.send(frame(1))
        await line.answers(1)
        line.reset()
        await eventually(lambda: not live.intake.sessions)
        assert counts("tls_failures_total") == 0


@on_both_loops
async def test_plain_bytes_on_the_tls_port(tmp_path, files):
    """End with an alert and a count; nothing is taken for a packet."""
    counts = Counts()
    async with tls_gateway(tmp_path, files) as live:
        reader, writer = await asyncio.open_connection(*live.gateway.tls_address)
        writer.write(frame())
        await reader.read()
        writer.close()
        await eventually(lambda: not live.intake.sessions)
        assert counts("tls_failures_total") == 1
        assert counts("sessions_closed_total", reason="handshake") == 1
        assert live.frames() == []


@on_both_loops
async def test_damaged_record_ends_the_line(tmp_path, authority, files):
    """What came whole before it is kept."""
    counts = Counts()
    async with tls_gateway(tmp_path, files) as live:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        reader, writer = await asyncio.open_connection(*live.gateway.tls_address)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(1 << 16))
        tls.write(frame(1))
        good = outgoing.read()
        tls.write(frame(2))
        bad = bytearray(outgoing.read())
        bad[-1] ^= 1
        writer.write(good + bad)
        await eventually(lambda: not live.intake.sessions)
        writer.close()
        await eventually(lambda: live.frames() == [frame(1)])
        assert counts("tls_failures_total") == 1


@on_both_loops
async def test_certificate_binds_its_mns(tmp_path, authority, files):
    """Another MN over the same line is answered, kept and marked; without a certificate nothing is."""
    bound = files._replace(client_ca=authority.file)
    uri = x509.UniformResourceIdentifier(f"urn:hj212:mn:{MN}")
    pair = authority.sign("logger", "some data logger", uri)
    async with tls_gateway(tmp_path, bound) as live:
        own = await live.connect_tls(authority.client_context(pair))
        await own.send(frame(1), frame(2, mn="OTHER000000001"))
        assert len(await own.answers(2)) == 2
        nobody = await live.connect_tls(authority.client_context())
        await nobody.send(frame(3, mn="OTHER000000002"))
        await nobody.answers(1)
        assert notes(live) == ["", "\tforeign_certificate", ""]
    async with tls_gateway(tmp_path / "off", bound._replace(binds_mn=False)) as live:
        line = await live.connect_tls(authority.client_context(pair))
        await line.send(frame(2, mn="OTHER000000001"))
        await line.answers(1)
        assert notes(live) == [""]


@on_both_loops
async def test_required_certificate_keeps_others_out(tmp_path, authority, files):
    """One that a stranger signed does not help."""
    required = files._replace(client_ca=authority.file, requires_client=True)
    stranger = Authority(tmp_path / "stranger", "stranger")
    pairs = (None, stranger.sign("logger", MN))
    async with tls_gateway(tmp_path, required) as live:
        for pair in pairs:
            line = await live.connect_tls(authority.client_context(pair))  # with TLS 1.3 the refusal comes later
            with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
                await exchange(line, frame())
        known = await live.connect_tls(authority.client_context(authority.sign("known", MN)))
        await known.send(frame())
        assert len(await known.answers(1)) == 1
        assert len(live.frames()) == 1


@on_both_loops
async def test_new_certificate_without_losing_a_line(tmp_path, authority, files):
    """A line that is open goes on; the next handshake gets the new certificate; a bad file changes nothing."""
    async with tls_gateway(tmp_path, files) as live:
        old = await live.connect_tls(authority.client_context())
        renewed = files._replace(certificate=(pair := authority.sign_gateway("renewed"))[0], key=pair[1])
        limits = LIMITS._replace(tls_host="127.0.0.1", tls_port=0, tls=renewed)
        live.gateway.replace(limits, Retention())
        with pytest.raises(ConfigError, match="certificate_file"):
            live.gateway.replace(limits._replace(tls=files._replace(key=pair[1])), Retention())
        new = await live.connect_tls(authority.client_context())
        names = [
            dict(part for group in line.writer.get_extra_info("peercert")["subject"] for part in group)["commonName"]
            for line in (old, new)
        ]
        assert names == ["gateway", "renewed"]
        for number, line in enumerate((old, new)):
            await line.send(frame(number))
            assert len(await line.answers(1)) == 1


@on_both_loops
async def test_half_a_handshake_is_closed_in_time(tmp_path, files):
    """It is a session from the accept on, and a silent one."""
    counts = Counts()
    async with tls_gateway(tmp_path, files, idle_timeout_secs=0.1) as live:
        reader, writer = await asyncio.open_connection(*live.gateway.tls_address)
        writer.write(b"\x16\x03\x01\x02\x00")
        await reader.read()
        writer.close()
        await eventually(lambda: not live.intake.sessions)
        assert counts("sessions_closed_total", reason="idle") == 1


@on_both_loops
async def test_reader_that_takes_no_answers_is_paused(tmp_path, authority, files):
    """As on the plain port."""
    async with tls_gateway(tmp_path, files) as live:
        line = await live.connect_tls(authority.client_context())
        await eventually(lambda: live.intake.sessions)
        session = live.session()
        session.pause_writing()
        assert not session._transport.is_reading()
        session.resume_writing()
        await line.send(frame())
        assert len(await line.answers(1)) == 1


def test_old_tls_is_refused(files):
    """TLS 1.2 at least, and no renegotiation."""
    context = load_context(files)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"certificate": None}, "tls.port needs"),
        ({"certificate": "none.pem"}, "tls.certificate_file = none.pem"),
        ({"key": "none.key"}, "tls.key_file = none.key"),
        ({"client_ca": "none.pem"}, "tls.client_ca_file = none.pem cannot be used: No such file"),
    ],
)
def test_files_that_cannot_be_used_are_named(files, change, said):
    """With the option they stand in."""
    with pytest.raises(ConfigError, match=said):
        load_context(files._replace(**change))


def test_key_with_a_password_is_refused(authority, files, tmp_path):
    """Nobody is asked for it on a terminal that is not there."""
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    form, cipher = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, cipher))
    with pytest.raises(ConfigError, match="protected by a password"):
        load_context(files._replace(key=locked))


@pytest.mark.parametrize(
    ("certificate", "mns"),
    [
        ({"subjectAltName": (("URI", f"urn:hj212:mn:{MN}"), ("DNS", "mn2.example"))}, {MN, "MN2.EXAMPLE"}),
        ({"subjectAltName": (("DNS", MN.lower()),), "subject": ((("commonName", "other"),),)}, {MN}),
        ({"subject": ((("organizationName", "x"),), (("commonName", MN),))}, {MN}),
        ({"subjectAltName": (("URI", "https://x"), ("IP Address", "10.0.0.1"))}, set()),
        ({"subject": ((("commonName", "two words"),),)}, set()),
        ({}, set()),
    ],
)
def test_mns_a_certificate_names(certificate, mns):
    """By URI or DNS, else by the common name; letter case does not matter."""
    assert named_mns(certificate) == mns
