"""What any bytes must leave true, an entry point for each kind of input; `run.py` and `test_fuzz.py` drive them.

A target takes bytes, returns nothing and raises AssertionError, or whatever was not caught, where a promise is broken.
It keeps nothing from one input to the next but what the program itself keeps.
"""

import csv
import hashlib
import io
import ipaddress
import json
import os
import random
import zipfile
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

from hj212gw.cli import decode
from hj212gw.cli.output import print_json
from hj212gw.errors import DataAreaError, EvidenceError, FrameError, PacketError, ProtocolError
from hj212gw.evidence import verify_evidence
from hj212gw.gateway.proxy import MAX_BYTES, ProxyHeader, parse_proxy_header
from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.protocol import (
    Dialect,
    Discard,
    Frame,
    FrameBuffer,
    Key,
    Packet,
    encode_answer,
    encode_data_area,
    encode_frame,
    encode_frame_as,
    encode_packet,
    encode_readings,
    find_answer,
    find_dialect,
    find_part,
    make_dialect,
    open_frame,
    parse_data_area,
    parse_infos,
    parse_packet,
    parse_readings,
)
from hj212gw.protocol import packets as packets_module
from hj212gw.protocol.cipher import (
    decrypt_area,
    encrypt_area,
    is_printed,
    looks_plain,
    parse_printed,
    print_cipher,
    printed_size,
)
from hj212gw.protocol.diagnosis import MAX_EVIDENCE, Proposal, diagnose_packet, diagnose_reject
from hj212gw.protocol.dialects import CIPHER_PRINTED, SLUGS
from hj212gw.protocol.oddities import find_oddities
from hj212gw.protocol.readings import read_rows
from hj212gw.protocol.shapes import Shapes
from hj212gw.registry.csvfiles import FileRows, InputFile, read_files, write_file
from hj212gw.registry.findings import Findings, Level
from hj212gw.registry.kinds import FILES
from hj212gw.store.copyrows import encode_copy_rows, encode_copy_values
from hj212gw.store.rows import ReadingHead

Target = Callable[[bytes], None]

MAX_INPUT = 8192
SMALL = 64  # a max_segment that makes limits easy to meet
KEYS = (Key("new", b"0123456789abcdef"), Key("old", bytes(range(16))))
REASONS = ("crc", "length", "header", "trailer", "too_long", "incomplete", "noise", "other")
ARRIVAL = datetime(2026, 3, 1, 0, 0, 30, tzinfo=UTC)
HEAD = ReadingHead(1, "32", "2011", ARRIVAL, 20260301080000000)
MOST_FINDINGS = 100
MANIFEST = "manifest.json"

_SPAN_OF_PRINTED = 5  # bytes a printed cipher takes for one
_SCRATCH = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp") / f"hj212-fuzz-{os.getpid()}"
_shapes = Shapes(learn_after=2, max_names=2000)


def dialect_of(mn: str) -> Dialect | None:
    """Tell the dialect of an MN such as D041-1: the bits of its slugs, and how many keys it has."""
    bits, separator, key_count = mn.removeprefix("D").partition("-")
    if not separator or not (bits + key_count).isascii() or not bits.isdecimal() or not key_count.isdecimal():
        return None
    slugs = [slug for bit, slug in enumerate(SLUGS) if int(bits) >> bit & 1]
    return make_dialect(slugs, KEYS[: int(key_count)])


def frames(data: bytes) -> None:
    """Cut a stream: the same for any chunking, every byte told once, little held; what was accepted opens again.

    The first byte says how: bit 0 with dialects, bit 1 with a small limit; the second how the stream is cut.
    """
    mode, seed, stream = data[:1] or b"\0", data[1:2] or b"\0", data[2:MAX_INPUT]
    asked = dialect_of if mode[0] & 1 else None
    limit = SMALL if mode[0] & 2 else 4096
    whole = _cut(stream, [stream], asked, limit)
    offset = 0
    for event in whole:
        assert event.offset == offset
        offset += len(event.raw)
        if isinstance(event, Frame):
            _open_again(event)
        else:
            assert event.reason in REASONS
            assert event.detail.isprintable()
    assert b"".join(event.raw for event in whole) == stream
    assert _cut(stream, _chunks(stream, seed[0]), asked, limit) == whole
    if len(stream) <= 1000:
        assert _cut(stream, [stream[at : at + 1] for at in range(len(stream))], asked, limit) == whole
    _release(stream, seed[0], asked, limit)


