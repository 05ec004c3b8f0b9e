"""Tests of what single data loggers are allowed (spec section 17)."""

import contextlib
import itertools
import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tests import strategies as own

from hj212gw.errors import ConfigError, FrameError
from hj212gw.protocol import (
    CrcKind,
    Dialect,
    Discard,
    Frame,
    FrameBuffer,
    Key,
    crc16,
    encode_frame,
    encode_frame_as,
    find_dialect,
    make_dialect,
    open_frame,
    parse_packet,
)
from hj212gw.protocol.cipher import decrypt_area
from hj212gw.protocol.dialects import CIPHER_PRINTED, SLUGS, DialectOf, Opened, find_mn

SMALL = 64
MN = own.MN
KEY = Key("2026", b"0123456789abcdef")
CP = "DataTime=20260301080000;w01018-Rtd=1.1,w01018-Flag=N"
CHINESE = "DataTime=20260301080000;i11001-Info=//清洗管路//"


def make_segment(cp: str = CP, number: int = 1, encoding: str = "utf-8") -> bytes:
    """Make a data segment."""
    header = f"QN=20260301080000{number:03d};ST=32;CN=2011;PW=123456;MN={MN};Flag=5"
    return f"{header};CP=&&{cp}&&".encode(encoding)


def run(chunks: list[bytes], dialect_of: DialectOf = own.dialect_of, max_segment: int = 4096) -> list[Frame | Discard]:
    """Feed chunks to a new buffer, close it, and return all events."""
    buffer = FrameBuffer(dialect_of, max_segment=max_segment)
    return [event for chunk in chunks for event in buffer.feed(chunk)] + buffer.close()


def find_short(cp: str) -> bytes:
    """Make a data segment whose CRC begins with a zero."""
    segments = (make_segment(cp, number) for number in range(1000))
    return next(made for made in segments if crc16(made) < 0x1000)


def bytewise(stream: bytes) -> list[bytes]:
    """Cut a stream into bytes."""
    return [stream[i : i + 1] for i in range(len(stream))]


@pytest.mark.parametrize("slug", SLUGS)
def test_a_dialect_is_read_only_where_it_is_allowed(slug: str) -> None:
    """Off by default; the warning is the setting's name; the same bytes give it again."""
    dialect = make_dialect([slug])
    # A CRC that begins with a zero, and characters of more than a byte.
    segment = find_short(CHINESE)
    raw = encode_frame_as(segment, dialect)
    assert raw != encode_frame(segment)
    assert not any(isinstance(event, Frame) for event in run([raw], lambda _: None))
    (frame,) = run([raw], lambda mn: dialect if mn == MN else None)
    assert isinstance(frame, Frame)
    assert (frame.segment, frame.raw, frame.warnings, frame.key_id) == (segment, raw, (slug,), "")
    sent = {"closing_missing": segment[:-2], "single_ampersand": segment.replace(b"&&", b"&")}.get(slug, b"")
    assert frame.sent == sent
    assert find_dialect(raw) == (MN, (slug,))
    assert open_frame(raw, dialect) == (segment, sent, (slug,), "")


def test_the_standard_needs_no_dialect() -> None:
    """Nobody is asked about a good frame of ASCII text."""
    asked: list[str] = []
    buffer = FrameBuffer(asked.append)
    frame = encode_frame(make_segment())
    assert buffer.feed(frame) == [Frame(make_segment(), frame, 0)]
    assert asked == []
    assert find_dialect(frame) is None


@given(own.spoken_frames())
def test_a_frame_in_a_dialect_says_what_was_written(spoken: tuple[bytes, bytes, Dialect]) -> None:
    """All combinations of what is allowed; and it opens to the same again by what was used alone."""
    raw, segment, used = spoken
    (frame,) = run([raw])
    assert isinstance(frame, Frame)
    assert frame.segment == segment
    assert frame.raw == raw
    parse_packet(frame.segment)
    marks = [slug for slug in frame.warnings if slug in SLUGS]
    keys = [key for key in own.KEYS if key.key_id == frame.key_id]
    assert bool(keys) == bool(used.keys and len(re.split(b"CP=&&", segment)[1]) >= 16 + 2)
    opened = open_frame(raw, make_dialect(marks, keys))
    assert opened == (frame.segment, frame.sent, frame.warnings, frame.key_id)


