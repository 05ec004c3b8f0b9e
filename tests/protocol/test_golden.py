"""The published and constructed sample packets, each against what was agreed by eye (tests/golden/README.md)."""

import json
import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.strategies import make_segment

from hj212gw.protocol import (
    Dialect,
    DialectOf,
    Discard,
    Frame,
    FrameBuffer,
    Key,
    crc16,
    crc_text,
    encode_data_area,
    encode_frame,
    encode_frame_as,
    encode_packet,
    find_answer,
    find_dialect,
    make_dialect,
    open_frame,
    parse_data_area,
    parse_packet,
    parse_readings,
)
from hj212gw.protocol.codes import GRAIN_BY_CN
from hj212gw.protocol.crc import modbus_crc16
from hj212gw.protocol.dialects import SLUGS
from hj212gw.protocol.oddities import find_oddities
from hj212gw.protocol.times import WIRE_ZONE

GOLDEN = Path(__file__).parents[1] / "golden"
GOOD = encode_frame(make_segment(999))
CELLS = ("rtd", "min", "avg", "max", "cou", "zs_rtd", "zs_min", "zs_avg", "zs_max", "data_flag", "extra")
ENCRYPTED = (164, 165)
KEY = Key("zeros", b"0" * 16)  # of annex A.2
# Printed differently from the order in which we write: QN behind CN, PW behind MN, PNO before PNUM, a missing ";".
OTHER_ORDER = (5, 21, 49, 65, 113, 128)


@cache
def lines(name: str) -> tuple[dict[str, Any], ...]:
    """Read a golden file."""
    text = (GOLDEN / name).read_text(encoding="utf-8")
    return tuple(map(json.loads, text.rstrip("\n").split("\n")))


CASES = [
    pytest.param(sample, expected, id=str(expected["line"]))
    for sample, expected in zip(lines("samples.jsonl"), lines("expected.jsonl"), strict=True)
]
for_every_sample = pytest.mark.parametrize(("sample", "expected"), CASES)


def bytes_of(sample: dict[str, Any]) -> bytes:
    """Return the bytes of a sample as they went over the wire."""
    return sample["raw"].encode(sample.get("enc", "utf-8"))


def run(*chunks: bytes, dialect_of: DialectOf | None = None) -> list[Frame | Discard]:
    """Feed chunks to a new buffer, close it, and return all events."""
    buffer = FrameBuffer(dialect_of)
    return [event for chunk in chunks for event in buffer.feed(chunk)] + buffer.close()


def shape(events: list[Frame | Discard]) -> list[tuple[Any, ...]]:
    """Return what of events does not depend on what stood before them."""
    return [(event.raw, event.warnings if isinstance(event, Frame) else event.reason) for event in events]


def describe_row(row: Any) -> dict[str, Any]:
    """Return a reading as the golden file writes it."""
    cells = {name: getattr(row, name) for name in CELLS if getattr(row, name) is not None}
    return {"factor": row.factor} | ({"nth": row.nth} if row.nth else {}) | cells


def describe_packet(frame: Frame) -> dict[str, Any]:
    """Return a frame's packet as the golden file writes it."""
    packet = parse_packet(frame.segment)
    readings = parse_readings(packet.cp) if packet.cn in GRAIN_BY_CN else None
    area = parse_data_area(packet.cp)
    found = {
        **{name: getattr(packet, name) for name in ("edition", "qn", "st", "cn", "pw", "mn", "flag")},
        "parts": [packet.pnum, packet.pno] if packet.pnum is not None or packet.pno is not None else None,
        "rf": packet.rf or None,
        "extra": [list(field) for field in packet.extra] or None,
        "oddities": list(find_oddities(packet, readings)) or None,
        "answer": find_answer(packet),
    }
    if readings and readings.rows:
        moment = readings.rows[0].data_time
        found["data_time"] = moment and moment.astimezone(WIRE_ZONE).isoformat()
        found["readings"] = [describe_row(row) for row in readings.rows]
    else:
        found["groups"] = [[list(field) for field in group] for group in area.groups]
    warnings = frame.warnings + packet.warnings + (readings.warnings if readings else area.warnings)
    found["warnings"] = list(dict.fromkeys(warnings))
    return {name: value for name, value in found.items() if value is not None or name in {"flag", "data_time"}}


def describe(event: Frame | Discard) -> dict[str, Any]:
    """Return an event as the golden file writes it."""
    if isinstance(event, Discard):
        return {"reason": event.reason, "detail": event.detail}
    return describe_packet(event)


@for_every_sample
def test_sample_gives_what_was_agreed(sample: dict[str, Any], expected: dict[str, Any]) -> None:
    """Events, fields, readings, warnings and the answer owed are those of the golden file."""
    assert [describe(event) for event in run(bytes_of(sample))] == expected["events"]


