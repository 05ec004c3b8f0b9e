"""Tests of `hj212gw encode`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from hj212gw.cli import encode as encode_module
from hj212gw.protocol import (
    Dialect,
    Frame,
    FrameBuffer,
    Key,
    Packet,
    make_dialect,
    open_frame,
    parse_data_area,
    parse_packet,
    parse_readings,
)
from hj212gw.protocol.dialects import SLUGS

MN = "010000A8900016F000169DC0"
USUAL = ["--st", "32", "--cn", "2011", "--mn", MN]
QN = ["--qn", "20160801085857223"]


def run(*arguments: str) -> Result:
    """Run the command."""
    app = typer.Typer()
    encode_module.register(app)
    return CliRunner().invoke(app, list(arguments))


def encode(*arguments: str) -> Packet:
    """Run the command and return the packet in its frame."""
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    (frame,) = FrameBuffer().feed(result.stdout_bytes)
    assert isinstance(frame, Frame)
    return parse_packet(frame.segment)


def refuse(*arguments: str) -> str:
    """Run the command on wrong arguments and return what it says, on one line and without its box."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout_bytes == b""
    return re.sub(r"[│\s]+", " ", result.stderr)


def test_a_frame_of_the_standard_comes_out_to_the_byte() -> None:
    """Annex A of 2017 and annex C of 2005."""
    annex_a = ["--st", "32", "--cn", "1062", "--mn", MN, *QN, "--pw", "100000", "--flag", "5", "--cp", "RtdInterval=30"]
    assert run(*annex_a).stdout_bytes == (
        f"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN={MN};Flag=5;CP=&&RtdInterval=30&&1C80\r\n".encode()
    )
    notice = ["--st", "91", "--cn", "9013", "--mn", "88888880000001", "--edition", "2005", "--flag", "0"]
    assert run(*notice, "--qn", "20040516010101001").stdout_bytes == (
        b"##0076ST=91;CN=9013;PW=123456;MN=88888880000001;Flag=0;CP=&&QN=20040516010101001&&30C0\r\n"
    )


def test_the_data_area_is_made_of_time_fields_and_readings() -> None:
    """In that order; values are written as given, odd ones too."""
    packet = encode(
        *USUAL, "--data-time", "20260301080000", "--reading", "w01018:Rtd=1.2,Flag=N", "--reading", "LA:Rtd=-",
        "--field", "PolId=w01018", "--field", "BeginTime=1,EndTime=2", "--field", "i11001-Info=//a;b,c//",
    )  # fmt: skip
    assert packet.cp == (
        b"DataTime=20260301080000;PolId=w01018;BeginTime=1,EndTime=2;i11001-Info=//a;b,c//;"
        b"w01018-Rtd=1.2,w01018-Flag=N;LA-Rtd=-"
    )
    readings = parse_readings(packet.cp)
    assert [row.rtd for row in readings.rows if row.factor != "i11001"] == [1.2, None]
    assert parse_data_area(packet.cp).find("i11001-Info") == "//a;b,c//"


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        ([], 4), (["--ask"], 5), (["--pnum", "2", "--pno", "1"], 6), (["--ask", "--pnum", "2", "--pno", "1"], 7),
        (["--edition", "2025"], 8), (["--edition", "2025", "--ask"], 9), (["--edition", "2005"], None),
        (["--edition", "2005", "--ask"], 1), (["--edition", "2005", "--pnum", "2", "--pno", "1"], 2),
        (["--flag", "13"], 13), (["--flag", "0", "--ask"], 0),
    ],
)  # fmt: skip
def test_flag_follows_from_edition_parts_and_ask(arguments: list[str], flag: int | None) -> None:
    """Unless it is given."""
    assert encode(*USUAL, *arguments).flag == flag


def test_a_qn_is_made_where_the_edition_wants_one() -> None:
    """From the clock; 2005 uploads have none, and an empty one leaves it out."""
    assert re.fullmatch("20[0-9]{15}", encode(*USUAL).qn)
    assert encode(*USUAL, "--edition", "2005").qn == ""
    assert encode(*USUAL, "--qn", "").qn == ""
    assert encode(*USUAL, *QN).qn == "20160801085857223"


def test_2005_answers_repeat_the_qn_inside_cp() -> None:
    """And uploads have it in the header."""
    answer = encode("--st", "91", "--cn", "9011", "--mn", MN, "--edition", "2005", *QN, "--field", "QnRtn=1")
    assert (answer.qn, answer.cp) == ("", b"QN=20160801085857223;QnRtn=1")
    assert encode(*USUAL, "--edition", "2005", *QN).qn == "20160801085857223"


def test_every_header_field_can_be_set() -> None:
    """An empty password is left out."""
    packet = encode(*USUAL, "--pw", "", "--pnum", "2", "--pno", "1", "--rf", "--edition", "2025")
    assert (packet.pw, packet.pnum, packet.pno, packet.rf) == ("", 2, 1, True)
    assert encode(*USUAL).pw == "123456"
    assert encode("--st", "31", "--cn", "1001", "--mn", "").mn == ""


