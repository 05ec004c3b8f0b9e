"""The book of proposals: what is odd is counted, what is ordinary costs nothing, memory is bounded."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from tests.gateway.support import MN, Counts, eventually, frame, live_gateway
from tests.protocol.test_diagnosis import FAULTS, minute, segment

from hj212gw.clock import to_us
from hj212gw.gateway import proposals
from hj212gw.gateway.admission import Admission
from hj212gw.gateway.batches import BatchMaker
from hj212gw.gateway.proposals import LOOK_EVERY, LOOKS, REJECT_LOOKS, VOTES, WARNED_EVERY, ProposalBook
from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.journal import ACCEPTED, REJECT, Group, Record
from hj212gw.protocol import encode_frame
from hj212gw.protocol.crc import modbus_crc16
from hj212gw.protocol.diagnosis import InForce
from hj212gw.protocol.times import format_data_time, format_qn
from hj212gw.store.loggers import KnownLogger
from hj212gw.store.migrate import migrate
from hj212gw.store.proposals import read_time_labels

AT = datetime(2026, 3, 1, 0, 0, 5, tzinfo=UTC)
PEER = "10.0.0.1:5000"
SECOND = timedelta(seconds=1)


def modbus_frame(number=0):
    """A frame with the CRC of the wrong algorithm."""
    raw = frame(number)
    return raw[:-6] + b"%04X\r\n" % modbus_crc16(raw[6:-6])


def note(book, *frames, at=AT, warnings=()):
    """Note accepted frames, a second apart."""
    arrivals = [read_arrival(raw, at + place * SECOND, PEER) for place, raw in enumerate(frames)]
    book.note_packets(arrivals, [make_rows(arrival, logger_id=1, more_warnings=warnings) for arrival in arrivals])


def live(at, area="DataTime={};w01018-Rtd=35.5,w01018-Flag=N", **changes):
    """A frame whose QN is its moment, and whose DataTime is a few seconds before."""
    moment = format_data_time(at - 5 * SECOND)
    return encode_frame(segment(area.format(moment), QN=format_qn(at), **changes))


def taken(book):
    """What was counted: times by (what, value)."""
    return {(row.what, row.value): row.times for row in book.take()}


def test_fault_of_a_look_holds_nothing_up(monkeypatch):
    """It is counted and told; what comes after is noted as ever."""
    counts = Counts()
    book = ProposalBook()
    for name in ("diagnose_packet", "diagnose_reject"):
        monkeypatch.setattr(proposals, name, lambda *_facts: {}["nobody thought of this"])
    note(book, frame(1))
    book.note_reject(AT, PEER, "crc", modbus_frame())
    monkeypatch.undo()
    book.note_reject(AT + WARNED_EVERY, PEER, "crc", modbus_frame())
    assert counts.sum("faults_contained_total") == 2
    assert taken(book)


def test_ordinary_packet_is_looked_at_now_and_then(monkeypatch):
    """At once, and again ten minutes of arrival later; nothing is found."""
    looks = []
    diagnose = proposals.diagnose_packet
    monkeypatch.setattr(proposals, "diagnose_packet", lambda *facts: looks.append(facts[3]) or diagnose(*facts))
    book = ProposalBook()
    for number in range(1500):
        at = AT + number * SECOND
        note(book, live(at), at=at)
        assert book.take() == ()
    assert looks == [AT, AT + LOOK_EVERY, AT + 2 * LOOK_EVERY]


def test_warnings_are_counted_and_looked_at_once_a_minute():
    """All packets with the same warnings count, those that nobody looked at with the next one."""
    book = ProposalBook()
    for number in range(61):
        at = AT + number * SECOND
        note(book, live(at, MN="4201003"), at=at)
    (row,) = book.take()
    assert (row.mn, row.st, row.cn, row.what, row.value) == ("4201003", "", "", "repair", "mn")
    assert row.times == 61
    assert (row.first_seen_at, row.last_seen_at) == (AT, AT + WARNED_EVERY)


def test_unknown_logger_is_to_be_registered():
    """As often as it was heard before it was."""
    book = ProposalBook()
    note(book, *(live(AT + place * SECOND) for place in range(3)), warnings=("unknown_mn",))
    note(book, live(AT + WARNED_EVERY), at=AT + WARNED_EVERY, warnings=("unknown_mn",))
    assert taken(book) == {("register", ""): 4}


def test_qn_that_is_used_twice_is_named():
    """Section 17, row 40: not the repeat of a packet, not a part of an upload, not what is marked as sent again."""
    book = ProposalBook()
    again = live(AT, "DataTime={};w01018-Rtd=36")
    note(book, live(AT), live(AT))
    assert taken(book) == {}
    note(book, again)
    assert taken(book) == {("repair", "qn_reused"): 1}
    note(book, live(AT, "DataTime={};w01018-Rtd=37", RF="1"))
    note(book, live(AT, Flag="7", PNUM="2", PNO="1"), live(AT, Flag="7", PNUM="2", PNO="2"))
    assert taken(book) == {}


def test_packets_without_qn_reuse_none():
    """Two packets without QN are two packets."""
    book = ProposalBook()
    area = "DataTime={};w01018-Rtd=3{}"
    frames = [
        encode_frame(segment(area.format(format_data_time(AT), number), QN=None, Flag=None)) for number in range(3)
    ]
    note(book, *frames)
    assert ("repair", "qn_reused") not in taken(book)


def test_interval_of_minute_data_is_learnt():
    """The end of ten minutes arrives long before these could have ended, had they begun at DataTime."""
    book = ProposalBook()
    counted = []
    for number in range(4):
        ended = AT - 5 * SECOND + number * 10 * timedelta(minutes=1)
        sent = ended + timedelta(minutes=1, seconds=30)
        raw = encode_frame(minute(format_data_time(ended), QN=format_qn(sent)))
        note(book, raw, at=sent)
        counted.append(taken(book))
    assert counted[0] == {}  # one packet tells no interval: it might be one minute
    assert counted[2] == {("time_label", "end"): 1}


def test_interval_is_not_learnt_from_what_is_no_minute():
    """Packets without a readable DataTime, and those of another minute's second."""
    book = ProposalBook()
    for number, data_time in enumerate(("20260301080000", "x", "20260301080130", "20260301090000", "20260301090500")):
        at = AT + number * SECOND
        note(book, encode_frame(minute(data_time, QN=format_qn(at))), at=at)
    (stream,) = book._streams.values()
    assert stream.interval_mins == 5


