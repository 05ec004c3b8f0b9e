"""From a kept frame to rows: the same rows whenever it is done again."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given
from tests.gateway.support import CP, MN, frame
from tests.strategies import data_areas, readable_areas

from hj212gw.errors import PacketError
from hj212gw.gateway.inforows import make_infos
from hj212gw.gateway.moments import NEWEST_DATA, OLDEST_DATA, is_plausible
from hj212gw.gateway.notes import Note
from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.protocol import FrameBuffer, encode_frame, parse_packet, parse_readings
from hj212gw.protocol.dataarea import parse_data_area
from hj212gw.protocol.dialects import SLUGS, Key, make_dialect
from hj212gw.protocol.outgoing import encode_frame_as
from hj212gw.protocol.readings import read_rows
from hj212gw.store.copyrows import encode_copy_rows

AT = datetime(2026, 3, 1, 0, 0, 5, 123456, tzinfo=UTC)  # 8:00:05 where the data loggers are


def rows_of(raw, *, logger_id=7, at=AT, **options):
    """Make the rows of a frame."""
    return make_rows(read_arrival(raw, at, "10.0.0.1:5000"), logger_id=logger_id, **options)


def test_packet_row_holds_what_came():
    """Header fields as sent, the whole frame, when and from whom."""
    raw = frame(7)
    packet = rows_of(raw).packet
    assert (packet.mn, packet.st, packet.cn, packet.qn, packet.flag) == (MN, "32", "2011", "20260301080000007", 5)
    assert (packet.raw, packet.received_at, packet.peer) == (raw, AT, "10.0.0.1:5000")
    assert (packet.state, packet.warnings, packet.key_id, packet.edition) == ("stored", None, None, "2017")
    assert packet.qn_at == datetime(2026, 3, 1, 0, 0, 0, 7000, tzinfo=UTC)


def test_digest_is_of_the_segment_alone():
    """A repeat without CR LF or with a lower-case CRC is the same packet; another QN is another."""
    raw = frame(7)
    digest = rows_of(raw).packet.digest
    assert rows_of(raw[:-2]).packet.digest == digest
    assert rows_of(raw[:-6] + raw[-6:].lower()).packet.digest == digest
    assert rows_of(frame(8)).packet.digest != digest


KEY = Key("key-3", b"0123456789abcdef")
SEALED_AREA = "DataTime=20260301080000;w01018-Rtd=35.5,w01018-Flag=N"
PLAIN_SEGMENT = f"QN=20260301080000007;ST=32;CN=2011;PW=123456;MN={MN};Flag=9;CP=&&{SEALED_AREA}&&".encode()


def key_of(mn, key_id, _at):
    """The one key there is."""
    return KEY if (mn, key_id) == (MN, "key-3") else None


@pytest.mark.parametrize("is_printed", [False, True])
def test_encrypted_packet_is_read_with_the_key_that_is_noted(is_printed):
    """Frame and digest are those of the cipher text, readings those of the plain text, and the key's id is kept."""
    raw = encode_frame_as(PLAIN_SEGMENT, make_dialect((), [KEY]), is_printed=is_printed)
    rows = make_rows(read_arrival(raw, AT, "p", Note("key-3"), key_of), logger_id=1)
    assert (rows.packet.key_id, rows.packet.raw, rows.packet.state) == ("key-3", raw, "stored")
    assert rows.packet.digest != rows_of(encode_frame(PLAIN_SEGMENT)).packet.digest
    [row] = rows.reading_rows()
    assert 35.5 in row
    sealed = make_rows(read_arrival(raw, AT, "p", Note("key-4"), key_of), logger_id=1)
    assert sealed.packet.digest == rows.packet.digest


def test_encrypted_packet_whose_key_is_gone_stays_sealed():
    """It is stored with its header, apart, without readings, until the key is there again."""
    raw = encode_frame_as(PLAIN_SEGMENT, make_dialect((), [KEY]))
    rows = make_rows(read_arrival(raw, AT, "p", Note("key-4"), key_of), logger_id=1)
    packet = rows.packet
    assert (packet.state, packet.warnings, packet.key_id, packet.qn) == (
        "quarantined",
        ["key_missing"],
        "key-4",
        "20260301080000007",
    )
    assert rows.table is None
    assert not rows.reading_count
    part = make_rows(
        read_arrival(raw.replace(b"Flag=9;", b"Flag=11;PNUM=2;PNO=1;"), AT, "p", Note("key-4")), logger_id=1
    )
    assert part.part is None


@pytest.mark.parametrize("slug", SLUGS)
def test_packet_in_a_dialect_is_read_by_its_marks(slug):
    """Its readings are those of the standard's frame, and the dialect stands among its warnings."""
    raw = encode_frame_as(PLAIN_SEGMENT, make_dialect([slug]))
    (event,) = FrameBuffer(lambda _mn: make_dialect([slug])).feed(raw)
    marks = tuple(warning for warning in event.warnings if warning in SLUGS)
    rows = make_rows(read_arrival(raw, AT, "p", Note(marks=marks)), logger_id=7)
    assert tuple(rows.packet.warnings or ()) == marks
    assert rows.encoded == rows_of(encode_frame(PLAIN_SEGMENT)).encoded


