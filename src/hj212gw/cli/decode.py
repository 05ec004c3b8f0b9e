"""`hj212gw decode`: say what bytes mean, and what is wrong with those that are no packet."""

import re
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import typer

from hj212gw.cli.keys import read_dialect, read_key_file
from hj212gw.cli.output import plain_text, print_data, print_json, print_table
from hj212gw.errors import PacketError
from hj212gw.protocol import (
    DataArea,
    Dialect,
    DialectOf,
    Discard,
    Frame,
    FrameBuffer,
    Packet,
    Reading,
    Readings,
    find_answer,
    find_dialect,
    parse_data_area,
    parse_packet,
    parse_readings,
)
from hj212gw.protocol.cipher import looks_encrypted
from hj212gw.protocol.codes import GRAIN_BY_CN, find_commands, name_of, system_codes
from hj212gw.protocol.dialects import SLUGS
from hj212gw.protocol.factors import FactorMatch, match_factor
from hj212gw.protocol.frames import MAX_SEGMENT
from hj212gw.protocol.oddities import find_oddities
from hj212gw.protocol.shape import MAX_DECLARED
from hj212gw.protocol.times import WIRE_ZONE, parse_qn

MASK = "******"
MAX_SHOWN = 2048  # bytes of a rejected span

_READ_BYTES = 65536
_HEADER_BYTES = 6  # ## and length, in front of the data segment
_SECRETS = frozenset({"pw", "newpw", "newsk"})
_SECRET_TEXT = re.compile(rb"((?:PW|NewSK)=)[^;,&]+", re.IGNORECASE)
_BLANK = b"\xef\xbb\xbf\t\r\n "  # what editors leave round frames, a byte order mark included
_ESCAPED = re.compile(rb"[^ -\[\]-~]")
_CELLS = ("rtd", "min", "avg", "max", "cou", "zs_rtd", "zs_min", "zs_avg", "zs_max", "data_flag")


class Decoded(NamedTuple):
    """A frame's packet with everything that is read from it.

    Attributes:
        frame: where it stood and what it was.
        packet: its header.
        area: its data area.
        readings: its rows, None where its CN carries none.
        warnings: slugs of what was odd yet accepted, of all stages.
    """

    frame: Frame
    packet: Packet
    area: DataArea
    readings: Readings | None
    warnings: tuple[str, ...]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("decode")(decode)


def decode(
    file: typer.FileBinaryRead = typer.Argument("-", help="File with frames as they came; - is stdin."),
    as_json: bool = typer.Option(False, "--json", help="Print a JSON object per frame or discarded span, a line each."),
    max_segment: int = typer.Option(
        MAX_SEGMENT, "--max-segment", min=1, max=MAX_DECLARED, help="Longest accepted data segment in bytes."
    ),
    key: Path | None = typer.Option(
        None, "--key", help="File with an SM4 key for all data loggers, or with lines of mn,key_id,secret."
    ),
    dialect: list[str] = typer.Option(
        [], "--dialect", help=f"Accept frames that are wrong in this way; may repeat: {', '.join(SLUGS)}."
    ),
) -> None:
    """Explain frames: fields, readings, warnings; on a bad one the reason, the byte and the right CRC.

    A bad frame is told with the dialect that would accept it, where there is one. Exit 1 when anything but blank lines
    was rejected.

    Example: hj212gw decode capture.bin --json
    """
    rejected_count = 0
    for outcome in _decode_all(file, max_segment, _allow(read_dialect(dialect), key)):
        rejected_count += isinstance(outcome, Discard)
        if as_json:
            print_json(describe(outcome), is_line=True)
        else:
            _explain(outcome)
    if rejected_count:
        raise typer.Exit(1)


def _allow(dialect: Dialect, key: Path | None) -> DialectOf | None:
    if key is None and dialect == Dialect():
        return None
    keys = read_key_file(key)
    return lambda mn: dialect._replace(keys=keys.find(mn))