def test_start_is_proposed_when_looks_agree():
    """Where the registry says end: one packet that came late proves nothing, three looks in a row do."""
    book = ProposalBook(lambda _mn, _st, _cn: InForce("end", 10))
    counted = []
    for number in range(5):
        began = AT - 5 * SECOND + number * timedelta(minutes=30)
        sent = began + timedelta(minutes=25 if number == 1 else 10, seconds=20)
        note(book, encode_frame(minute(format_data_time(began), QN=format_qn(sent))), at=sent)
        counted.append(taken(book))
    assert counted == [{}, {}, {}, {}, {("time_label", "start"): 1}]
    assert VOTES == 3


def test_clock_behind_is_proposed_when_looks_agree():
    """What was kept during an outage is behind too, and by less and less."""
    book = ProposalBook()
    for number in range(3):
        at = AT + number * LOOK_EVERY
        note(book, live(at - timedelta(hours=number + 2)), at=at)
    assert taken(book) == {}
    for number in range(3):
        at = AT + (3 + number) * LOOK_EVERY
        note(book, live(at - timedelta(hours=1)), at=at)
    assert taken(book) == {("clock", "-3600"): 1}


def test_reject_is_diagnosed_once_a_minute_and_counted():
    """Each data logger and reason by itself."""
    book = ProposalBook()
    for number in range(61):
        book.note_reject(AT + number * SECOND, PEER, "crc", modbus_frame(number))
    book.note_reject(AT, PEER, "length", b"##0271" + frame()[6:])
    book.note_reject(AT, PEER, "unstorable", frame())
    rows = book.take()
    assert [(row.mn, row.what, row.value, row.times) for row in rows] == [
        (MN, "dialect", "crc_modbus", 61),
        (MN, "repair", "length", 1),
    ]


def test_noise_is_its_connections():
    """Bytes that name nobody are told of the data logger whose connection it is."""
    book = ProposalBook()
    for number in range(2):
        book.note_noise(AT + number * SECOND, PEER, MN, b"AT+CSQ\r")
    book.note_noise(AT, "10.0.0.2:1", "", b"AT+CSQ\r")
    assert [(row.mn, row.value, row.times) for row in book.take()] == [("", "noise", 1), (MN, "noise", 1)]


def test_looks_are_bounded():
    """A thousand new data loggers at once are looked at a few a batch; nobody is forgotten."""
    book = ProposalBook()
    frames = [live(AT, "w01018-Rtd=1;DataTime={}", MN=f"010000A8900016F0000000{number:02}") for number in range(20)]
    note(book, *frames)
    assert len(book.take()) == LOOKS
    note(book, *frames)
    note(book, live(AT, MN="4201003"), live(AT, MN="4201003"))
    assert len(book.take()) == LOOKS
    note(book, *frames)
    assert len(book.take()) == 20 - 2 * LOOKS
    note(book, live(AT, MN="4201003"))
    assert taken(book) == {("repair", "mn"): 3}
    for number in range(REJECT_LOOKS + 9):
        book.note_reject(AT, f"10.0.0.{number}:1", "noise", b"AT+CSQ\r")
    assert taken(book) == {("repair", "noise"): REJECT_LOOKS}