@given(own.spoken_frames())
def test_a_rejected_frame_is_given_its_dialect(spoken: tuple[bytes, bytes, Dialect]) -> None:
    """The proposal makes it a frame, and no smaller one does."""
    raw, _, used = spoken
    assume(not used.keys)
    found = find_dialect(raw)
    if all(isinstance(event, Frame) for event in run([raw], lambda _: None)):
        return
    assert found is not None
    mn, slugs = found
    assert own.dialect_of(mn) is not None
    (frame,) = run([raw], lambda _: make_dialect(slugs))
    assert isinstance(frame, Frame)
    assert set(slugs) <= set(frame.warnings)
    for fewer in itertools.combinations(slugs, len(slugs) - 1):
        assert not any(isinstance(event, Frame) for event in run([raw], lambda _, fewer=fewer: make_dialect(fewer)))


@given(own.noise, own.noise, own.spoken_frames())
def test_a_dialect_is_found_in_a_span_with_more_around_it(
    before: bytes, after: bytes, spoken: tuple[bytes, bytes, Dialect]
) -> None:
    """A rejected span may hold noise too; and it never breaks the search."""
    find_dialect(before + spoken[0] + after)
    raw = encode_frame_as(make_segment(), make_dialect(["crc_modbus"]))
    assert find_dialect(b"\0\1" + raw[:-2]) == (MN, ("crc_modbus",))
    assert find_dialect(raw + after) == (MN, ("crc_modbus",))


@given(st.data(), own.spoken_streams)
def test_events_are_the_same_for_any_chunking(data: st.DataObject, stream: bytes) -> None:
    """Also where frames must be waited for longer than their length says."""
    for max_segment in (4096, SMALL):
        whole = run([stream], max_segment=max_segment)
        assert run(bytewise(stream), max_segment=max_segment) == whole
        assert run(data.draw(own.chunkings(stream)), max_segment=max_segment) == whole
        assert b"".join(event.raw for event in whole) == stream
        assert [event.offset for event in whole] == [
            sum(len(event.raw) for event in whole[:index]) for index in range(len(whole))
        ]


@given(own.spoken_streams, st.integers(1, 50))
def test_memory_is_bounded(stream: bytes, size: int) -> None:
    """A printed cipher takes five times the length that is declared."""
    declared = [int(digits) for digits in re.findall(rb"##([0-9]{4})[A-Za-z]{2}", stream)]
    buffer = FrameBuffer(own.dialect_of, max_segment=SMALL)
    for start in range(0, len(stream), size):
        buffer.feed(stream[start : start + size])
        assert buffer.pending_bytes <= max([5 * SMALL, *declared]) + 12 + 8


EVERYTHING = make_dialect(SLUGS, own.KEYS)


@given(own.noise, own.spoken_frames(), st.integers(0, 300), own.noise, own.frames)
@example(
    b"", (encode_frame_as(make_segment(CHINESE), Dialect()), b"", Dialect()), 70, b"", encode_frame(make_segment())
)
def test_a_good_frame_is_found_after_any_noise(
    first: bytes, spoken: tuple[bytes, bytes, Dialect], cut: int, second: bytes, frame: bytes
) -> None:
    """Where everything is allowed, what is left of a frame does not swallow the one behind it."""
    stream = first + spoken[0][:cut] + second
    assume(frame not in stream)
    found = [event for event in run([stream + frame], lambda _: EVERYTHING) if isinstance(event, Frame)]
    assert found
    assert found[-1].raw == frame


@given(st.lists(own.spoken_frames(), min_size=1, max_size=5))
def test_frames_of_many_dialects_follow_each_other(spoken: list[tuple[bytes, bytes, Dialect]]) -> None:
    """As when a collector passes on what several data loggers send."""
    events = run([b"".join(raw for raw, _, _ in spoken)])
    assert [event.raw for event in events] == [raw for raw, _, _ in spoken]
    assert [event.segment for event in events if isinstance(event, Frame)] == [segment for _, segment, _ in spoken]


@given(own.spoken_streams | st.binary(max_size=300), own.spoken_frames())
def test_nothing_but_protocol_errors_escapes(stream: bytes, spoken: tuple[bytes, bytes, Dialect]) -> None:
    """Neither from bytes of any kind nor from a frame opened by another dialect."""
    run([stream], lambda _: EVERYTHING)
    find_dialect(stream)
    for dialect in (EVERYTHING, Dialect(), make_dialect(["closing_missing"])):
        with contextlib.suppress(FrameError):
            open_frame(spoken[0], dialect)