def test_what_is_odd_is_said_and_written_all_the_same() -> None:
    """Words go to stderr, the frame to stdout."""
    result = run("--st", "32", "--cn", "2011", "--mn", "18AAH", "--cp", "x=" + "y" * 1024)
    assert result.exit_code == 0
    assert result.stderr.splitlines() == ["warning: too_long", "warning: mn_unusual"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cn", "2011", "--mn", MN], "--st"),
        ([*USUAL, "--cn", "20"], "CN is [0-9]{4}, got a value '20'"),
        ([*USUAL, "--mn", "a;b"], "MN cannot be written: 'a;b'"),
        ([*USUAL, "--flag", "256"], "Flag is 0 to 255, got 256"),
        ([*USUAL, "--cp", "a=1", "--field", "b=2"], "--cp is the whole of CP"),
        ([*USUAL, "--reading", "w01018:Rtd=1"], "--reading needs --data-time"),
        ([*USUAL, "--field", "PolId"], "--field is NAME=VALUE"),
        ([*USUAL, "--field", "a=//cut"], "no separator outside // fences"),
        ([*USUAL, "--field", "a=\udcff"], "surrogates not allowed"),
        ([*USUAL, "--data-time", "1", "--reading", "w01018-Rtd=1"], "--reading is CODE:SUFFIX=VALUE"),
        ([*USUAL, "--data-time", "1", "--reading", ":Rtd=1"], "--reading is CODE:SUFFIX=VALUE"),
        ([*USUAL, "--data-time", "1", "--reading", "w01018:Rtd"], "--reading is CODE:SUFFIX=VALUE"),
        ([*USUAL, "--data-time", "1", "--reading", "w01018:=1"], "--reading is CODE:SUFFIX=VALUE"),
        ([*USUAL, "--cp", "x" * 10000], "at most 9999 bytes"),
        ([*USUAL, "--edition", "2011"], "2011"),
    ],
)
def test_what_cannot_be_written_is_a_usage_error(arguments: list[str], words: str) -> None:
    """Exit 2 with a sentence, and nothing on stdout."""
    assert words in refuse(*arguments)


def test_what_is_encoded_can_be_decoded() -> None:
    """Both as processes, in a pipe."""
    command = [sys.executable, "-m", "hj212gw"]
    arguments = [*USUAL, "--ask", "--data-time", "20260301080000", "--reading", "w01018:Rtd=1.2,Flag=N"]
    frame = subprocess.run([*command, "encode", *arguments], capture_output=True, check=True, timeout=60).stdout
    text = subprocess.run([*command, "decode"], input=frame, capture_output=True, check=True, timeout=60).stdout
    assert "w01018  化学需氧量  mg/L  1.2  N" in text.decode()


SPOKEN = [*USUAL, *QN, "--data-time", "20260301080000", "--reading", "w01018:Rtd=1.2,Flag=N"]


def test_a_frame_is_encrypted_with_the_key_of_a_file(tmp_path: Path) -> None:
    """Length and CRC stay; `decode --key` is the way back; the printed form is an option."""
    path = tmp_path / "k1.key"
    path.write_text("0123456789abcdef")
    plain = run(*SPOKEN, "--edition", "2025").stdout_bytes
    key = Key("k1", b"0123456789abcdef")
    for options, warnings in (((), ()), (("--printed",), ("cipher_printed",))):
        raw = run(*SPOKEN, "--edition", "2025", "--key", str(path), *options).stdout_bytes
        assert (raw[:6], raw[-6:]) == (plain[:6], plain[-6:])
        assert open_frame(raw, Dialect(keys=(key,))) == (plain[6:-6], raw[6:-6], warnings, "k1")


def test_what_2025_sends_plain_is_not_encrypted(tmp_path: Path) -> None:
    """An answer stays as it is, and that is said."""
    path = tmp_path / "keys.csv"
    path.write_text(f"{MN},k1,0123456789abcdef\n")
    arguments = ["--st", "91", "--cn", "9014", "--mn", MN, *QN, "--edition", "2025"]
    result = run(*arguments, "--key", str(path))
    assert result.stdout_bytes == run(*arguments).stdout_bytes
    assert "note: CN 9014 is sent plain" in result.stderr
    assert "has no key for MN 18AAH" in refuse("--st", "31", "--cn", "2011", "--mn", "18AAH", "--key", str(path))
    assert "cannot be told of an encrypted" in refuse(*USUAL, "--key", str(path), "--dialect", "length_characters")
    assert "give --key" in refuse(*USUAL, "--printed")


@pytest.mark.parametrize("slug", SLUGS)
def test_a_frame_can_be_written_in_a_dialect(slug: str) -> None:
    """To try a gateway with; unknown dialects are refused."""
    raw = run(*SPOKEN, "--field", "i11001-Info=//清//", "--dialect", slug).stdout_bytes
    assert (
        open_frame(raw, make_dialect([slug])).segment
        == run(*SPOKEN, "--field", "i11001-Info=//清//").stdout_bytes[6:-6]
    )
    assert "crc_modbus_swapped" in refuse(*USUAL, "--dialect", "modbus")