@pytest.mark.parametrize(
    ("cn", "table"),
    [
        ("2011", "readings_rtd"),
        ("2051", "readings_minute"),
        ("2061", "readings_hour"),
        ("2031", "readings_day"),
        ("2021", None),
        ("9015", None),
        ("3020", None),
    ],
)
def test_readings_go_where_their_grain_is(cn, table):
    """A CN without readings has none, whatever is in its data area."""
    rows = rows_of(frame(cn=cn))
    assert rows.table == table
    assert rows.reading_count == (1 if table else 0)


def test_held_packet_has_no_readings():
    """Its state says that it waits for its data logger to be registered."""
    rows = rows_of(frame(), logger_id=None, more_warnings=("unknown_mn",))
    assert (rows.packet.state, rows.packet.warnings) == ("unregistered", ["unknown_mn"])
    assert (rows.table, rows.reading_count, rows.encoded, rows.dirty) == (None, 0, b"", None)


def test_warnings_of_all_stages_stand_once():
    """Frame, packet, data area and admission each may add to them."""
    cp = "DataTime=20260301080000;w01018-Rtd=-,w01018-Flag=N;w21003-Rtd=-"
    raw = frame(mn="SHORT", cp=cp)[:-2]
    warnings = rows_of(raw, more_warnings=("wrong_password",)).packet.warnings
    assert len(warnings) == len(set(warnings))
    assert {"value_unreadable", "mn_unusual", "wrong_password"} < set(warnings)


@pytest.mark.parametrize(
    ("data_time", "is_odd"),
    [
        (AT - OLDEST_DATA, False),
        (AT - OLDEST_DATA - timedelta(seconds=2), True),
        (AT + NEWEST_DATA - timedelta(seconds=1), False),
        (AT + NEWEST_DATA + timedelta(seconds=1), True),
    ],
)
def test_data_time_far_from_arrival_is_odd(data_time, is_odd):
    """Its readings are kept apart, with the time as it was written."""
    data_time = data_time.replace(microsecond=0) + timedelta(seconds=1 if data_time.microsecond and not is_odd else 0)
    text = f"{data_time + timedelta(hours=8):%Y%m%d%H%M%S}"
    rows = rows_of(frame(cp=f"DataTime={text};w01018-Rtd=1"))
    assert (rows.table is None, bool(rows.odd_rows()), bool(rows.encoded)) == (is_odd, is_odd, not is_odd)
    assert ("data_time_odd" in (rows.packet.warnings or [])) == is_odd
    if is_odd:
        assert rows.odd_rows()[0][-1] == text


def test_dirty_day_is_local():
    """Shortly after midnight where the data loggers are is another day in UTC."""
    rows = rows_of(frame(cn="2061", cp="DataTime=20260301003000;w01018-Avg=1"))
    assert tuple(rows.dirty) == (7, "2061", date(2026, 3, 1))


@pytest.mark.parametrize(
    ("qn", "expected", "has_qn"),
    [
        ("20260301080000007", datetime(2026, 3, 1, 0, 0, 0, 7000, tzinfo=UTC), True),
        ("20400101000000000", datetime(2039, 12, 31, 16, tzinfo=UTC), True),
        ("", datetime(2026, 3, 1, tzinfo=UTC), False),
        ("19990101000000000", datetime(2026, 3, 1, tzinfo=UTC), False),
        ("20261399000000000", datetime(2026, 3, 1, tzinfo=UTC), False),
        ("123", datetime(2026, 3, 1, tzinfo=UTC), False),
    ],
)
def test_identity_lives_where_qn_says(qn, expected, has_qn):
    """Independent of arrival; without a readable QN in the arrival's five minutes."""
    header = f"QN={qn};" if qn else ""
    rows = rows_of(encode_frame(f"{header}ST=32;CN=2011;PW=123456;MN={MN};Flag=5;CP=&&{CP}&&".encode()))
    assert (rows.packet.qn_at, rows.has_qn) == (expected, has_qn)
    again = rows_of(rows.packet.raw, at=AT + timedelta(minutes=4))
    assert again.packet.qn_at == expected


@given(readable_areas() | data_areas)
@example(b"DataTime=20260301080000")
def test_encoded_readings_are_those_of_the_plain_way(cp):
    """However the rows were made, they are the bytes that a general reader and encoder give, or none."""
    segment = f"QN=20260301080000007;ST=32;CN=2061;PW=123456;MN={MN};Flag=5;CP=&&".encode() + cp + b"&&"
    rows = rows_of(encode_frame(segment))
    plain = read_rows(parse_data_area(cp))
    assert plain.rows == parse_readings(cp).rows
    assert rows.reading_count == len(plain.rows)
    if rows.encoded:
        assert rows.encoded == encode_copy_rows(rows.head, plain.rows)
    elif plain.rows:
        assert len(rows.odd_rows()) == len(plain.rows)
    assert len(rows.reading_rows()) == (len(plain.rows) if rows.table else 0)