UNITS = [
    lambda i: b"##%04dQN=1;MN=1;CP=&&" % (4000 - i % 4000),
    lambda _: b"##4096MN=1;CP=&&{0x00,",
    lambda _: b"##0900MN=1;CP=&" + "清".encode() * 20,
    lambda _: b"##0020MN=1;CP=&&\xff\xffAAAA&&1C80\r\n",
]


@pytest.mark.parametrize("unit", UNITS)
def test_work_is_linear_for_streams_made_to_be_slow(unit) -> None:
    """A header's dialect is asked for a few times, however it comes."""
    asked = 0

    def dialect_of(_mn: str) -> Dialect:
        nonlocal asked
        asked += 1
        return EVERYTHING

    buffer, count = FrameBuffer(dialect_of), 1000
    for i in range(count):
        buffer.feed(unit(i))
        assert buffer.pending_bytes <= 5 * 4096 + 12 + 8
    buffer.close()
    assert asked <= 9 * count


def test_a_short_crc_is_not_waited_for() -> None:
    """The data logger may wait for its answer: the frame comes out with its CR LF, not with the next frame."""
    dialect = make_dialect(["crc_modbus", "crc_short"])
    lengths = set()
    for number in range(1000):
        raw = encode_frame_as(make_segment(number=number), dialect)
        lengths.add(len(raw) - len(make_segment()) - 8)
        for pieces in ([raw], bytewise(raw)):
            buffer = FrameBuffer(lambda _: dialect)
            (frame,) = [event for piece in pieces for event in buffer.feed(piece)]
            assert frame.raw == raw
    assert lengths >= {2, 3, 4}


def test_a_short_crc_needs_its_cr_lf() -> None:
    """Digits that may go on are no CRC; and four digits need nothing behind them."""
    allowed = make_dialect(["crc_short"])
    raw = encode_frame_as(find_short(CHINESE), allowed)

    def dialect_of(_mn: str) -> Dialect:
        return allowed

    assert [type(event) for event in run([raw[:-2] + raw], dialect_of)] == [Discard, Frame]
    assert [event.warnings for event in run([raw[:-2] + b"\n"], dialect_of)] == [("lf_only", "crc_short")]
    buffer = FrameBuffer(dialect_of)
    assert buffer.feed(raw[:-2]) == []
    assert not buffer.awaits_trailer
    assert [event.warnings for event in buffer.close()] == [("no_crlf", "crc_short")]


def test_a_longer_frame_without_its_trailer_can_be_released() -> None:
    """One whose length counts characters is complete when all of them are there."""
    dialect = make_dialect(["length_characters"])
    raw = encode_frame_as(make_segment(CHINESE), dialect)
    buffer = FrameBuffer(lambda _: dialect)
    for byte in bytewise(raw[:-3]):
        assert buffer.feed(byte) == []
        assert not buffer.awaits_trailer
    assert buffer.feed(raw[-3:-2]) == []
    assert buffer.awaits_trailer
    (frame,) = buffer.release()
    assert frame.warnings == ("no_crlf", "length_characters")
    assert buffer.feed(b"\r\n") == []


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_characters_are_counted_in_both_encodings(encoding: str) -> None:
    """Log text is UTF-8 by the standard and GBK in the field; the limit counts bytes."""
    dialect = make_dialect(["length_characters"])
    segment = make_segment(CHINESE, encoding=encoding)
    raw = encode_frame_as(segment, dialect)
    (frame,) = run([raw], lambda _: dialect)
    assert isinstance(frame, Frame)
    assert frame.segment == segment
    rejected, *_ = run([raw], lambda _: dialect, len(segment) - 1)
    assert isinstance(rejected, Discard)


def test_characters_that_are_neither_are_counted_as_bytes() -> None:
    """Then there is nothing to tolerate."""
    segment = make_segment().replace(b"1.1", b"\xff\xff")
    dialect = make_dialect(["length_characters"])
    assert encode_frame_as(segment, dialect) == encode_frame(segment)
    (event,) = run([b"##%04d" % (len(segment) - 2) + encode_frame(segment)[6:]], lambda _: dialect)
    assert isinstance(event, Discard)


@pytest.mark.parametrize("printed", [False, True])
def test_each_key_in_force_is_tried(printed: bool) -> None:
    """The key's name comes with the frame; a key that is not in force does not fit."""
    keys = (Key("third", b"3" * 16), Key("second", b"2" * 16))
    for key in keys:
        raw = encode_frame_as(make_segment(), Dialect(keys=(key,)), is_printed=printed)
        (frame,) = run(bytewise(raw), lambda _: Dialect(keys=keys))
        assert isinstance(frame, Frame)
        assert (frame.segment, frame.key_id) == (make_segment(), key.key_id)
        assert frame.sent == raw[6:-6]
        assert frame.warnings == ((CIPHER_PRINTED,) if printed else ())
        assert not any(isinstance(event, Frame) for event in run([raw], lambda _: Dialect(keys=(KEY,))))


