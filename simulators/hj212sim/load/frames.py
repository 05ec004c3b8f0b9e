"""Frames out of prebuilt pieces: what is left for a packet is two times, one of a few tails, and three XORs.

A template is written by the protocol's own code once for each data logger and command, and cut where the times stand.
The CRC needs no pass over the bytes: with zero for state it would be linear over GF(2), with 0xFFFF it is affine, so
for messages of one length ``crc(a ^ b ^ c) = crc(a) ^ crc(b) ^ crc(c)``. A packet differs from the first one of its
data logger in the times and in the tail, each of which has its own constant to XOR with.
"""

import random
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from hj212gw.errors import ConfigError
from hj212gw.protocol import Edition, Packet, Reading, crc16, encode_answer, encode_packet, encode_readings
from hj212gw.protocol.factors import factors as catalogue
from hj212gw.protocol.frames import MAX_SEGMENT
from hj212gw.protocol.times import format_data_time, parse_qn
from hj212sim.load.plan import MAX_PLACES, Plan
from hj212sim.readings import MODELS, NORMAL
from hj212sim.schedule import REAL_TIME

VARIANTS = 97  # sets of values; a prime, so that every data logger goes through all of them
_STRIDE = 7  # between the sets of two data loggers at one time
_KEPT_MOMENTS = 65_536  # connections are not all at the same step
_MARK = "29990101000000"  # stands where a template's times go
_ST = "32"
_PW = "123456"
_FLAGS = {Edition.V2005: 1, Edition.V2017: 5, Edition.V2025: 9}
_FIRST_FACTORS = ("w01018", "w21003", "w21011", "w21001", "w01001", "w01010", "w00000", "w01012")
_DEFAULT_CENTRE, _DEFAULT_DECIMALS = 10.0, 2


class Tails(NamedTuple):
    """What one command's packets end in.

    Attributes:
        texts: from the DataTime to the closing ``&&``; all of one length.
        crcs: what each changes in the CRC of a packet with the first one.
        millis: sum of each one's Rtd or Avg, in thousandths.
    """

    texts: tuple[bytes, ...]
    crcs: tuple[int, ...]
    millis: tuple[int, ...]


class Lane(NamedTuple):
    """The prebuilt pieces of one data logger; the tuples are by command.

    Attributes:
        mn: its MN.
        logger: its number.
        heads: ``##LLLLQN=``.
        middles: from the QN's milliseconds to ``DataTime=``.
        crcs: of the packet at step 0 with the first tail.
        answer_head, answer_tail: round the QN's seconds in the data segment of an answer, up to MN.
    """

    mn: str
    logger: int
    heads: tuple[bytes, ...]
    middles: tuple[bytes, ...]
    crcs: tuple[int, ...]
    answer_head: bytes
    answer_tail: bytes


class Moment(NamedTuple):
    """A DataTime as text, and what it changes in the CRC of step 0, by command."""

    text: bytes
    crcs: tuple[int, ...]


class _Trailers(dict[int, bytes]):
    """CRC to its text and CR LF; there are 256 of them."""

    def __missing__(self, crc: int) -> bytes:
        self[crc] = text = b"%04X\r\n" % crc
        return text


