"""Every row of the command tables: a packet of its kind, against what was agreed by eye, or a reason in the README."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.protocol.test_golden import describe_row, run

from hj212gw.protocol import (
    Frame,
    Packet,
    find_answer,
    parse_data_area,
    parse_infos,
    parse_packet,
    parse_readings,
    sender_kind,
)
from hj212gw.protocol.codes import GRAIN_BY_CN, Command, CommandKind, commands
from hj212gw.protocol.infos import INFO_TABLE_BY_CN
from hj212gw.protocol.times import WIRE_ZONE

ROOT = Path(__file__).parents[2]
KEY = ("cn", "edition", "direction", "kind", "name")
REASONED = (CommandKind.RESERVED, CommandKind.REMOVED)


@cache
def cases() -> dict[tuple[str, ...], dict[str, Any]]:
    """Read the golden file by what tells its lines apart."""
    text = (ROOT / "tests" / "golden" / "commands.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    by_key = {tuple(line[name] for name in KEY): line for line in lines}
    assert len(by_key) == len(lines)
    return by_key


def key_of(row: Command) -> tuple[str, ...]:
    """Return what a row's case is found by."""
    return (row.cn, row.edition, str(row.direction), str(row.kind), row.name_en)


def reasons(kind: CommandKind) -> list[str]:
    """Return the lines of the README's clause table that speak of reserved or removed numbers."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("|") and f"{kind} numbers" in line]


def describe(packet: Packet) -> dict[str, Any]:
    """Return what a received packet gives, as the golden file writes it."""
    readings = parse_readings(packet.cp) if packet.cn in GRAIN_BY_CN else None
    infos = parse_infos(packet)
    area = parse_data_area(packet.cp)
    found: dict[str, Any] = {
        "received_as": str(sender_kind(packet.cn, packet.edition)),
        "answer": find_answer(packet),
        "warnings": list(dict.fromkeys((*packet.warnings, *area.warnings, *infos.warnings))),
    }
    if readings and readings.rows:
        moment = readings.rows[0].data_time
        assert moment is not None
        found["data_time"] = moment.astimezone(WIRE_ZONE).isoformat()
        found["readings"] = [describe_row(row) for row in readings.rows]
        found["warnings"] += readings.warnings
    else:
        found["groups"] = [[list(field) for field in group] for group in area.groups]
    if infos.rows:
        found["table"] = INFO_TABLE_BY_CN[packet.cn]
        found["infos"] = [list(row) for row in infos.rows]
        if infos.data_time:
            found["info_time"] = infos.data_time.astimezone(WIRE_ZONE).isoformat()
    return found


@pytest.mark.parametrize("row", commands(), ids=lambda row: f"{row.edition}-{row.cn}-{row.direction}-{row.kind}")
def test_row_has_a_case_or_a_reason(row: Command) -> None:
    """A row is received, answered and made into rows as agreed; a reserved or removed number has its reason."""
    if row.kind in REASONED:
        assert any(row.cn in line and row.edition in line for line in reasons(row.kind))
        return
    case = cases()[key_of(row)]
    (frame,) = run(case["raw"].encode())
    assert isinstance(frame, Frame)
    assert frame.warnings == ()
    packet = parse_packet(frame.segment)
    assert row.first <= packet.cn <= row.last
    assert row.edition in {packet.edition, "field"}
    assert describe(packet) == {"warnings": []} | {name: case[name] for name in case if name not in {*KEY, "raw"}}


def test_no_case_is_left_over() -> None:
    """A line whose row went from the tables goes with it."""
    assert set(cases()) == {key_of(row) for row in commands() if row.kind not in REASONED}


def test_a_key_is_never_a_row() -> None:
    """What a host sends as a new key is no row, whoever sends it."""
    secret = "0123456789ABCDEF"
    senders = [case for case in cases().values() if secret in case["raw"]]
    assert senders
    for case in senders:
        assert "infos" not in case
    assert not any(secret in row[3] for case in cases().values() for row in case.get("infos", []))


@pytest.mark.parametrize(
    ("kind", "range_of", "answered"),
    [
        (CommandKind.RESERVED, "2082-2999", "9014"),
        (CommandKind.RESERVED, "9015-9999", None),
        (CommandKind.REMOVED, "3017", "9014"),
    ],
)
def test_numbers_without_a_case_are_answered_as_the_readme_says(
    kind: CommandKind, range_of: str, answered: str | None
) -> None:
    """A reserved number is an upload like any other; interaction is never answered."""
    assert any(range_of in line for line in reasons(kind))
    cn = range_of[-4:]
    packet = parse_packet(
        f"QN=20260301080000001;ST=32;CN={cn};PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&&&".encode()
    )
    assert find_answer(packet) == answered