@for_every_sample
def test_sample_gives_the_same_however_it_is_cut(sample: dict[str, Any], expected: dict[str, Any]) -> None:
    """Byte by byte and in random pieces the events are those of the whole."""
    raw = bytes_of(sample)
    whole = run(raw)
    assert run(*(raw[i : i + 1] for i in range(len(raw)))) == whole
    rng = random.Random(expected["line"])
    for _ in range(5):
        cuts = sorted(rng.choices(range(len(raw) + 1), k=4))
        assert run(*(raw[i:j] for i, j in zip([0, *cuts], [*cuts, len(raw)], strict=True))) == whole


@for_every_sample
def test_sample_does_not_touch_a_good_frame_behind_it(sample: dict[str, Any], expected: dict[str, Any]) -> None:
    """What follows a sample comes out, and the sample's events stay as they are."""
    raw = bytes_of(sample)
    *before, last = run(raw + GOOD)
    assert last == Frame(GOOD[6:-6], GOOD, len(raw))
    # What is only cut off at the end of a stream is noise when something follows.
    expected_shape = [(raw, "noise") if event[1] == "incomplete" else event for event in shape(run(raw))]
    assert shape(before) == expected_shape


@for_every_sample
def test_sample_is_found_behind_noise(sample: dict[str, Any], expected: dict[str, Any]) -> None:
    """Noise in front is discarded by itself, and the sample's events stay as they are."""
    raw, noise = bytes_of(sample), b"\x01\x04\x00##\r\n"
    events = run(noise + raw)
    if expected["events"][0].get("reason") in {"noise", "incomplete"}:
        assert shape(events) == [(noise + raw, "noise")]
        return
    assert shape(events) == [(noise, "noise"), *shape(run(raw))]


@for_every_sample
def test_sample_is_of_the_edition_and_command_the_file_says(sample: dict[str, Any], expected: dict[str, Any]) -> None:
    """Edition and CN agree with the file, also where length or CRC are wrong."""
    segments = re.findall(rb"##[0-9]{4}(.*?&&.*?&&)[0-9A-Fa-f]{3,4}\r?\n", bytes_of(sample), re.DOTALL)
    assert bool(segments) == bool(sample["cn"])
    if segments:
        packet = parse_packet(segments[0])
        assert (packet.edition, packet.cn) == (sample["edition"], sample["cn"])


@for_every_sample
def test_sample_is_judged_as_the_file_says(sample: dict[str, Any], expected: dict[str, Any]) -> None:
    """What the file calls right is accepted, and what it calls wrong is rejected for that reason."""
    reasons = [event.get("reason") for event in expected["events"]]
    by_verdict = {
        "ok": [None],
        "ok-lf-only": [None],
        "ok-encrypted": ["crc"],
        "bad-crc": ["crc"],
        "bad-length": ["length"],
        "garbage": ["noise"],
        "incomplete": ["incomplete"],
        "multi": [None] * len(reasons),
    }
    assert reasons == by_verdict[sample["expect"]]
    detail = expected["events"][0].get("detail", "")
    for tag in sample.get("tags", []):
        if match := re.fullmatch("right-crc-(....)", tag):
            assert f"the right one is {match[1]}" in detail
        if tag == "crc-is-modbus":
            assert detail.endswith("it equals CRC-16/MODBUS")
        if tag == "crc-is-modbus-byte-swapped":
            assert detail.endswith("it equals CRC-16/MODBUS with its bytes swapped")
        if match := re.fullmatch("declared-([0-9]+)-actual-([0-9]+)", tag):
            assert f"length {match[1]} " in detail
            assert f"after {match[2]} bytes" in detail


TAG_WARNINGS = {
    "lower-case-crc": "crc_lower_case",
    "lf-only": "lf_only",
    "missing-semicolon": "missing_semicolon",
    "space-in-key": "space_in_key",
    "gbk": "text_gbk",
    "mn-empty": "mn_empty",
}


