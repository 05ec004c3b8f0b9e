"""What a faulty data logger does to an upload: functions from a right draft to a wrong one.

Each is a `Damage`: it takes a draft and chance, and returns the draft as it is sent. A draft that a damage has no
place in (minute data where the upload is real-time) comes back as it was.
"""

import random
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import NamedTuple

from hj212gw.protocol import crc_text, encode_frame
from hj212gw.protocol.crc import modbus_crc16
from hj212gw.protocol.factors import factors
from hj212gw.protocol.shape import MAX_STANDARD_SEGMENT
from hj212gw.protocol.times import format_data_time, format_qn, parse_data_time, parse_qn

_MARK = b"##"
_TRAILER = b"\r\n"
_MAX_WHOLE_LENGTH = 1000  # from here on a length has its four digits without zeros in front
_QN = re.compile(rb"(?<![A-Za-z])QN=([0-9]{17});")
_DATA_TIME = re.compile(rb"DataTime=([0-9]{14})")
_LAST_NUMBER = re.compile(rb"(?s).*=-?[0-9]+(\.[0-9]+)?(?=[,;&])")
_CODE_LENGTH = 6  # of a factor of 2017
_TRIES = 100_000
_LOG = "数采仪运行正常，通讯已恢复"


class Draft(NamedTuple):
    """An upload on its way to the line.

    Attributes:
        segment: the data segment.
        length: as written behind ##; empty for the right one.
        crc: as written; empty for the right one.
        trailer: what ends the frame.
        before: what else goes out in front of it.
        copies: how often it is sent in one piece.
        pieces: in how many pieces, with a pause between them.
        asks: whether an answer is waited for.
        hangs_up: whether the connection is closed right after it.
        echo: a frame sent back when the answer has come.
    """

    segment: bytes
    length: bytes = b""
    crc: bytes = b""
    trailer: bytes = _TRAILER
    before: bytes = b""
    copies: int = 1
    pieces: int = 1
    asks: bool = True
    hangs_up: bool = False
    echo: bytes = b""

    def encode(self) -> bytes:
        """Write what goes on the line."""
        length = self.length or b"%04d" % len(self.segment)
        frame = _MARK + length + self.segment + (self.crc or crc_text(self.segment)) + self.trailer
        return self.before + frame * self.copies


Damage = Callable[[Draft, random.Random], Draft]


def replace(pattern: bytes, replacement: bytes, *, count: int = 1) -> Damage:
    """Make a damage that rewrites the data segment where a pattern is found, everywhere with `count` 0."""
    search = re.compile(pattern)

    def damage(draft: Draft, _rng: random.Random) -> Draft:
        return draft._replace(segment=search.sub(replacement, draft.segment, count=count))

    return damage


def append(text: bytes) -> Damage:
    """Make a damage that puts groups at the end of the data area."""
    return lambda draft, _rng: draft._replace(segment=draft.segment[:-2] + b";" + text + b"&&")


def put_before(*texts: bytes) -> Damage:
    """Make a damage that sends one of these in front of the frame."""
    return lambda draft, rng: draft._replace(before=rng.choice(texts))


def both(one: Damage, other: Damage) -> Damage:
    """Make a damage of two."""
    return lambda draft, rng: other(one(draft, rng), rng)


def set_trailer(trailer: bytes) -> Damage:
    """Make a damage that ends the frame otherwise."""
    return lambda draft, _rng: draft._replace(trailer=trailer)


def do_nothing(draft: Draft, _rng: random.Random) -> Draft:
    """Leave the bytes alone: the fault is in who sends them."""
    return draft


def write_modbus_crc(draft: Draft, _rng: random.Random) -> Draft:
    """Compute the CRC as Modbus does."""
    return draft._replace(crc=b"%04X" % modbus_crc16(draft.segment))


def write_swapped_crc(draft: Draft, _rng: random.Random) -> Draft:
    """Compute the CRC as Modbus does, low byte first."""
    crc = b"%04X" % modbus_crc16(draft.segment)
    return draft._replace(crc=crc[2:] + crc[:2])


def write_fixed_crc(crc: bytes) -> Damage:
    """Make a damage that writes one CRC on everything; where it happens to be right, another."""
    return lambda draft, _rng: draft._replace(crc=b"23AD" if crc_text(draft.segment) == crc else crc)


