"""Evidence holds all that is known of an outlet and a range, and nothing of others."""

import base64
import csv
import io
import json
import stat
import zipfile
from datetime import timedelta

import pytest
from tests.evidence.conftest import END, MN, NOON, OTHER, OUTLET, SECRET, START, frame

from hj212gw.errors import EvidenceError, StoreUnavailable
from hj212gw.evidence import verify_evidence


def read(path):
    """Return the files inside by name."""
    with zipfile.ZipFile(path) as package:
        return {name: package.read(name) for name in package.namelist()}


def rows(content):
    """Return the rows of a CSV file by column."""
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


async def test_frames_are_those_that_came_or_speak_of_the_range(exported, evidence):
    """As bytes, in order of arrival, with what the archive says of them."""
    lines = [json.loads(line) for line in read(evidence)["frames.jsonl"].splitlines()]
    assert [line["received_at"] for line in lines] == sorted(line["received_at"] for line in lines)
    raws = {base64.b64decode(line["raw"]) for line in lines}
    expected = {frame(number, at=NOON + timedelta(seconds=30 * number)) for number in range(5)}
    expected |= {frame(35.5, cn="2061", suffix="Avg"), frame(7, at=NOON - timedelta(days=4))}
    expected |= {frame(36.25, cn="2061", suffix="Avg", qn_at=NOON + timedelta(days=2))}
    assert raws == expected
    assert {line["mn"] for line in lines} == {MN}
    assert lines[0]["received_at"] == "2026-03-01T12:00:00+08:00"


async def test_readings_history_and_rejects(exported, evidence):
    """The values that stand, those that were replaced, and what was refused from the same connection or MN."""
    files = read(evidence)
    readings = rows(files["readings.csv"])
    assert len(readings) == 12
    assert {row["outlet"] for row in readings} == {OUTLET}
    assert [row["avg"] for row in readings if row["cn"] == "2061"] == ["36.25", "-0.5"]
    assert [row["avg"] for row in rows(files["history.csv"])] == ["35.5"]
    assert [(row["reason"], row["detail"]) for row in rows(files["rejects.csv"])] == [("crc", "'=1+1"), ("length", "")]


async def test_registry_rows_in_force_without_secrets(exported, evidence):
    """Superseded rows too; other outlets' not; no cell is a formula."""
    files = read(evidence)
    loggers = rows(files["registry/data_loggers.csv"])
    assert {row["mn"] for row in loggers} == {MN}
    assert [bool(row["superseded_at"]) for row in loggers] == [False, True]
    assert loggers[0]["valid_from"] == ""
    assert not any(SECRET.encode() in content for content in files.values())
    (enterprise,) = rows(files["registry/enterprises.csv"])
    assert enterprise["name"] == "'=cmd|'/c calc'!A1"


async def test_chain_covers_the_days_of_arrival(exported, evidence):
    """From the first to the last, without gaps."""
    days = [(row["seq"], row["day"], row["part"]) for row in rows(read(evidence)["chain.csv"])]
    first = [(str(number), "2026-03-01", part) for number, part in enumerate(("packets", "rejects", "strays"), 1)]
    assert days == [*first, ("4", "2026-03-03", "packets")]


async def test_same_content_gives_the_same_bytes(archive, exported, evidence, tmp_path):
    """All but the manifest, which says when; only the owner may read it, and no draft stays."""
    again = tmp_path / "again.zip"
    await archive.export(again)
    first, second = read(evidence), read(again)
    assert list(first) == list(second)
    assert {name for name in first if first[name] != second[name]} <= {"manifest.json", "manifest.sha256"}
    assert stat.S_IMODE(evidence.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.zip", "evidence.zip"]
    manifest = json.loads(first["manifest.json"])
    assert (manifest["outlet"], manifest["from"], manifest["to"]) == (
        OUTLET,
        "2026-03-01T00:00:00+08:00",
        "2026-03-02T00:00:00+08:00",
    )
    assert manifest["files"]["readings.csv"]["rows"] == exported.rows["readings.csv"] == 12


async def test_channels_name_data_loggers_too(archive, evidence):
    """One data logger may serve several outlets, by ST and factor."""
    await archive.admin.execute(
        f"INSERT INTO hj212.channels (row_id, mn, outlet, valid_from) OVERRIDING SYSTEM VALUE"
        f" VALUES (1, '{OTHER}', 'WS-03', '-infinity')"
    )
    assert (await archive.export(evidence, "WS-03")).mns == [OTHER]
    assert verify_evidence(evidence).is_good


@pytest.mark.parametrize(
    ("outlet", "days", "message"),
    [
        ("NONE", 0, "no outlet 'NONE'"),
        ("WS-03", 0, "no data logger served"),
        (OUTLET, 300, "nothing came from"),
    ],
)
async def test_nothing_to_export_is_an_error(archive, evidence, outlet, days, message):
    """And leaves no file."""
    shift = timedelta(days=days)
    with pytest.raises(EvidenceError, match=message):
        await archive.export(evidence, outlet, START + shift, END + shift)
    assert list(evidence.parent.iterdir()) == []


async def test_analysts_may_not_export(archive, evidence):
    """They see frames with their passwords masked, which would not hold."""
    archive.dsn += ("&" if "?" in archive.dsn else "?") + "role=hj212_analyst"
    with pytest.raises(StoreUnavailable, match="hj212_gateway"):
        await archive.export(evidence)