def test_memory_is_bounded(monkeypatch):
    """Too many different ones are counted as dropped; too many streams are forgotten and opened anew."""
    for name, value in (("MAX_KEYS", 3), ("MAX_STREAMS", 4), ("_MAX_WARNED", 2)):
        monkeypatch.setattr(proposals, name, value)
    counts = Counts()
    book = ProposalBook()
    note(book, *(live(AT, "w01018-Rtd=1;DataTime={}", MN=f"010000A8900016F0000000{n:02}") for n in range(6)))
    assert len(book._streams) == 2
    assert len(book.take()) == 3
    assert counts("proposals_dropped_total") == 3
    note(book, *(live(AT), live(AT)), warnings=("a",))
    for warnings in ("b", "c"):
        note(book, live(AT), warnings=(warnings,))
    assert len(book._streams[MN, "32", "2011"].warned) == 1
    for number in range(4):
        book.note_reject(AT, f"10.0.0.{number}:1", "noise", b"AT+CSQ\r")
    assert len(book._rejects) == 1


def test_forgotten_is_found_again():
    """What was taken may not have been stored."""
    book = ProposalBook()
    for _ in range(2):
        note(book, live(AT, MN="4201003"))
        book.note_reject(AT, PEER, "crc", modbus_frame())
        assert len(book.take()) == 2
        book.forget()
    note(book, live(AT, MN="4201003"))
    book.forget()
    assert book.take() == ()


def test_every_fault_passes_through():
    """Whatever is diagnosed fits a row of the table."""
    book = ProposalBook()
    for place, row in enumerate(FAULTS):
        at = AT + place * timedelta(hours=1)
        book.note_reject(at, PEER, "crc", row.raw)
        book.note_reject(at, PEER, "length", row.raw)
        for proposal in book.take():
            assert proposal.times in {1, 2}
            assert all("\0" not in text for text in proposal[:6])


@pytest.fixture
async def connection(postgres_dsn):
    """A connection to a migrated database, as the drain's."""
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "hj212, public"})
    await migrate(connection, now=AT)
    yield connection
    await connection.close()


async def test_batch_carries_proposals(tmp_path, connection):
    """Of its packets and its rejects; a batch that was lost is made again with them."""
    maker = BatchMaker(Admission(accepts_unknown=True, snapshot=tmp_path / "registry.json"))
    odd = encode_frame(segment("w01018-Rtd=1;DataTime=20260301080000"))
    kinds = ((ACCEPTED, "", odd), (REJECT, "crc\tCRC at byte 5", modbus_frame()))
    group = Group(1, [Record(to_us(AT), kind, PEER, note, body) for kind, note, body in kinds], 400)
    for _ in range(2):
        batch = await maker.make(connection, [group], 0)
        found = {(row.mn, row.st, row.cn, row.what, row.value) for row in batch.proposals}
        assert found >= {
            (MN, "32", "2011", "repair", "data_time_order"),
            (MN, "", "", "dialect", "crc_modbus"),
        }
        assert (await maker.make(connection, [group._replace(seq=2)], 1)).proposals == ()
        maker.forget_numbers()


async def test_labels_and_intervals_of_the_registry_are_in_force(tmp_path, connection):
    """The label of the ST goes before that of any ST; what is over, or not yet, is not in force."""
    rows = [("", "2051", "end", None), ("32", "2051", "sent", None), ("32", "2061", "end", AT - SECOND)]
    for st, cn, label, end in rows:
        await connection.execute(
            "INSERT INTO time_labels (mn, st, cn, label, valid_to) VALUES ($1, $2, $3, $4, $5)", MN, st, cn, label, end
        )
    admission = Admission(accepts_unknown=True, snapshot=tmp_path / "registry.json")
    admission.replace([KnownLogger(MN, None, "32", 60, 5)])
    maker = BatchMaker(admission)
    maker.labels = await read_time_labels(connection, AT)
    assert maker._in_force(MN, "32", "2051") == InForce("sent", 5)
    assert maker._in_force(MN, "31", "2051") == InForce("end", 5)
    assert maker._in_force(MN, "32", "2061") == InForce("start", 5)
    assert maker._in_force("OTHER", "32", "2051") == InForce("start", None)


async def test_noise_on_a_connection_is_noted(tmp_path):
    """Of nobody before a packet came, then of the only data logger that speaks there."""
    noise = []
    async with live_gateway(tmp_path) as live:
        live.intake.on_noise = lambda *facts: noise.append(facts[2:])
        line = await live.connect()
        await line.send(b"AT+CSQ\r" + frame(1) + b"+++" + frame(2))
        await eventually(lambda: len(live.frames()) == 2)
        other = await live.connect()
        await other.send(frame(3) + frame(4, mn="OTHER") + b"+++" + frame(5))
        await eventually(lambda: len(live.frames()) == 5)
    assert noise == [("", b"AT+CSQ\r"), (MN, b"+++"), ("", b"+++")]