@for_every_sample
def test_sample_with_an_oddity_names_its_warning(sample: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each tag that speaks of an accepted oddity has its warning, and no other sample has it."""
    event = expected["events"][0]
    if "reason" in event:
        return
    tags = set(sample.get("tags", []))
    for tag, slug in TAG_WARNINGS.items():
        if tag in tags:
            assert slug in event["warnings"]
        elif tag != "mn-empty":
            assert slug not in event["warnings"]


@for_every_sample
def test_sample_is_written_back(sample: dict[str, Any], expected: dict[str, Any]) -> None:
    """The encoder writes what the decoder read: the same bytes but for the order of odd headers."""
    for event in run(bytes_of(sample)):
        if isinstance(event, Frame):
            packet = parse_packet(event.segment)
            again = encode_packet(packet)
            assert parse_packet(again)._replace(warnings=packet.warnings) == packet
            if expected["line"] not in OTHER_ORDER:
                assert again == event.segment
            area = parse_data_area(packet.cp)
            assert parse_data_area(encode_data_area(area.groups)).groups == area.groups


@pytest.mark.parametrize("line", ENCRYPTED)
def test_encrypted_sample_gives_what_was_agreed_once_its_key_is_known(line: int) -> None:
    """Annex A.2 of 2025, however it is cut; the CRC is that of the plain text."""
    raw = bytes_of(lines("samples.jsonl")[line - 1])
    expected = lines("expected.jsonl")[line - 1]
    for pieces in ([raw], [raw[i : i + 1] for i in range(len(raw))]):
        (frame,) = run(*pieces, dialect_of=lambda _: Dialect(keys=(KEY,)))
        assert isinstance(frame, Frame)
        assert frame.key_id == "zeros"
        assert frame.sent
        assert frame.sent in raw
        assert [describe(frame)] == expected["decrypted"]


@pytest.mark.parametrize("line", ENCRYPTED)
def test_encrypted_sample_is_written_to_the_byte(line: int) -> None:
    """What the decoder read gives the published bytes again."""
    raw = bytes_of(lines("samples.jsonl")[line - 1])
    opened = open_frame(raw, Dialect(keys=(KEY,)))
    printed = "cipher_printed" in opened.warnings
    assert encode_frame_as(opened.segment, Dialect(keys=(KEY,)), is_printed=printed) == raw


SLUG_BY_TAG = {
    "crc-is-modbus": "crc_modbus",
    "crc-is-modbus-byte-swapped": "crc_modbus_swapped",
    "crc-short": "crc_short",
}


@for_every_sample
def test_sample_is_given_the_dialect_the_file_names(sample: dict[str, Any], expected: dict[str, Any]) -> None:
    """A setting is proposed where the tags name one, and nowhere else; with it the sample is a frame."""
    slugs = tuple(SLUG_BY_TAG[tag] for tag in sample.get("tags", []) if tag in SLUG_BY_TAG)
    raw = bytes_of(sample)
    found = find_dialect(raw)
    assert (found[1] if found else ()) == slugs
    if found:
        mn, slugs = found
        (frame,) = run(raw, dialect_of=lambda sent: make_dialect(slugs) if sent == mn else None)
        assert isinstance(frame, Frame)
        assert set(slugs) <= set(frame.warnings)
        assert open_frame(frame.raw, make_dialect(slugs)).segment == frame.segment


@for_every_sample
def test_sample_is_not_touched_by_dialects_it_does_not_need(sample: dict[str, Any], expected: dict[str, Any]) -> None:
    """What the standard accepts stays as it is when all is allowed."""
    if all("reason" not in event for event in expected["events"]):
        raw = bytes_of(sample)
        assert run(raw, dialect_of=lambda _: make_dialect(SLUGS, [KEY])) == run(raw)


ANNEX_A = "QN=20160801085857223;ST={};CN={};PW={};MN=010000A8900016F000169DC0;Flag={};CP=&&{}&&"
LOGGER_2005 = "ST=32;CN=2011;PW=123456;MN=LD130133000015;CP=&&DataTime={};B01-Rtd=36.91;"
LOGGER_2005 += "011-Rtd=231.0,011-Flag=N;060-Rtd=1.803,060-Flag=N&&"
VECTORS = [  # spec section 3
    (b"", 0xFFFF, 0xFFFF),
    (b"\0", 0x4040, 0x40BF),
    (b"123456789", 0x2F80, 0x4B37),
    (ANNEX_A.format(32, 1062, 100000, 5, "RtdInterval=30").encode(), 0x1C80, 0x0759),
    (ANNEX_A.format(91, 9011, 123456, 4, "QnRtn=1").encode(), 0x1B00, 0x896F),
    (ANNEX_A.format(91, 9014, 123456, 4, "").encode(), 0x3240, 0x44BC),
    (ANNEX_A.format(32, 1011, 123456, 9, "").replace("20160801", "20240601").encode(), 0x2200, 0xCCF4),
    (LOGGER_2005.format("20160824003817").encode(), 0x3C00, 0x522B),
    (LOGGER_2005.format("20160824003817000").encode(), 0x4980, 0x264D),
    (ANNEX_A.format(23, 2011, 123456, 5, "DataTime=20160801085857; LA-Rtd=50.1").encode(), 0x1E00, 0x25FB),
    (bytes(range(256)), 0xFF01, 0xDE6C),
]


@pytest.mark.parametrize(("segment", "crc", "modbus"), VECTORS)
def test_crc_vector(segment: bytes, crc: int, modbus: int) -> None:
    """The vectors of section 3, and the Modbus CRC each of them must not be taken for."""
    assert crc16(segment) == crc
    assert crc_text(segment) == b"%04X" % crc
    assert modbus_crc16(segment) == modbus


def test_the_standard_prints_1c80_on_the_wire_and_1c08_in_its_prose() -> None:
    """The packet of annex A is right as printed, and its explanation is not."""
    segment = VECTORS[3][0]
    assert encode_frame(segment) == b"##0101" + segment + b"1C80\r\n"
    (event,) = run(b"##0101" + segment + b"1C08\r\n")
    assert isinstance(event, Discard)
    assert event.reason == "crc"