class FrameSource:
    """Makes the packets of a plan.

    Args:
        plan: placed in time.

    Raises:
        ConfigError: the packets would be longer than a gateway takes, or there are not so many factors.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.codes = find_factors(plan.edition, plan.factors)
        self.trailers = _Trailers()
        self._name = blake2b(str(plan.seed).encode(), digest_size=4).hexdigest()[:7].upper()
        self._bases = [self._write(0, cn, _make_values(plan, cn, self.codes, 0)[0]) for cn in plan.cns]
        for cn, base in zip(plan.cns, self._bases, strict=True):
            if len(base) > MAX_SEGMENT:
                raise ConfigError(f"--factors {plan.factors}: a {cn} would have {len(base)} bytes, {MAX_SEGMENT} go")
        self.tails = [self._make_tails(cn, base) for cn, base in zip(plan.cns, self._bases, strict=True)]
        self._first_crcs = [crc16(_at(base, self._text(0))) for base in self._bases]
        self.moment = lru_cache(_KEPT_MOMENTS)(self._make_moment)

    def make_lane(self, logger: int) -> Lane:
        """Prebuild the pieces of one data logger."""
        heads, middles, crcs = [], [], []
        for cn, tails in zip(self._plan.cns, self.tails, strict=True):
            packet = self._packet(logger, cn, b"")
            qn, middle, _ = encode_packet(packet._replace(cp=b"DataTime=%b" % _MARK.encode())).split(_MARK.encode())
            text = self._text(0)
            segment = b"".join((qn, text, middle, text, tails.texts[0]))
            heads.append(b"##%04d%b" % (len(segment), qn))
            middles.append(middle)
            crcs.append(crc16(segment))
        answer = encode_answer(packet, "9014")[6:]
        head, _, tail = answer.partition(_MARK.encode())
        end = tail.index(b";Flag=") if b";Flag=" in tail else 3
        return Lane(self.mn_of(logger), logger, tuple(heads), tuple(middles), tuple(crcs), head, tail[:end])

    def mn_of(self, logger: int) -> str:
        """Tell the MN of a data logger; that of another seed is another one."""
        if self._plan.edition is Edition.V2005:
            return f"{self._name}{logger:07d}"
        return f"010000A{self._name}{logger:010d}"

    def segment(self, lane: Lane, step: int) -> bytes:
        """Make one data segment, from pieces as the frames are."""
        cn = (step + lane.logger) % len(self.tails)
        text = self.moment(step).text
        tail = self.tails[cn].texts[(step + _STRIDE * lane.logger) % VARIANTS]
        return b"".join((lane.heads[cn][6:], text, lane.middles[cn], text, tail))

    def millis(self, lane: Lane, step: int) -> int:
        """Tell the sum of a packet's Rtd or Avg, in thousandths."""
        cn = (step + lane.logger) % len(self.tails)
        return self.tails[cn].millis[(step + _STRIDE * lane.logger) % VARIANTS]

    def step_of(self, qn: str) -> tuple[int, int]:
        """Tell step and place of a QN; (-1, 0) for one that is none of this plan."""
        moment = parse_qn(qn)
        if moment is None:
            return -1, 0
        return int(moment.timestamp()) - self._plan.begin_secs, int(qn[14:])

    def _make_moment(self, step: int) -> Moment:
        text = self._text(step)
        pairs = zip(self._bases, self._first_crcs, strict=True)
        return Moment(text, tuple(crc16(_at(base, text)) ^ first for base, first in pairs))

    def _text(self, step: int) -> bytes:
        return format_data_time(datetime.fromtimestamp(self._plan.begin_secs + step, UTC)).encode()

    def _make_tails(self, cn: str, base: bytes) -> Tails:
        sets = [_make_values(self._plan, cn, self.codes, variant) for variant in range(VARIANTS)]
        before, mark, first = base.rpartition(_MARK.encode())
        tails = [cp.partition(_MARK.encode())[2] + b"&&" for cp, _ in sets]
        assert {len(tail) for tail in tails} == {len(first)}
        crcs = [crc16(before + mark + tail) ^ crc16(base) for tail in tails]
        return Tails(tuple(tails), tuple(crcs), tuple(millis for _, millis in sets))

    def _write(self, logger: int, cn: str, cp: bytes) -> bytes:
        return encode_packet(self._packet(logger, cn, cp))

    def _packet(self, logger: int, cn: str, cp: bytes) -> Packet:
        return Packet(
            qn=f"{_MARK}{logger // self._plan.connections:03d}",
            st=_ST,
            cn=cn,
            pw=_PW,
            mn=self.mn_of(logger),
            flag=_FLAGS[self._plan.edition],
            pnum=None,
            pno=None,
            rf=False,
            cp=cp,
            extra=(),
            edition=self._plan.edition,
            warnings=(),
        )


