"""Tests of `hj212gw decode`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from hj212gw.cli import decode as decode_module
from hj212gw.protocol import crc_text, encode_frame, encode_frame_as, make_dialect

MN = "010000A8900016F000169DC0"
CP = "DataTime=20160801084000;w01018-Min=40.1,w01018-Avg=40.2,w01018-Max=40.3,w01018-Cou=10.5,w01018-Flag=N"
KEYS = [
    "ok",
    "offset",
    "edition",
    "encrypted",
    "key_id",
    "qn",
    "st",
    "cn",
    "pw",
    "mn",
    "flag",
    "pnum",
    "pno",
    "rf",
    "extra",
    "cp",
    "readings",
    "warnings",
]
ROW_KEYS = ["factor", "code_sent", "data_time", "rtd", "min", "avg", "max", "cou", "zs_rtd", "zs_min", "zs_avg", "zs_max", "data_flag", "extra"]  # fmt: skip
GOLDEN = Path(__file__).parents[1] / "golden" / "samples.jsonl"


def make_frame(cp: str = CP, header: str = f"ST=32;CN=2051;PW=123456;MN={MN};Flag=5") -> bytes:
    """Make a frame."""
    return encode_frame(f"QN=20160801085000001;{header};CP=&&{cp}&&".encode())


def run(data: bytes, *arguments: str) -> Result:
    """Run the command on bytes from stdin."""
    app = typer.Typer()
    decode_module.register(app)
    return CliRunner().invoke(app, list(arguments), input=data)


def run_json(data: bytes, *arguments: str) -> list[dict[str, object]]:
    """Run the command with --json and return its objects."""
    return [json.loads(line) for line in run(data, "--json", *arguments).stdout.splitlines()]


def sample(line: int) -> bytes:
    """Return the bytes of a golden sample."""
    record = json.loads(GOLDEN.read_text(encoding="utf-8").split("\n")[line - 1])
    return record["raw"].encode(record.get("enc", "utf-8"))


def test_a_frame_is_one_object_with_every_key() -> None:
    """The keys are promised; the readings too."""
    (found,) = run_json(make_frame())
    assert list(found) == KEYS
    assert found == {
        "ok": True, "offset": 0, "edition": "2017", "encrypted": False, "key_id": None, "qn": "20160801085000001", "st": "32",
        "cn": "2051", "pw": "******", "mn": MN, "flag": 5, "pnum": None, "pno": None, "rf": False, "extra": [],
        "cp": [
            [["DataTime", "20160801084000"]],
            [["w01018-Min", "40.1"], ["w01018-Avg", "40.2"], ["w01018-Max", "40.3"], ["w01018-Cou", "10.5"],
             ["w01018-Flag", "N"]],
        ],
        "readings": [dict(zip(ROW_KEYS, (
            "w01018", "w01018", "2016-08-01T08:40:00+08:00", None, 40.1, 40.2, 40.3, 10.5, None, None, None, None,
            "N", {},
        ), strict=True))],
        "warnings": [],
    }  # fmt: skip
    assert run(make_frame(), "--json").exit_code == 0


def test_spans_come_in_the_order_of_the_stream() -> None:
    """Frames and what was discarded between them, each with its offset."""
    bad = make_frame()[:-6] + b"0000\r\n"
    data = b"\x01\x02noise" + make_frame() + bad + make_frame()
    found = run_json(data)
    assert [(item["ok"], item["offset"], item.get("reason")) for item in found] == [
        (False, 0, "noise"),
        (True, 7, None),
        (False, 7 + len(bad), "crc"),
        (True, 7 + 2 * len(bad), None),
    ]
    assert list(found[0]) == ["ok", "offset", "reason", "detail", "encrypted", "dialect", "raw"]
    assert found[0]["raw"] == "\\x01\\x02noise"
    assert run(data, "--json").exit_code == 1


def test_a_wrong_crc_names_the_right_one_and_the_wrong_algorithm() -> None:
    """A published packet with CRC-16/MODBUS."""
    (found,) = run_json(sample(30))
    assert found["reason"] == "crc"
    assert found["detail"] == "CRC at byte 83 is '8411', the right one is 0440; it equals CRC-16/MODBUS"


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (make_frame()[:40], "incomplete", "needs"),
        (b"##0190" + make_frame()[6:], "length", "length 190 at byte 2"),
        (make_frame()[:2] + b"189" + make_frame()[6:], "header", "not four digits"),
        (encode_frame(make_frame()[6:-8]), "trailer", "closing && before byte"),
        (b"##9999" + make_frame()[6:], "too_long", "over the limit of 4096"),
        (b"GET / HTTP/1.1\r\n\r\n", "noise", "no frame starts in 18 bytes"),
        (make_frame(header="ST=32;CN=20;PW=123456;MN=1"), "header", "CN is [0-9]{4}, got a value '20'; at byte 33"),
    ],
)
def test_each_reason(data: bytes, reason: str, words: str) -> None:
    """Which check failed, and at which byte."""
    (found,) = run_json(data)
    assert (found["ok"], found["reason"]) == (False, reason)
    assert words in str(found["detail"])


def test_passwords_and_keys_are_never_printed() -> None:
    """Not in the header, not in CP, not in what was rejected."""
    secret = "hush99"
    header = f"ST=32;CN=1072;PW={secret};MN={MN};Flag=5"
    good = make_frame(f"NewPW={secret};PW={secret};NewSK={secret}", header)
    bad = good[:-6] + b"0000\r\n"
    broken = make_frame("", f"ST=32;CN=2011;PW={secret};PW={secret};MN={MN}")
    for arguments in ([], ["--json"]):
        result = run(good + bad + broken, *arguments)
        assert secret not in result.output
        assert "******" in result.output
    first, *_ = run_json(good)
    assert first["cp"] == [[["NewPW", "******"]], [["PW", "******"]], [["NewSK", "******"]]]
    assert run_json(make_frame("", f"ST=32;CN=2011;MN={MN};Flag=4"))[0]["pw"] is None


def test_blank_lines_are_no_rejects() -> None:
    """Editors leave them round frames, and a byte order mark in front."""
    result = run(b"\xef\xbb\xbf" + make_frame() + b"\r\n\n  \t" + make_frame() + b"\n\n", "--json")
    assert result.exit_code == 0
    assert [json.loads(line)["ok"] for line in result.stdout.splitlines()] == [True, True]


def test_lines_that_were_saved_with_lf_only_are_read() -> None:
    """Each with a warning."""
    result = run(make_frame().replace(b"\r\n", b"\n") * 2 + make_frame()[:-2], "--json")
    assert result.exit_code == 0
    assert [json.loads(line)["warnings"] for line in result.stdout.splitlines()] == [
        ["lf_only"],
        ["lf_only"],
        ["no_crlf"],
    ]


def test_the_limit_can_be_moved() -> None:
    """Over 1024 bytes is a warning, over the limit a reject."""
    long = make_frame("x=" + "y" * 2000, f"ST=32;CN=3020;PW=123456;MN={MN};Flag=4")
    assert run_json(long)[0]["warnings"] == ["too_long"]
    (found,) = run_json(long, "--max-segment", "1024")
    assert found["reason"] == "too_long"
    assert "over the limit of 1024" in str(found["detail"])
    assert len(str(run_json(make_frame("x" * 4000)[:-6])[0]["raw"])) < 2100


def test_warnings_of_all_stages_are_joined() -> None:
    """Frame, header, data area or readings, and the code tables."""
    segment = make_frame("DataTime=20160801084007;zzz99-Avg=-,zzz99-Foo=1", "ST=32;CN=2051;PW=123456;MN=18AAH;Flag=5")[
        6:-6
    ]
    frame = b"##%04d" % len(segment) + segment + crc_text(segment).lower() + b"\n"
    assert run_json(frame)[0]["warnings"] == [
        *(["crc_lower_case"] if crc_text(segment) != crc_text(segment).lower() else []),
        "lf_only", "mn_unusual", "value_unreadable", "suffix_unknown", "factor_unknown", "data_time_unaligned",
    ]  # fmt: skip


def test_a_factor_is_named_by_the_catalogue_and_kept_as_sent() -> None:
    """A 2005 code and odd letter case lead to the code of 2017; what is unknown stays."""
    (found,) = run_json(make_frame("DataTime=20160801084000;011-Avg=1;W21003-Avg=2;zzz99-Avg=-;e10103-Avg=4"))
    rows = found["readings"]
    assert isinstance(rows, list)
    assert [(row["factor"], row["code_sent"]) for row in rows] == [
        ("w01018", "011"),
        ("w21003", "W21003"),
        ("zzz99", "zzz99"),
        ("e10103", "e10103"),
    ]
    assert (rows[2]["avg"], rows[2]["extra"]) == (None, {"Avg": "-"})


def test_a_command_without_readings_has_none() -> None:
    """Header extras, parts and the retransmission mark are told."""
    header = f"ST=32;CN=2041;PW=123456;MN={MN};Flag=11;PNUM=2;PNO=1;RF=1;USCC=91A"
    (found,) = run_json(make_frame("DataTime=20160801000000;SB1-RT=1.1", header))
    assert found["readings"] == []
    assert (found["pnum"], found["pno"], found["rf"], found["extra"]) == (2, 1, True, [["USCC", "91A"]])
    assert found["edition"] == "2025"


def test_a_bad_frame_is_told_with_the_dialect_that_accepts_it() -> None:
    """And with that option it is a frame with a warning of the same name."""
    bad = encode_frame_as(make_frame()[6:-6], make_dialect(["crc_modbus", "closing_missing"]))
    (found,) = run_json(bad)
    assert found["dialect"] == ["crc_modbus", "closing_missing"]
    options = ("--dialect", "crc_modbus", "--dialect", "closing_missing")
    assert f"it would be accepted with {' '.join(options)}\n" in run(bad).stdout
    (frame,) = run_json(bad, *options)
    assert (frame["ok"], frame["warnings"]) == (True, ["crc_modbus", "closing_missing"])
    noise = run_json(b"GET / HTTP/1.1\r\n\r\n")[0]
    assert (noise["encrypted"], noise["dialect"]) == (False, [])
    unknown = run(bad, "--dialect", "modbus")
    assert unknown.exit_code == 2
    assert "crc_modbus_swapped" in unknown.stderr


def test_encrypted_frames_need_their_key(tmp_path: Path) -> None:
    """The samples of annex A.2; the key is in a file, alone or by MN, and is never printed."""
    stream = sample(164) + sample(165)
    alone, by_mn, other = tmp_path / "zeros.key", tmp_path / "keys.csv", tmp_path / "other.key"
    alone.write_text("0" * 16 + "\n")
    by_mn.write_text(f"valid_from,mn,secret,key_id\n,{MN},{'31' * 16},first\n,{MN},{'30' * 16},second\n\n")
    other.write_text("1" * 16)
    for item in run_json(stream) + run_json(stream, "--key", str(other)):
        assert (item["ok"], item["encrypted"]) == (False, True)
    assert "looks encrypted: give its key with --key FILE" in run(stream).stdout
    for path, key_id in ((alone, "zeros"), (by_mn, "second")):
        found = run_json(stream, "--key", str(path))
        assert [(item["ok"], item["encrypted"], item["key_id"]) for item in found] == [(True, True, key_id)] * 2
        assert [item["warnings"] for item in found] == [[], ["cipher_printed"]]
        assert found[0]["readings"][0]["avg"] == 1.35  # type: ignore[index]
        text = run(stream, "--key", str(path)).output
        assert f"  key      {key_id}\n" in text
        assert "0" * 16 not in text
    assert run_json(make_frame(), "--key", str(alone))[0]["encrypted"] is False


def test_people_get_names_and_units() -> None:
    """Chinese names of command, system and factor."""
    text = run(make_frame()).stdout
    for words in (
        "frame at byte 0: HJ 212-2017, 2051 上传污染物分钟数据 (Upload minute data)",
        "ST       32  地表水体环境污染源 (Surface-water pollution source)",
        "QN       20160801085000001  2016-08-01 08:50:00",
        "Flag     5  asks for an answer",
        "answer   9014",
        "DataTime 20160801084000",
        "w01018  化学需氧量  mg/L  40.1  40.2  40.3  10.5  N",
    ):
        assert words in text


def test_people_are_told_what_is_odd_and_what_is_wrong() -> None:
    """Every line that applies, and none that does not."""
    header = "ST=Z9;CN=8888;MN=;Flag=7;PNUM=2;PNO=1;RF=1;USCC=91A"
    text = run(make_frame("a=1,b=2;PolId=w01018", header) + b"\x1b[2J\\").stdout
    for words in (
        "8888, a command of no edition", "ST       Z9\n", "PW       none", "MN       none",
        "Flag     7  asks for an answer, in parts", "part     1 of 2", "RF       1  sent again", "USCC     91A",
        "  a = 1, b = 2\n", "  PolId = w01018\n", "warnings: field_unknown, pw_missing, mn_empty, cn_unknown",
        "rejected at byte", "noise", "\\x1b[2J\\x5c",
    ):  # fmt: skip
        assert words in text
    log = make_frame("i11001-Info=//\x1b[2J//", f"ST=32;CN=3020;PW=123456;MN={MN}")
    assert "i11001-Info = //\\x1b[2J//" in run(log).stdout


def test_a_packet_of_2005_has_fewer_lines() -> None:
    """Neither QN nor Flag, and a QN that is no moment is shown as it is."""
    text = run(
        encode_frame(b"ST=32;CN=2011;PW=123456;MN=88888880000001;CP=&&DataTime=1;B01-Rtd=100,B01-Foo=1&&")
    ).stdout
    assert "HJ 212-2005" in text
    assert "QN " not in text
    assert "Flag " not in text
    assert "answer   none is owed" in text
    assert "Foo=1" in text
    assert "QN       1617957600465\n" in run(sample(16)).stdout


def test_a_request_shows_its_fields() -> None:
    """CN=2051 with a time range carries no readings."""
    text = run(make_frame("BeginTime=20160801084000;EndTime=20160801084000")).stdout
    assert "  BeginTime = 20160801084000\n  EndTime = 20160801084000\n" in text


def test_a_file_is_read_as_stdin_is(tmp_path: Path) -> None:
    """And one that is not there is a usage error."""
    path = tmp_path / "capture.bin"
    path.write_bytes(make_frame() * 3)
    assert run(b"", str(path)).stdout == run(make_frame() * 3).stdout
    assert run(b"", str(tmp_path / "none.bin")).exit_code == 2


def test_the_command_works_in_a_pipe() -> None:
    """As a process, with bytes that are no text."""
    result = subprocess.run(
        [sys.executable, "-m", "hj212gw", "decode", "-", "--json"],
        input=sample(117) + sample(174),
        capture_output=True,
        check=False,
        timeout=60,
    )
    first, second = map(json.loads, result.stdout.decode().splitlines())
    assert result.returncode == 1
    assert first["cp"][2] == [["i11001-Info", "//清洗管路//"]]
    assert first["warnings"] == ["text_gbk"]
    assert second["reason"] == "noise"


def test_every_golden_sample_can_be_decoded() -> None:
    """With and without --json, whatever it holds."""
    count = len(GOLDEN.read_text(encoding="utf-8").rstrip("\n").split("\n"))
    stream = b"".join(sample(line) for line in range(1, count + 1))
    found = run_json(stream)
    assert sum(bool(item["ok"]) for item in found) == 159
    assert run(stream).exit_code == 1