def keep_old_crc(draft: Draft, rng: random.Random) -> Draft:
    """Edit the time and leave the CRC of before."""
    crc = crc_text(_DATA_TIME.sub(b"DataTime=20160801085857", draft.segment))
    return write_fixed_crc(crc)(draft, rng)


def lower_crc(draft: Draft, _rng: random.Random) -> Draft:
    """Write the CRC in lower case."""
    return draft._replace(crc=crc_text(draft.segment).lower())


def shorten_crc(draft: Draft, _rng: random.Random) -> Draft:
    """Write the CRC without its zero in front, with a value that gives it one."""
    segment = next((one for one in _variants(draft.segment) if b"01" <= crc_text(one) < b"1"), draft.segment)
    return draft._replace(segment=segment, crc=crc_text(segment)[1:])


def reach_zero_crc(draft: Draft, _rng: random.Random) -> Draft:
    """Send a value that makes the right CRC 0000."""
    segment = next((one for one in _variants(draft.segment) if crc_text(one) == b"0000"), draft.segment)
    return draft._replace(segment=segment)


def miscount(by: int) -> Damage:
    """Make a damage that counts the data segment wrong by so many bytes."""
    return lambda draft, _rng: draft._replace(length=b"%04d" % (len(draft.segment) + by))


def write_fixed_length(length: bytes) -> Damage:
    """Make a damage that writes one length on everything."""
    return lambda draft, _rng: draft._replace(length=length)


def count_characters(draft: Draft, _rng: random.Random) -> Draft:
    """Add a log in Chinese and count characters, not bytes."""
    segment = draft.segment[:-2] + f";i21001-Info=//{_LOG}//&&".encode()
    return draft._replace(segment=segment, length=b"%04d" % len(segment.decode()))


def write_bare_length(draft: Draft, _rng: random.Random) -> Draft:
    """Write the length without zeros in front; one of four digits gets a zero too many."""
    size = len(draft.segment)
    return draft._replace(length=b"%d" % size if size < _MAX_WHOLE_LENGTH else b"%05d" % size)


def lengthen(draft: Draft, rng: random.Random) -> Draft:
    """Send more factors than a data segment may hold."""
    segment = draft.segment[:-2]
    for code in _find_more_factors(segment):
        if len(segment) > MAX_STANDARD_SEGMENT:
            break
        segment += f";{code}-Rtd={rng.uniform(0.1, 9.9):.3f},{code}-Flag=N".encode()
    return draft._replace(segment=segment + b"&&")


def send_in_pieces(draft: Draft, rng: random.Random) -> Draft:
    """Hand the frame to the network in two to five pieces."""
    return draft._replace(pieces=rng.randint(2, 5))


def send_twice(draft: Draft, _rng: random.Random) -> Draft:
    """Send the frame twice in one segment."""
    return draft._replace(copies=2)


def drop_closing(draft: Draft, _rng: random.Random) -> Draft:
    """Leave out the closing &&, in the length and the CRC too."""
    return draft._replace(segment=draft.segment[:-2])


def drop_flag(draft: Draft, _rng: random.Random) -> Draft:
    """Leave out Flag, and with it the wish for an answer."""
    return draft._replace(segment=draft.segment.replace(b";Flag=5", b""), asks=False)


def number_without_flag(draft: Draft, _rng: random.Random) -> Draft:
    """Put PNO before PNUM, zero padded, in the place of Flag."""
    return draft._replace(segment=draft.segment.replace(b";Flag=5", b";PNO=0001;PNUM=0001"), asks=False)


def rewrite_qn(write: Callable[[bytes], bytes]) -> Damage:
    """Make a damage that writes a QN of 17 digits otherwise."""
    return lambda draft, _rng: draft._replace(
        segment=_QN.sub(lambda found: b"QN=%b;" % write(found[1]), draft.segment, count=1)
    )


def swap_st(draft: Draft, _rng: random.Random) -> Draft:
    """Send gas as water, water as gas."""
    return draft._replace(segment=re.sub(rb"ST=3([12]);", lambda st: b"ST=3%d;" % (3 - int(st[1])), draft.segment))