class Stream:
    """The packets of one connection in their order, and which of them have no answer yet.

    Args:
        source: makes them.
        lanes: the connection's data loggers, by place.

    Attributes:
        sent: how many different ones went out.
        unacked: by the head of the answer they wait for: when they were due, seconds, and their number.
        answer_bytes: length of such a head.
    """

    def __init__(self, source: FrameSource, lanes: Iterable[Lane]) -> None:
        self.sent = 0
        self.unacked: dict[bytes, tuple[float, int]] = {}
        self._source = source
        self._lanes = tuple(lanes)
        assert len(self._lanes) <= MAX_PLACES
        self.answer_bytes = len(self.key_of(0))

    def emit(self, count: int, due: float, interval: float) -> bytes:
        """Make the next frames and note that their answers are awaited.

        Args:
            count: how many, 1 or more.
            due: moment at which the first was due, seconds of the caller's clock.
            interval: what each is due after the one before.
        """
        source, lanes, unacked, moment = self._source, self._lanes, self.unacked, self._source.moment
        tails, trailers, cn_count = source.tails, source.trailers, len(source.tails)
        step, place = divmod(self.sent, len(lanes))
        text, changes = moment(step)
        parts: list[bytes] = []
        for number in range(self.sent, self.sent + count):
            lane = lanes[place]
            cn = (step + lane.logger) % cn_count
            variant = (step + _STRIDE * lane.logger) % VARIANTS
            tail = tails[cn]
            trailer = trailers[lane.crcs[cn] ^ tail.crcs[variant] ^ changes[cn]]
            parts += (lane.heads[cn], text, lane.middles[cn], text, tail.texts[variant], trailer)
            unacked[lane.answer_head + text + lane.answer_tail] = (due, number)
            due += interval
            place += 1
            if place == len(lanes):
                place = 0
                step += 1
                text, changes = moment(step)
        self.sent += count
        return b"".join(parts)

    def repeat(self) -> bytes:
        """Make the frames without an answer once more, in their order."""
        return b"".join(self.frame(number) for _, number in self.unacked.values())

    def frame(self, number: int) -> bytes:
        """Make one frame."""
        step, place = divmod(number, len(self._lanes))
        segment = self._source.segment(self._lanes[place], step)
        return b"##%04d%b%b" % (len(segment), segment, self._source.trailers[crc16(segment)])

    def key_of(self, number: int) -> bytes:
        """Tell the head of the answer that a packet waits for."""
        step, place = divmod(number, len(self._lanes))
        lane = self._lanes[place]
        return lane.answer_head + self._source.moment(step).text + lane.answer_tail

    def find(self, qn: str, mn: str) -> int | None:
        """Tell the number of a packet that was sent, by QN and MN ("" in answers of 2005); None for no such one."""
        step, place = self._source.step_of(qn)
        number = step * len(self._lanes) + place
        if step < 0 or place >= len(self._lanes) or number >= self.sent:
            return None
        return number if mn in ("", self._lanes[place].mn) else None


def find_factors(edition: Edition, count: int) -> tuple[str, ...]:
    """Choose factors of water, the most usual ones first.

    Raises:
        ConfigError: there are not so many.
    """
    codes = [*_FIRST_FACTORS, *sorted(factor.code for factor in catalogue() if _is_plain(factor.code))]
    if edition is Edition.V2005:
        codes = [MODELS[code].legacy for code in codes if code in MODELS and MODELS[code].legacy]
    codes = list(dict.fromkeys(codes))
    if not 1 <= count <= len(codes):
        raise ConfigError(f"--factors {count}: expected 1 to {len(codes)}")
    return tuple(codes[:count])


def _is_plain(code: str) -> bool:
    return code.startswith("w") and code[1:].isdigit()


def _make_values(plan: Plan, cn: str, codes: tuple[str, ...], variant: int) -> tuple[bytes, int]:
    """Make the data area of one set of values, and the sum of its Rtd or Avg in thousandths."""
    rng = random.Random(f"{plan.seed}/{cn}/{variant}")
    rows, millis = [], 0
    models = {model.legacy: model for model in MODELS.values() if model.legacy} | MODELS
    for code in codes:
        model = models.get(code)
        decimals = model.decimals if model else _DEFAULT_DECIMALS
        low, value, high = sorted(_draw(rng, abs(model.mean) if model else _DEFAULT_CENTRE, decimals) for _ in range(3))
        millis += value * 10 ** (3 - decimals)
        low_f, value_f, high_f = (number / 10**decimals for number in (low, value, high))
        rtd, least, mean, most = (value_f, None, None, None) if cn == REAL_TIME else (None, low_f, value_f, high_f)
        rows.append(Reading(code, 0, None, rtd, least, mean, most, mean, None, None, None, None, NORMAL, None))
    return encode_readings(rows, _MARK), millis


def _draw(rng: random.Random, centre: float, decimals: int) -> int:
    """Draw a value near a level, in units of its last digit, that is always printed with as many characters."""
    units = round(centre * 10**decimals)
    least = 10 ** (len(str(units)) - 1)
    value = rng.randint(max(least, units * 3 // 4), min(10 * least - 1, units * 5 // 4))
    # A last digit of 0 would not be printed.
    return value if value % 10 else value + 1


def _at(base: bytes, text: bytes) -> bytes:
    return base.replace(_MARK.encode(), text)
