"""`hj212gw encode`: build a valid frame from fields, to try a gateway or a data logger with."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import typer

from hj212gw.cli.keys import read_dialect, read_key_file
from hj212gw.cli.output import say
from hj212gw.errors import ProtocolError
from hj212gw.protocol import (
    Dialect,
    Edition,
    Packet,
    encode_data_area,
    encode_frame_as,
    encode_packet,
    parse_packet,
)
from hj212gw.protocol.cipher import is_encrypted_command
from hj212gw.protocol.dataarea import Group
from hj212gw.protocol.dialects import SLUGS
from hj212gw.protocol.editions import RULES
from hj212gw.protocol.shape import MAX_STANDARD_SEGMENT
from hj212gw.protocol.times import format_qn

_DIALECTS = ", ".join(SLUGS)
_ANSWERS = ("9011", "9012", "9013", "9014")
_ASKS, _HAS_PARTS = 1, 2  # Flag's two lowest bits
_EXAMPLE_PW = "123456"  # of the standards' examples


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("encode")(encode)


def encode(
    st: str = typer.Option(..., "--st", help="System code, such as 32."),
    cn: str = typer.Option(..., "--cn", help="Command code, such as 2011."),
    mn: str = typer.Option(..., "--mn", help="Data logger id; '' writes MN=;"),
    qn: str | None = typer.Option(None, "--qn", help="17 digits; by default now, and none in 2005; '' leaves it out."),
    pw: str = typer.Option(_EXAMPLE_PW, "--pw", help="Password; '' leaves it out."),
    flag: int | None = typer.Option(None, "--flag", help="0 to 255; by default what edition, parts and --ask give."),
    ask: bool = typer.Option(False, "--ask", help="Ask for an answer (Flag's lowest bit)."),
    pnum: int | None = typer.Option(None, "--pnum", help="How many parts the upload has."),
    pno: int | None = typer.Option(None, "--pno", help="Which of them this is, from 1."),
    rf: bool = typer.Option(False, "--rf", help="Mark the packet as sent again (2025)."),
    cp: str | None = typer.Option(None, "--cp", help="The data area as it is to stand between && and &&."),
    data_time: str | None = typer.Option(None, "--data-time", help="DataTime, YYYYMMDDhhmmss, at the head of CP."),
    field: list[str] = typer.Option([], "--field", help="A group of CP, such as 'PolId=w01018'; may repeat."),
    reading: list[str] = typer.Option([], "--reading", help="A factor, such as 'w01018:Rtd=1.2,Flag=N'; may repeat."),
    edition: Edition = typer.Option(Edition.V2017, "--edition", help="Whose Flag and shape to write."),
    key: Path | None = typer.Option(None, "--key", help="File with the SM4 key, or with lines of mn,key_id,secret."),
    printed: bool = typer.Option(False, "--printed", help="Write the cipher as {0x..}, as the standard prints it."),
    dialect: list[str] = typer.Option([], "--dialect", help=f"Write the frame wrong so; may repeat: {_DIALECTS}."),
) -> None:
    """Write a frame to stdout: length, CRC and CR LF are added; what is odd in it is said on stderr.

    Example: hj212gw encode --st 32 --cn 2011 --mn 010000A8900016F000169DC0 --ask
    --data-time 20260301080000 --reading 'w01018:Rtd=1.2,Flag=N' | hj212gw decode
    """
    if cp is not None and (data_time or field or reading):
        raise typer.BadParameter("--cp is the whole of CP: leave out --data-time, --field and --reading")
    has_qn = RULES[edition].qn_in_header
    if qn is None:
        qn = format_qn(datetime.now(UTC)) if has_qn else ""
    if flag is None and (edition is not Edition.V2005 or ask or pnum is not None):
        flag = RULES[edition].answer_flag | _ASKS * ask | _HAS_PARTS * (pnum is not None)
    groups = _read_groups(data_time, field, reading)
    if qn and cn in _ANSWERS and not has_qn:
        groups.insert(0, (("QN", qn),))  # 2005 answers repeat the QN inside CP (8.2)
        qn = ""
    allowed = _choose_dialect(dialect, key, mn=mn, cn=cn, printed=printed)
    try:
        area = encode_data_area(groups) if cp is None else cp.encode("utf-8", "surrogateescape")
        segment = encode_packet(Packet(qn, st, cn, pw, mn, flag, pnum, pno, rf, area, (), edition, ()))
        frame = encode_frame_as(segment, allowed, is_printed=printed)
    except (ProtocolError, UnicodeEncodeError) as error:
        raise typer.BadParameter(str(error)) from error
    _say_oddities(segment)
    sys.stdout.buffer.write(frame)


def _choose_dialect(slugs: list[str], key: Path | None, *, mn: str, cn: str, printed: bool) -> Dialect:
    """Choose how the frame is written: encrypted only under the commands that 2025 encrypts."""
    dialect = read_dialect(slugs)
    if key is None and printed:
        raise typer.BadParameter("--printed is how a cipher is written: give --key")
    if key is None:
        return dialect
    keys = read_key_file(key).find(mn)
    if not keys:
        raise typer.BadParameter(f"{key} has no key for MN {mn}", param_hint="--key")
    if dialect.counts_characters:
        raise typer.BadParameter("length_characters cannot be told of an encrypted data area", param_hint="--dialect")
    if not is_encrypted_command(cn):
        say(f"note: CN {cn} is sent plain; 2000 to 2999, 1014 and 3020 are encrypted")
        return dialect
    return dialect._replace(keys=keys)


def _read_groups(data_time: str | None, fields: list[str], readings: list[str]) -> list[Group]:
    if readings and not data_time:
        raise typer.BadParameter("--reading needs --data-time, such as 20260301080000")
    groups: list[Group] = [(("DataTime", data_time),)] if data_time else []
    return [*groups, *map(_read_group, fields), *map(_read_reading, readings)]


def _read_group(text: str) -> Group:
    """Read one `--field`: names and values of a group, a log in // being one value."""
    name, separator, value = text.partition("=")
    if value.startswith("//"):
        return ((name, value),)
    pairs = [item.partition("=") for item in text.split(",")]
    if not separator or not all(middle for _, middle, _ in pairs):
        raise typer.BadParameter(f"--field is NAME=VALUE[,NAME=VALUE...], got {text!a}")
    return tuple((name, value) for name, _, value in pairs)


def _read_reading(text: str) -> Group:
    """Read one `--reading`: a factor's code and its values by suffix."""
    factor, separator, values = text.partition(":")
    pairs = [item.partition("=") for item in values.split(",")]
    if not separator or not factor or not all(suffix and middle for suffix, middle, _ in pairs):
        raise typer.BadParameter(f"--reading is CODE:SUFFIX=VALUE[,SUFFIX=VALUE...], got {text!a}")
    return tuple((f"{factor}-{suffix}", value) for suffix, _, value in pairs)


def _say_oddities(segment: bytes) -> None:
    packet = parse_packet(segment)
    too_long = ("too_long",) if len(segment) > MAX_STANDARD_SEGMENT else ()
    for slug in (*too_long, *packet.warnings):
        say(f"warning: {slug}")