def test_frame_that_cannot_be_read_again_is_an_error():
    """It was kept by a version that accepted what this one does not."""
    with pytest.raises(PacketError):
        read_arrival(encode_frame(b"ST=32;CP=&&&&"), AT, "p")


def test_infos_and_readings_never_meet_in_a_packet():
    """A packet brings the rows of its CN: readings with their day, or infos with theirs where they count."""
    readings = rows_of(frame())
    assert (readings.info_table, readings.infos, readings.part) == ("", (), None)
    states = rows_of(frame(cn="2021", cp="DataTime=20260301080000;SB1-RS=1"))
    assert (states.table, states.info_table, len(states.infos), states.data_time) == (None, "states", 1, None)
    assert states.dirty == (7, "2021", date(2026, 3, 1))
    serial = rows_of(frame(cn="3019", cp="PolId=w01018;w01018-SN=A"))
    assert (serial.info_table, serial.infos[0].data_time, serial.infos[0].value) == ("infos", AT, "A")
    assert serial.dirty is None


@pytest.mark.parametrize(
    ("value", "number"),
    [("1.5", 1.5), ("-.5", -0.5), ("", None), ("1e5", None), ("9" * 400, None), ("St", None), ("１", None)],
)
def test_number_of_an_info_is_a_plain_decimal(value, number):
    """Anything else stays text alone."""
    (row,) = rows_of(frame(cn="2021", cp=f"SB1-RS={value}")).infos
    assert (row.value, row.number) == (value, number)


def test_held_packet_has_no_infos_and_no_part():
    """They come when it is released."""
    rows = rows_of(frame(cn="2021", cp="SB1-RS=1"), logger_id=None)
    assert (rows.infos, rows.dirty, rows.part) == ((), None, None)


def test_part_stands_under_its_data_time_or_the_hour_of_its_arrival():
    """Whichever a later part of the same upload will say as well."""
    segment = "QN=20260301080000001;ST=32;CN=2061;PW=123456;MN={};Flag=7;PNUM=2;PNO=1;CP=&&{}w01018-Avg=1&&"
    for text, moment in (
        ("DataTime=20260301080000;", datetime(2026, 3, 1, tzinfo=UTC)),
        ("DataTime=20400301080000;", datetime(2026, 3, 1, tzinfo=UTC)),
        ("DataTime=x;", AT.replace(minute=0, second=0, microsecond=0)),
        ("", AT.replace(minute=0, second=0, microsecond=0)),
    ):
        raw = encode_frame(segment.format(MN, text).encode())
        part = rows_of(raw).part
        assert (part.mn, part.pnum, part.pno, part.data_time, part.received_at) == (MN, 2, 1, moment, AT)
        assert f"DataTime={part.data_time_text};" == text or not text
        assert rows_of(raw, logger_id=None).part is None


@given(data_areas)
def test_rows_of_infos_are_made_of_anything(cp):
    """Whatever stands in the data area of such a packet, its rows have moments near its arrival."""
    packet = parse_packet(b"ST=32;CN=3020;PW=123456;MN=X;CP=&&%b&&" % cp)
    fields, _ = make_infos(packet, AT, 7)
    for row in fields.get("infos", ()):
        assert is_plausible(row.data_time, AT)
        assert row.received_at == AT


@pytest.mark.parametrize(
    ("cn", "cp", "numbers"),
    [
        ("2011", "DataTime=20260301080000;{}-Rtd=1", ""),
        ("2011", "DataTime={};w01018-Rtd=1", "PNUM=2;PNO=1;"),
        ("2021", "DataTime=20260301080000;{}-RS=1", ""),
        ("3020", "DataTime=20260301080000;{}=1", ""),
    ],
)
def test_a_key_too_long_for_an_index_is_kept_apart(cn, cp, numbers):
    """The database would refuse it with all of its batch; its bytes are kept, and a log may be as long as it likes."""
    flag = 7 if numbers else 5
    for length, state in ((200, "stored"), (201, "quarantined"), (3000, "quarantined")):
        area = cp.format("x" * length)
        segment = f"QN=20260301080000000;ST=32;CN={cn};PW=123456;MN=M1;Flag={flag};{numbers}CP=&&{area}&&"
        rows = make_rows(
            read_arrival(encode_frame(segment.encode()), datetime(2026, 3, 1, tzinfo=UTC), "h:1"), logger_id=1
        )
        assert rows.packet.state == state
        assert ("text_too_long" in (rows.packet.warnings or ())) == (state == "quarantined")
        assert (rows.infos, rows.encoded, rows.part) == ((), b"", None) or state == "stored"
    log = f"DataTime=20260301080000;i11001-Info=//{'x' * 3000}//"
    segment = f"QN=20260301080000000;ST=32;CN=3020;PW=123456;MN=M1;Flag=5;CP=&&{log}&&"
    rows = make_rows(read_arrival(encode_frame(segment.encode()), datetime(2026, 3, 1, tzinfo=UTC), "h:1"), logger_id=1)
    assert rows.packet.state == "stored"