def _decode_all(file: BufferedReader, max_segment: int, dialect_of: DialectOf | None) -> Iterator[Decoded | Discard]:
    """Decode a file span by span, blank ones left out, holding no more than a frame of it."""
    buffer = FrameBuffer(dialect_of, max_segment=max_segment)
    for chunk in iter(lambda: file.read1(_READ_BYTES), b""):
        yield from filter(None, map(_decode_event, buffer.feed(chunk)))
    yield from filter(None, map(_decode_event, buffer.close()))


def _decode_event(event: Frame | Discard) -> Decoded | Discard | None:
    if isinstance(event, Discard):
        return event if event.raw.strip(_BLANK) else None
    try:
        packet = parse_packet(event.segment)
    except PacketError as error:
        where = event.offset + _HEADER_BYTES + error.offset
        return Discard(error.reason, f"{error}; at byte {where}", event.raw, event.offset)
    area = parse_data_area(packet.cp)
    readings = parse_readings(packet.cp) if packet.cn in GRAIN_BY_CN else None
    warnings = (
        *event.warnings,
        *packet.warnings,
        *(readings.warnings if readings else area.warnings),
        *find_oddities(packet, readings),
    )
    return Decoded(event, packet, area, readings, tuple(dict.fromkeys(warnings)))


def _propose(discard: Discard) -> tuple[str, ...]:
    """Return the slugs of the dialect that would accept a rejected span, none where there is no such dialect."""
    found = find_dialect(discard.raw)
    return found[1] if found else ()


def describe(outcome: Decoded | Discard) -> dict[str, Any]:
    """Return what `--json` prints of a frame or a discarded span; passwords and keys are covered."""
    if isinstance(outcome, Discard):
        return {
            "ok": False,
            "offset": outcome.offset,
            "reason": outcome.reason,
            "detail": outcome.detail,
            "encrypted": looks_encrypted(outcome.raw),
            "dialect": list(_propose(outcome)),
            "raw": _show(outcome.raw),
        }
    packet, readings = outcome.packet, outcome.readings
    return {
        "ok": True,
        "offset": outcome.frame.offset,
        "edition": packet.edition,
        "encrypted": bool(outcome.frame.key_id),
        "key_id": outcome.frame.key_id or None,
        "qn": packet.qn,
        "st": packet.st,
        "cn": packet.cn,
        "pw": MASK if packet.pw else None,
        "mn": packet.mn,
        "flag": packet.flag,
        "pnum": packet.pnum,
        "pno": packet.pno,
        "rf": packet.rf,
        "extra": [_cover(*field) for field in packet.extra],
        "cp": [[_cover(*field) for field in group] for group in outcome.area.groups],
        "readings": [_describe_row(row, packet.st) for row in readings.rows] if readings else [],
        "warnings": outcome.warnings,
    }


def _describe_row(row: Reading, st: str) -> dict[str, Any]:
    return {
        "factor": _catalogue_code(row.factor, match_factor(row.factor, st=st)),
        "code_sent": row.factor,
        "data_time": row.data_time and row.data_time.astimezone(WIRE_ZONE).isoformat(),
        **{name: getattr(row, name) for name in _CELLS},
        "extra": row.extra or {},
    }


def _catalogue_code(code: str, match: FactorMatch | None) -> str:
    """Return the catalogue's code; the code as sent where there is none, or one that stands for many (e101xx)."""
    if match is None or match.factor.code.endswith("xx"):
        return code
    return match.factor.code


def _cover(name: str, value: str) -> tuple[str, str]:
    return name, MASK if value and name.casefold() in _SECRETS else value


def _show(raw: bytes) -> str:
    r"""Return bytes as bounded printable text, other bytes and backslashes as ``\xNN``, passwords covered."""
    covered = _SECRET_TEXT.sub(rb"\1" + MASK.encode(), raw)
    text = _ESCAPED.sub(lambda match: b"\\x%02x" % match.group()[0], covered[:MAX_SHOWN]).decode("ascii")
    return text if len(covered) <= MAX_SHOWN else f"{text}... ({len(raw)} bytes)"