def qn_of_two_minutes(qn: bytes) -> bytes:
    """Write the QN of a clock that ticks every other minute."""
    return qn[:10] + b"%02d" % (int(qn[10:12]) // 2 * 2) + b"00000"


def qn_as_unix_ms(qn: bytes) -> bytes:
    """Write a QN as milliseconds since 1970."""
    moment = parse_qn(qn.decode())
    assert moment is not None
    return b"%d" % round(moment.timestamp() * 1000)


def shift_clock(secs: int) -> Damage:
    """Make a damage of a clock that is so many seconds ahead."""
    ahead = timedelta(seconds=secs)

    def damage(draft: Draft, _rng: random.Random) -> Draft:
        segment = _QN.sub(lambda found: b"QN=%b;" % _shift_qn(found[1], ahead), draft.segment, count=1)
        return draft._replace(segment=_shift_data_time(segment, ahead))

    return damage


def send_old_data(secs: int) -> Damage:
    """Make a damage that sends what is so many seconds old as real-time data."""
    ago = timedelta(seconds=-secs)
    return lambda draft, _rng: draft._replace(
        segment=_shift_data_time(draft.segment, ago) if b";CN=2011;" in draft.segment else draft.segment
    )


def label_with_sending(draft: Draft, _rng: random.Random) -> Draft:
    """Give minute data the moment of its sending, and one value for least, mean and greatest."""
    qn = _QN.search(draft.segment)
    if b";CN=2051;" not in draft.segment or qn is None:
        return draft
    segment = _DATA_TIME.sub(b"DataTime=" + qn[1][:14], draft.segment)
    return draft._replace(
        segment=re.sub(rb"(\w+)-Min=[^,;]*,\1-Avg=([^,;]*),\1-Max=[^,;&]*", rb"\1-Min=\2,\1-Avg=\2,\1-Max=\2", segment)
    )


def convert_wrongly(draft: Draft, rng: random.Random) -> Draft:
    """Send converted values far from their own, or such of a quantity that has none."""
    segment, count = re.subn(rb"(-Zs(?:Rtd|Avg)=)[^,;]*", rb"\g<1>9876.5", draft.segment)
    if count:
        return draft._replace(segment=segment)
    return replace(rb"(\w+)-(Rtd|Avg)=([^,;]*)", rb"\1-\2=\3,\1-Zs\2=9876.5")(draft, rng)


def hang_up(draft: Draft, _rng: random.Random) -> Draft:
    """Close the connection right after sending."""
    return draft._replace(asks=False, hangs_up=True)


def answer_answers(draft: Draft, _rng: random.Random) -> Draft:
    """Answer the answer, with the ST of an upload and a Flag that asks for another one."""
    header = draft.segment.partition(b"CP=&&")[0]
    echo = encode_frame(re.sub(rb";CN=[0-9]{4};", b";CN=9014;", header) + b"CP=&&&&")
    return draft._replace(echo=echo)


def _find_more_factors(segment: bytes) -> list[str]:
    """Find codes of the catalogue that an upload does not have, of the kind of its last factor."""
    letter = segment.rpartition(b"-Flag")[0][-_CODE_LENGTH:][:1].decode()
    codes = (factor.code for factor in factors() if factor.code[:1] == letter and len(factor.code) == _CODE_LENGTH)
    return [code for code in codes if code.encode() not in segment]


def _shift_qn(qn: bytes, by: timedelta) -> bytes:
    moment = parse_qn(qn.decode())
    return format_qn(moment + by).encode() if moment is not None else qn


def _shift_data_time(segment: bytes, by: timedelta) -> bytes:
    def shift(found: re.Match[bytes]) -> bytes:
        moment = parse_data_time(found[1].decode())
        return b"DataTime=" + (format_data_time(moment + by).encode() if moment is not None else found[1])

    return _DATA_TIME.sub(shift, segment, count=1)


def _variants(segment: bytes) -> Iterator[bytes]:
    """Yield a segment with more and more decimals at its last number."""
    found = _LAST_NUMBER.search(segment)
    if found is None:
        return
    head = found[0] + (b"" if found[1] else b".")
    for number in range(_TRIES):
        yield head + b"%d" % number + segment[found.end() :]
