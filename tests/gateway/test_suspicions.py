"""Suspicion: wrong PW, foreign peers and certificates, replayed QNs, conflicts; counted, stored, never refused."""

from datetime import timedelta

import pytest
from tests.gateway.support import MN, Counts, frame
from tests.gateway.test_batches import AT as NOW
from tests.gateway.test_batches import make_maker

from hj212gw.clock import to_us
from hj212gw.gateway import suspicions
from hj212gw.gateway.suspicions import SuspicionBook
from hj212gw.journal import ACCEPTED, Group, Record
from hj212gw.store.loggers import KnownLogger
from hj212gw.store.rows import PacketRow, PacketRows, SuspicionRow

HOUR = timedelta(hours=1)


def packet(warnings, *, mn=MN, peer="10.1.1.1:5000", at=NOW, pw="999999"):
    """Rows of a packet with warnings."""
    row = PacketRow(NOW, b"", at, mn, "32", "2011", None, None, None, 5, "2017", peer, "stored", warnings, None, b"")
    return PacketRows(row._replace(raw=frame(1, pw=pw)), has_qn=True)


def test_warnings_become_suspicions():
    """One row a data logger, kind and address; the port does not matter, the outermost times stay."""
    counts = Counts()
    book = SuspicionBook()
    book.note_packets([packet(None), packet(["flag_missing"]), packet(["wrong_password", "foreign_peer"])])
    book.note_packets([packet(["wrong_password"], peer="10.1.1.1:5001", at=NOW + HOUR)])
    book.note_packets([packet(["foreign_certificate"], peer="2001:db8::1:4000", at=NOW - HOUR)])
    rows = book.take()
    assert [(row.what, row.peer, row.times, row.first_seen_at, row.last_seen_at) for row in rows] == [
        ("foreign_certificate", "2001:db8::1", 1, NOW - HOUR, NOW - HOUR),
        ("foreign_peer", "10.1.1.1", 1, NOW, NOW),
        ("wrong_pw", "10.1.1.1", 2, NOW, NOW + HOUR),
    ]
    assert counts("suspicions_total", what="wrong_pw") == 2
    assert book.take() == ()


def test_evidence_shows_no_password():
    """Neither the right one nor the wrong one."""
    book = SuspicionBook()
    book.note_packets([packet(["wrong_password"], pw="hunter2")])
    (row,) = book.take()
    assert f"MN={MN}" in row.evidence
    assert "hunter2" not in row.evidence


def test_what_is_kept_is_bounded(monkeypatch):
    """Somebody who invents addresses fills no memory; what has no room is counted."""
    monkeypatch.setattr(suspicions, "MAX_KEYS", 5)
    counts = Counts()
    book = SuspicionBook()
    book.note_packets([packet(["wrong_password"], peer=f"10.0.0.{number}:1") for number in range(20)])
    assert len(book.take()) == 5
    assert counts("suspicions_dropped_total") == 15
    book.note_packets([packet(["wrong_password"])])
    book.forget()
    assert book.take() == ()


def test_text_no_column_takes_is_escaped():
    """A batch is never held up by it."""
    book = SuspicionBook()
    book.note_packets([packet(["wrong_password"], mn="A\x00\ud800B")])
    assert book.take()[0].mn == "A\\x00\\ud800B"


def arrive(*frames, notes=None, peer="10.1.1.1:5000"):
    """A group of accepted frames as the journal holds it."""
    notes = notes or [""] * len(frames)
    records = [Record(to_us(NOW), ACCEPTED, peer, note, raw) for raw, note in zip(frames, notes, strict=True)]
    return [Group(1, records, 0)]


@pytest.fixture
def make(tmp_path):
    """Makes a batch from frames; its suspicions by kind."""

    async def make(known, groups):
        maker = make_maker(tmp_path, known=known)
        maker._numbers = {MN: 1}
        batch = await maker.make(None, groups, 0)
        return batch, {row.what: row.times for row in batch.suspicions}

    return make


async def test_wrong_pw_is_suspicious(make):
    """And stored as ever."""
    batch, found = await make([KnownLogger(MN, "654321", "32", 60)], arrive(frame(1), frame(2)))
    assert found == {"wrong_pw": 2}
    assert [rows.packet.state for rows in batch.packets] == ["stored", "stored"]


async def test_marks_of_the_journal_are_suspicious(make):
    """They stand among the packet's warnings too."""
    marks = ["\trival foreign_peer", "\tforeign_certificate", "\trival"]
    batch, found = await make([KnownLogger(MN, None, "32", 60)], arrive(frame(1), frame(2), frame(3), notes=marks))
    assert found == {"foreign_peer": 1, "foreign_certificate": 1}
    assert [rows.packet.warnings for rows in batch.packets] == [["foreign_peer"], ["foreign_certificate"], None]
    assert [rows.is_rival for rows in batch.packets] == [True, False, True]


async def test_peer_outside_the_registrys_networks_is_suspicious(make):
    """Of a data logger that has some."""
    known = [KnownLogger(MN, None, "32", 60, networks=("10.53.0.0/16",))]
    batch, found = await make(known, arrive(frame(1)))
    assert found == {"foreign_peer": 1}
    assert batch.packets[0].packet.warnings == ["foreign_peer"]
    assert (await make(known, arrive(frame(1), peer="10.53.9.9:1")))[1] == {}


async def test_qn_with_other_data_is_suspicious(make):
    """A repeat of the same packet is not."""
    other = "DataTime=20260301080000;w01018-Rtd=99.5,w01018-Flag=N"
    known = [KnownLogger(MN, None, "32", 60)]
    assert (await make(known, arrive(frame(1), frame(1))))[1] == {}
    batch, found = await make(known, arrive(frame(1), frame(1, cp=other)))
    assert found == {"replayed_qn": 1}
    assert isinstance(batch.suspicions[0], SuspicionRow)
    assert batch.suspicions[0].peer == "10.1.1.1"