def test_cipher_text_whose_own_crc_is_right_by_chance_is_decrypted() -> None:
    """Once in 256 the standard alone would take cipher text for the data area."""
    dialect = Dialect(keys=(KEY,))
    raws = (encode_frame_as(make_segment(f"w00000-Rtd={number:05d};{CP}"), dialect) for number in range(5000))
    raw = next(raw for raw in raws if encode_frame(raw[6:-6]) == raw)
    (frame,) = run([raw], lambda _: dialect)
    assert isinstance(frame, Frame)
    assert (frame.key_id, frame.sent) == ("2026", raw[6:-6])
    (plain,) = run([raw], lambda _: None)
    assert isinstance(plain, Frame)
    assert plain.segment == raw[6:-6]


def test_cipher_text_may_hold_every_mark_of_a_frame() -> None:
    """A frame is cut by its length: neither &&, CRC and CR LF nor ## end one."""
    block = b"&&1C80\r\n##\0\xff&&\r\n"
    assert len(block) == 16
    segment = make_segment("DataTime=2026030").replace(
        b"030&&", b"030" + decrypt_area(block * 3, KEY.secret) + b"rest&&"
    )
    raw = encode_frame_as(segment, Dialect(keys=(KEY,)))
    assert block * 3 in raw
    stream = raw + encode_frame(make_segment()) + raw[:-2] + raw
    for pieces in ([stream], bytewise(stream)):
        events = run(pieces, lambda _: Dialect(keys=(KEY,)))
        assert [event.segment for event in events] == [segment, make_segment(), segment, segment]


def test_a_printed_cipher_is_no_text_although_its_crc_is_right_by_chance() -> None:
    """No key fits, so there is nothing to read."""
    dialect = Dialect(keys=(Key("other", b"1" * 16),))
    for number in range(2000):
        raw = encode_frame_as(make_segment(f"{CP};w00000-Rtd={number}"), Dialect(keys=(KEY,)), is_printed=True)
        raw = raw[:-6] + encode_frame(raw[6:-6])[-6:]
        assert not any(isinstance(event, Frame) for event in run([raw], lambda _: dialect))
        if number > 3:
            break


def test_a_printed_cipher_whose_length_counts_what_is_sent_is_read() -> None:
    """A tolerance beyond the standard's own example, whose length is that of the plain text."""
    dialect = Dialect(keys=(KEY,))
    raw = encode_frame_as(make_segment(), dialect, is_printed=True)
    raw = b"##%04d" % (len(raw) - 12) + raw[6:]
    (frame,) = run([raw], lambda _: dialect)
    assert isinstance(frame, Frame)
    assert (frame.key_id, frame.warnings) == ("2026", (CIPHER_PRINTED,))


def test_a_data_logger_with_a_key_may_send_plain() -> None:
    """Short areas, answers and Chinese text that starts at once."""
    for cp in ("", "QnRtn=1", CP, "清洗管路清洗管路"):
        raw = encode_frame(make_segment(cp))
        assert run([raw], lambda _: Dialect(keys=(KEY,))) == [Frame(make_segment(cp), raw, 0)]


def test_an_empty_area_that_lacks_a_mark_is_completed() -> None:
    """``CP=&&`` ends in && and has the right CRC, and yet no packet can be read from it."""
    raw = encode_frame(make_segment("")[:-2])
    for slug in ("closing_missing", "single_ampersand"):
        (frame,) = run([raw], lambda _, slug=slug: make_dialect([slug]))
        assert isinstance(frame, Frame)
        assert (frame.segment, frame.warnings) == (make_segment(""), (slug,))
    (frame,) = run([raw], lambda _: None)
    assert isinstance(frame, Frame)
    assert frame.segment == raw[6:-6]


@pytest.mark.parametrize("marks", [(b"&", b"&&"), (b"&&", b"&"), (b"&", b"&")])
def test_one_mark_or_both_may_be_single(marks: tuple[bytes, bytes]) -> None:
    """The first of them has a closing && and the right CRC, and yet no packet can be read from it."""
    segment = make_segment()
    sent = segment.replace(b"CP=&&", b"CP=" + marks[0])[:-2] + marks[1]
    raw = encode_frame(sent)
    (frame,) = run(bytewise(raw), lambda _: make_dialect(["single_ampersand"]))
    assert isinstance(frame, Frame)
    assert (frame.segment, frame.sent, frame.warnings) == (segment, sent, ("single_ampersand",))
    assert find_dialect(raw) == (MN, ("single_ampersand",))
    if marks[1] == b"&&":
        assert run([raw], lambda _: None) == [Frame(sent, raw, 0)]