def _chunks(stream: bytes, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    cuts = sorted(chance.randrange(len(stream) + 1) for _ in range(chance.randrange(1, 12)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def _cut(stream: bytes, chunks: list[bytes], asked: Callable[[str], Dialect | None] | None, limit: int) -> list:
    buffer = FrameBuffer(asked, max_segment=limit)
    events = []
    # A longer frame is passed over, and a longer printed cipher may be waited for.
    most = max(9999 if b"##" in stream else 0, limit) * (_SPAN_OF_PRINTED if asked else 1) + 20
    for chunk in chunks:
        events += buffer.feed(chunk)
        assert buffer.pending_bytes <= most
    return events + buffer.close()


def _open_again(frame: Frame) -> None:
    slugs = [slug for slug in frame.warnings if slug in SLUGS]
    keys = [key for key in KEYS if key.key_id == frame.key_id]
    opened = open_frame(frame.raw, make_dialect(slugs, keys))
    assert opened == (frame.segment, frame.sent, frame.warnings, frame.key_id)
    assert str(frame).isprintable()


def _release(stream: bytes, seed: int, asked: Callable[[str], Dialect | None] | None, limit: int) -> None:
    """Whoever releases at every silence gets only bytes of the stream, each at most once."""
    buffer = FrameBuffer(asked, max_segment=limit)
    end = 0
    for chunk in _chunks(stream, seed ^ 0xFF):
        for event in [*buffer.feed(chunk), *buffer.release()]:
            assert event.offset >= end
            end = event.offset + len(event.raw)
            assert stream[event.offset : end] == event.raw
    for event in buffer.close():
        assert event.offset >= end
        end = event.offset + len(event.raw)
        assert stream[event.offset : end] == event.raw


def packets(data: bytes) -> None:
    """Read a data segment: a packet or the one error; written and read again the same; answers are frames."""
    try:
        packet = parse_packet(data)
    except PacketError as error:
        assert 0 <= error.offset <= len(data)
        assert error.qn_rtn in {3, 4, 5, 6, 7, 8, 100}
        assert str(error).isprintable()
        return
    assert packet == packets_module._parse_odd(data)
    assert packet.cp in data
    assert str(packet).isprintable()
    _write_again(packet)
    cn = find_answer(packet)
    if cn is not None:
        _check_answer(packet, cn)
    infos = parse_infos(packet)
    assert not any(row.name.casefold().endswith(("newsk", "newpw")) for row in infos.rows)
    assert len({row[:3] for row in infos.rows}) == len(infos.rows)
    part = find_part(packet)
    assert part is None or 1 <= part.pno <= part.pnum
    readings = parse_readings(packet.cp)
    find_oddities(packet, readings)
    warnings = (*packet.warnings, *readings.warnings, "unknown_mn", "too_long", "key_missing")
    for proposal in diagnose_packet(packet, data, warnings, ARRIVAL):
        _check_proposal(proposal, packet.pw)


def _write_again(packet: Packet) -> None:
    try:
        segment = encode_packet(packet)
    except PacketError:
        return
    again = parse_packet(segment)
    assert again._replace(warnings=()) == packet._replace(warnings=(), rf=again.rf)


def _check_answer(packet: Packet, cn: str) -> None:
    buffer = FrameBuffer()
    (event,) = buffer.feed(encode_answer(packet, cn))
    assert isinstance(event, Frame)
    answer = parse_packet(event.segment)
    assert answer.cn == cn
    assert find_answer(answer) is None


def _check_proposal(proposal: Proposal, pw: str = "") -> None:
    for text in proposal:
        assert text.isprintable(), proposal
        assert len(text) <= MAX_EVIDENCE, proposal
    if len(pw) >= 8 and not any(pw in text for text in (proposal.mn, proposal.st, proposal.cn, proposal.value)):
        assert f"PW={pw}" not in proposal.evidence


def areas(data: bytes) -> None:
    """Read a data area: by its shape as the plain way does, ready for COPY likewise; written and read the same."""
    area = parse_data_area(data)
    plain = read_rows(area)
    assert all(area.groups)
    assert parse_readings(data) == plain
    for cp in (data, data.replace(b"1", b"7").replace(b".", b"0.")):
        values = [_shapes.pick_values(cp) for _ in range(2)][-1]
        if values is not None:
            readings = read_rows(parse_data_area(cp))
            assert values.make_readings() == readings
            assert not readings.warnings
            if readings.rows:
                assert encode_copy_values(HEAD, values) == encode_copy_rows(HEAD, readings.rows)
    if plain.rows and plain.rows[0].data_time is not None:
        encode_copy_rows(HEAD, plain.rows)
    try:
        again = encode_data_area(area.groups)
    except DataAreaError:
        pass
    else:
        assert parse_data_area(again).groups == area.groups
    try:
        again = encode_readings(plain.rows, plain.data_time_text)
    except DataAreaError:
        return
    assert parse_readings(again).rows == plain.rows


def rejects(data: bytes) -> None:
    """Explain bytes that are no frame, and print what `decode` says of any bytes: bounded and printable."""
    reason = REASONS[data[0] % len(REASONS)] if data else "other"
    raw = data[1:MAX_INPUT]
    proposal = diagnose_reject(raw, reason)
    if proposal is not None:
        _check_proposal(proposal)
    found = find_dialect(raw)
    assert found is None or set(found[1]) <= set(SLUGS)
    # The span as FrameBuffer would have given it.
    for event in _cut(raw, [raw], None, 4096):
        if isinstance(event, Discard):
            proposal = diagnose_reject(event.raw, event.reason)
            if proposal is not None:
                _check_proposal(proposal)
        _print(event)


def _print(event: Frame | Discard) -> None:
    outcome = decode._decode_event(event)
    if outcome is not None:
        out = io.StringIO()
        with redirect_stdout(out):
            decode._explain(outcome)
            print_json(decode.describe(outcome))
        assert all(char.isprintable() or char == "\n" for char in out.getvalue())


def rows(data: bytes) -> None:
    """Take a data segment whose CRC is right all the way to rows for the database, and to a terminal."""
    raw = encode_frame(data[:MAX_INPUT])
    for event in _cut(raw, [raw], None, 9999):
        if not isinstance(event, Frame):
            continue
        _print(event)
        try:
            arrival = read_arrival(event.raw, ARRIVAL, "127.0.0.1:1")
        except PacketError:
            continue
        for logger_id in (7, None):
            made = make_rows(arrival, logger_id=logger_id, more_warnings=("unknown_mn",))
            assert made.packet.raw == event.raw
            assert made.packet.qn_at.tzinfo is not None
            assert len(made.reading_rows()) + len(made.odd_rows()) <= made.reading_count + 1


def csvfiles(data: bytes) -> None:
    """Read a file of the registry: no fault but findings, bounded, printable, no secret among them; written again."""
    findings = Findings(MOST_FINDINGS)
    rows = read_files([InputFile("given.csv", data[:MAX_INPUT])], findings)
    kept = findings.kept()
    assert len(kept) <= MOST_FINDINGS * len(Level)
    for finding in kept:
        assert str(finding).isprintable(), finding
        assert len(finding.message) <= 2000
    for secret in _secrets_of(data[:MAX_INPUT]):
        # What was expected is ours to say, dates among it.
        assert not any(secret in finding.message.partition(", came ")[2] for finding in kept)
    _write_file_again(rows)


def _secrets_of(data: bytes) -> set[str]:
    """Return what stands in a column of secrets and nowhere else."""
    names = {name for kind in FILES.values() for name in kind.secrets}
    columns = " ".join(name for kind in FILES.values() for name in kind.columns)  # messages name them
    text = data.decode("utf-8-sig", "replace")
    try:
        lines = [[cell.strip() for cell in cells] for cells in csv.reader(io.StringIO(text, newline=""))]
    except csv.Error:
        return set()
    header = next((cells for cells in lines if any(cells)), [])
    secrets = {
        cell for cells in lines for name, cell in zip(header, cells, strict=False) if name in names and len(cell) > 7
    }
    secrets = {secret for secret in secrets if secret not in columns}
    return {secret for secret in secrets if text.count(secret) == sum(cells.count(secret) for cells in lines) == 1}


def _write_file_again(rows: FileRows) -> None:
    """What could be read is written as a file that can be read, with the same rows."""
    for kind in (FILES[name] for name in rows.kinds if FILES[name].is_exported):
        values = [entry.values for entry in rows.entries + rows.marks if entry.kind is kind]
        path = _SCRATCH.with_suffix(".csv")
        try:
            write_file(path, kind, values)
            findings = Findings(MOST_FINDINGS)
            again = read_files([InputFile(kind.name, path.read_bytes())], findings)
        finally:
            path.unlink(missing_ok=True)
        assert not findings.count(Level.ERROR), findings.kept()
        assert sorted(map(repr, values)) == sorted(repr(entry.values) for entry in again.entries + again.marks)


def cipher(data: bytes) -> None:
    """Encrypt, decrypt, print and read a data area; what is framed with a key is found again with it."""
    secret, area = data[:16].ljust(16, b"\0"), data[16:2000]
    sealed = encrypt_area(area, secret)
    assert len(sealed) == len(area)
    assert decrypt_area(sealed, secret) == area
    assert encrypt_area(decrypt_area(area, secret), secret) == area
    printed = print_cipher(sealed)
    if len(area) >= 16:
        assert is_printed(printed)
        assert parse_printed(printed) == sealed
        assert printed_size(len(area)) == len(printed)
    parse_printed(area)
    key = Key("k", secret)
    segment = b"ST=32;CN=2011;PW=123456;MN=D0;Flag=5;CP=&&%b&&" % area
    for printed_form in (False, True):
        frame = encode_frame_as(segment, Dialect(keys=(key,)), is_printed=printed_form)
        buffer = FrameBuffer(lambda _: Dialect(keys=(key,)))
        events = [*buffer.feed(frame), *buffer.close()]
        assert b"".join(event.raw for event in events) == frame
        for event in events:
            if isinstance(event, Frame):
                used = Dialect(keys=(key,)) if event.key_id else Dialect()
                assert open_frame(event.raw, used) == (event.segment, event.sent, event.warnings, event.key_id)
        first = events[0]
        if len(area) >= 16 and looks_plain(area) and b"##" not in area and b"##" not in sealed:
            assert isinstance(first, Frame), first
            assert first.raw == frame
            assert (first.segment == segment) or not first.key_id
            assert (CIPHER_PRINTED in first.warnings) == (printed_form and bool(first.key_id))


def opened(data: bytes) -> None:
    """Open bytes as a frame that was kept, in any dialect: its content or a FrameError; never a shorter frame."""
    bits, raw = (data[0] if data else 0), data[1:MAX_INPUT]
    dialect = make_dialect([slug for bit, slug in enumerate(SLUGS) if bits >> bit & 1], KEYS[: bits >> 6])
    buffer = FrameBuffer(lambda _: dialect, max_segment=9999)
    for event in [*buffer.feed(raw), *buffer.close()]:
        if isinstance(event, Frame):
            _open_again(event)
            try:
                open_frame(event.raw, dialect)
            except FrameError:
                assert dialect != Dialect()
            try:
                packet = parse_packet(event.segment)
            except PacketError:
                continue
            assert encode_frame(event.segment)
            assert packet.cp in event.segment


def evidence(data: bytes) -> None:
    """Check a file that claims to be evidence: a verdict that can be printed, or EvidenceError.

    The first byte says whether the rest is a ZIP as it is, or the texts of the files to be put into one (0x1E between
    name and content, 0x1D between files).
    """
    path = _SCRATCH.with_suffix(".zip")
    kind, rest = data[:1], data[1 : 8 * MAX_INPUT]
    try:
        if kind == b"Z":
            path.write_bytes(rest)
        else:
            _pack(path, rest)
        verdict = verify_evidence(path)
    except EvidenceError as error:
        assert str(error)
    else:
        assert len(json.dumps(verdict._asdict())) < 40 * len(data) + 100_000
        assert all(text.isprintable() for text in (*verdict.problems, *verdict.notes)), verdict
    finally:
        path.unlink(missing_ok=True)


def _pack(path: Path, rest: bytes) -> None:
    """Put texts into a ZIP; the manifest's hash is made anew, so that what stands behind it is looked at."""
    parts = (part.partition(b"\x1e") for part in rest.split(b"\x1d"))
    files = {name.decode("ascii", "replace")[:50]: content for name, _, content in parts}
    if MANIFEST in files:
        files["manifest.sha256"] = hashlib.sha256(files[MANIFEST]).hexdigest().encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            package.writestr(zipfile.ZipInfo(name or "x"), content)


def proxy(data: bytes) -> None:
    """Read the header of a proxied connection: the same verdict however little came at a time, and never late."""
    verdicts = [_judge_proxy(data[:size]) for size in range(min(len(data), MAX_BYTES + 1) + 1)]
    verdict = next((verdict for verdict in verdicts if verdict is not None), None)
    assert verdict is not None or len(data) < MAX_BYTES
    first = verdicts.index(verdict)
    if isinstance(verdict, ProxyHeader):
        assert set(verdicts[first:]) == {verdict}
        assert verdict.size == first
        assert not verdict.host or ipaddress.ip_address(verdict.host)
    else:
        assert set(verdicts[first:]) == {verdict}
    assert _judge_proxy(data) == verdicts[-1] or len(data) > MAX_BYTES


def _judge_proxy(data: bytes) -> ProxyHeader | str | None:
    try:
        return parse_proxy_header(data)
    except ProtocolError:
        return "refused"


TARGETS: dict[str, Target] = {
    "frames": frames,
    "packets": packets,
    "areas": areas,
    "rejects": rejects,
    "rows": rows,
    "csvfiles": csvfiles,
    "cipher": cipher,
    "opened": opened,
    "evidence": evidence,
    "proxy": proxy,
}