def _explain(outcome: Decoded | Discard) -> None:
    """Print a frame or a discarded span for people."""
    if isinstance(outcome, Discard):
        print_data(f"rejected at byte {outcome.offset}: {outcome.reason}")
        print_data(f"  {outcome.detail}")
        if looks_encrypted(outcome.raw):
            print_data("  the data area looks encrypted: give its key with --key FILE; none fits so far")
        if slugs := _propose(outcome):
            print_data(f"  it would be accepted with {' '.join(f'--dialect {slug}' for slug in slugs)}")
        print_data(f"  {_show(outcome.raw)}\n")
        return
    packet = outcome.packet
    print_data(f"frame at byte {outcome.frame.offset}: HJ 212-{packet.edition}, {_name_command(packet)}")
    if outcome.frame.key_id:
        print_data(f"  {'key':<9}{plain_text(outcome.frame.key_id)}")
    for name, text in _header_lines(packet):
        print_data(f"  {name:<9}{plain_text(text)}")
    shown = {"DataTime"}
    if outcome.readings and outcome.readings.rows:
        print_data(f"  {'DataTime':<9}{plain_text(outcome.readings.data_time_text)}")
        _print_rows(outcome.readings.rows, packet.st)
        shown |= {name for group in outcome.area.groups for name, _ in group if "-" in name}
    for group in outcome.area.groups:
        fields = [" = ".join(_cover(*field)) for field in group if field[0] not in shown or not outcome.readings]
        if fields:
            print_data(f"  {plain_text(', '.join(fields))}")
    if outcome.warnings:
        print_data(f"  warnings: {', '.join(outcome.warnings)}")
    print_data("")


def _header_lines(packet: Packet) -> Iterator[tuple[str, str]]:
    """Yield the header's fields with what they mean."""
    moment = parse_qn(packet.qn)
    if packet.qn:
        yield "QN", f"{packet.qn}  {moment.astimezone(WIRE_ZONE):%Y-%m-%d %H:%M:%S}" if moment else packet.qn
    system = next((row for row in system_codes() if row.st == packet.st), None)
    yield "ST", f"{packet.st}  {system.name_zh} ({system.name_en})" if system else packet.st
    yield "CN", packet.cn
    yield "PW", MASK if packet.pw else "none"
    yield "MN", packet.mn or "none"
    if packet.flag is not None:
        asks = "asks for an answer" if packet.wants_answer else "asks for no answer"
        yield "Flag", f"{packet.flag}  {asks}{', in parts' if packet.has_parts else ''}"
    if packet.pnum is not None or packet.pno is not None:
        yield "part", f"{packet.pno} of {packet.pnum}"
    if packet.rf:
        yield "RF", "1  sent again"
    yield from (_cover(*field) for field in packet.extra)
    yield "answer", find_answer(packet) or "none is owed"


def _name_command(packet: Packet) -> str:
    english = name_of(packet.cn, packet.edition)
    chinese = next((row.name_zh for row in find_commands(packet.cn) if row.name_en == english), "")
    return f"{packet.cn} {chinese} ({english})" if english else f"{packet.cn}, a command of no edition"


def _print_rows(rows: list[Reading], st: str) -> None:
    """Print readings as a table, without the columns that none of them has."""
    used = [name for name in _CELLS if any(getattr(row, name) is not None for row in rows)]
    table = []
    for row in rows:
        match = match_factor(row.factor, st=st)
        names = [match.factor.name_zh, match.unit] if match else ["", ""]
        extra = ", ".join(f"{suffix}={text}" for suffix, text in (row.extra or {}).items())
        cells = [None if (cell := getattr(row, name)) is None else plain_text(cell) for name in used]
        table.append([plain_text(row.factor), *names, *cells, plain_text(extra)])
    print_table(["factor", "name", "unit", *used, "other"], table)