def test_another_frame_inside_is_not_swallowed() -> None:
    """A header inside is taken for the frame that would be lost."""
    inside = encode_frame(make_segment())
    segment = make_segment("")[:-2] + inside[:-2]
    raw = encode_frame_as(segment + b"&&", make_dialect(["crc_modbus", "closing_missing"]))
    events = run([raw], lambda _: EVERYTHING)
    assert [event.raw for event in events if isinstance(event, Frame)] == [inside[:-2]]


@pytest.mark.parametrize(
    ("segment", "mn"),
    [
        (b"QN=1;MN=A1;CP=&&", "A1"),
        (b"MN=A1", "A1"),
        (b"ST=32; MN= A1 ,CP=&&MN=B2", "A1"),
        (b"ST=32;mn=A1;Flag=4", "A1"),
        (b"ST=32;MN=;CP=&&", ""),
        (b"ST=32;CP=&&;MN=B2", None),
        (b"ST=32;XMN=B2", None),
        (b"", None),
    ],
)
def test_mn_is_found_in_what_is_left_of_a_header(segment: bytes, mn: str | None) -> None:
    """In the header, never in the data area."""
    assert find_mn(segment) == mn


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"##0020QN=1;CP=&&",
        b"##0008MN=;CP=&&&&0000\r\n",
        encode_frame_as(make_segment().replace(b"ST=32;", b""), make_dialect(["crc_modbus"])),
        encode_frame(make_segment())[:-6] + b"12AB\r\n",
        encode_frame(make_segment())[:-6] + b"zzzz\r\n",
        encode_frame_as(make_segment(), Dialect(keys=(KEY,))),
    ],
)
def test_no_dialect_is_found_where_none_helps(raw: bytes) -> None:
    """Without MN, without the fields of a packet, with a CRC of no kind, or encrypted."""
    assert find_dialect(raw) is None


def test_a_segment_of_another_shape_cannot_be_written() -> None:
    """Or a length of five digits."""
    with pytest.raises(FrameError, match="CP=&&") as caught:
        encode_frame_as(b"QN=1;CP=&&", Dialect())
    assert caught.value.reason == "trailer"
    with pytest.raises(FrameError, match="at most 9999"):
        encode_frame_as(make_segment("x" * 10_000), Dialect())
    with pytest.raises(FrameError, match="CP=&&"):
        encode_frame_as(b"&&", Dialect())


def test_a_dialect_is_made_of_its_slugs() -> None:
    """Unknown ones are refused with those that are known; of two CRCs the last counts."""
    assert make_dialect([]) == Dialect()
    assert make_dialect(SLUGS, [KEY]) == Dialect(CrcKind.SWAPPED, True, True, True, True, (KEY,))
    assert make_dialect(["crc_modbus_swapped", "crc_modbus"]).crc is CrcKind.MODBUS
    with pytest.raises(ConfigError, match=r"crc_short.*got 'modbus'"):
        make_dialect(["modbus"])


def test_a_key_is_never_shown() -> None:
    """Not by itself and not inside a dialect."""
    for text in (repr(KEY), str(KEY), f"{KEY}", repr(Dialect(keys=(KEY,)))):
        assert "2026" in text
        assert "0123456789abcdef" not in text


@pytest.mark.parametrize(("trailer", "warnings"), [(b"\r\n", ()), (b"\n", ("lf_only",)), (b"", ("no_crlf",))])
def test_a_frame_of_the_standard_is_opened_again_with_its_warnings(trailer: bytes, warnings: tuple[str, ...]) -> None:
    """What was said of its trailer when it came is said when it is replayed."""
    raw = encode_frame_as(make_segment(), Dialect()).removesuffix(b"\r\n") + trailer
    assert open_frame(raw) == Opened(make_segment(), b"", warnings)


def test_a_frame_opened_by_another_dialect_is_refused() -> None:
    """The registry's past is part of the archive."""
    raw = encode_frame_as(make_segment(), Dialect(keys=(KEY,)))
    with pytest.raises(FrameError, match="another") as caught:
        open_frame(raw, make_dialect(["crc_modbus"]))
    assert caught.value.reason == "crc"
