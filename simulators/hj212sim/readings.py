"""Values that look like an outlet's: levels of its own, a daily rhythm, noise, and totals that follow the flow.

A value is a pure function of the seed, the data logger, the command and the time, so that a simulation that runs
again, or resumes, sends the same figures. There is no state to carry from one packet to the next.
"""

import math
import random
import struct
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from hj212gw.protocol import Reading

NORMAL = "N"  # data flag: the instrument works

_DAY_SECS = 86_400
_NOISE = struct.Struct("<32H")  # one digest's worth of noise
_NOISE_HALF = 32_768.0
_STEADIER = 3.0  # a mean over a period scatters that much less than a moment
_MAX_OXYGEN = 20.0  # above it the conversion to standard oxygen runs away
_AIR_OXYGEN = 21.0
_COU_DECIMALS = 3


# What a value gives in Cou's unit when multiplied by seconds (flows) or by cubic metres of flow (concentrations).
_LITRES_A_SECOND = 1e-3  # to m3
_CUBIC_METRES_A_SECOND = 1.0  # to m3
_MILLIGRAMS_A_LITRE = 1e-3  # to kg
_MILLIGRAMS_A_CUBIC_METRE = 1e-6  # to kg


class Model(NamedTuple):
    """How one factor behaves at a typical outlet.

    Attributes:
        mean: its level there.
        low, high: what its instrument can show.
        scatter: noise of one value, as a share of the level.
        swing: the daily rhythm, as a share of the level.
        decimals: digits after the point.
        total: what a value gives in Cou's unit for each second or cubic metre; 0 where the factor has no Cou.
        hold_secs: an analyser that measures in batches repeats its last value so long; 0 measures all the time.
        is_converted: has values converted (折算) to standard oxygen.
        legacy: its code in HJ/T 212-2005, "" where it has none whose unit stayed the same.
    """

    mean: float
    low: float
    high: float
    scatter: float
    swing: float
    decimals: int
    total: float = 0.0
    hold_secs: int = 0
    is_converted: bool = False
    legacy: str = ""


_BATCH_SECS = 7200  # HJ 355: COD, NH3-N, TP and TN analysers measure every two hours at least
_WATER, _GAS = _MILLIGRAMS_A_LITRE, _MILLIGRAMS_A_CUBIC_METRE
_OXYGEN = "a19001"

MODELS = {
    "w00000": Model(45.0, 0.0, 5000.0, 0.04, 0.25, 2, _LITRES_A_SECOND, legacy="B01"),
    "w01001": Model(7.4, 0.0, 14.0, 0.01, 0.02, 2, legacy="001"),
    "w01010": Model(21.0, 0.0, 60.0, 0.005, 0.06, 1),
    "w01012": Model(14.0, 0.0, 1000.0, 0.08, 0.1, 1, _WATER, legacy="003"),
    "w01018": Model(28.0, 0.0, 2000.0, 0.06, 0.15, 1, _WATER, _BATCH_SECS, legacy="011"),
    "w20121": Model(0.06, 0.0, 10.0, 0.1, 0.05, 3, _WATER, _BATCH_SECS, legacy="028"),
    "w20122": Model(0.12, 0.0, 10.0, 0.1, 0.05, 3, _WATER, _BATCH_SECS, legacy="029"),
    "w21001": Model(9.5, 0.0, 200.0, 0.05, 0.1, 2, _WATER, _BATCH_SECS, legacy="065"),
    "w21003": Model(1.8, 0.0, 300.0, 0.1, 0.2, 3, _WATER, _BATCH_SECS, legacy="060"),
    "w21011": Model(0.28, 0.0, 50.0, 0.08, 0.1, 3, _WATER, _BATCH_SECS, legacy="101"),
    "a00000": Model(38.0, 0.0, 2000.0, 0.03, 0.08, 2, _CUBIC_METRES_A_SECOND, legacy="B02"),
    "a01011": Model(9.5, 0.0, 40.0, 0.04, 0.08, 2),
    "a01012": Model(92.0, 0.0, 400.0, 0.01, 0.05, 1, legacy="S03"),
    "a01013": Model(-0.21, -5.0, 5.0, 0.08, 0.05, 3),
    "a01014": Model(8.2, 0.0, 40.0, 0.03, 0.05, 1, legacy="S05"),
    "a19001": Model(9.8, 0.0, 25.0, 0.03, 0.06, 2, legacy="S01"),
    "a21002": Model(96.0, 0.0, 1500.0, 0.06, 0.12, 1, _GAS, is_converted=True, legacy="03"),
    "a21005": Model(34.0, 0.0, 2500.0, 0.12, 0.1, 1, _GAS, is_converted=True, legacy="04"),
    "a21026": Model(41.0, 0.0, 1500.0, 0.08, 0.12, 2, _GAS, is_converted=True, legacy="02"),
    "a34013": Model(7.6, 0.0, 200.0, 0.07, 0.1, 2, _GAS, is_converted=True, legacy="01"),
}
_FLOWS = ("w00000", "a00000")
_DEFAULT = Model(10.0, 0.0, 1000.0, 0.05, 0.1, 2)  # of a factor that a user names and nobody modelled
_BY_LEGACY = {model.legacy: code for code, model in MODELS.items() if model.legacy}


def catalogue_code(code: str) -> str:
    """Return what the catalogue calls a factor that a data logger sends under this code."""
    return _BY_LEGACY.get(code, code)


class Interval(NamedTuple):
    """The time a packet's values stand for.

    Attributes:
        start_secs: its start in seconds since 1970 UTC.
        secs: its length; 0 for a moment.
    """

    start_secs: int
    secs: int


class _Channel(NamedTuple):
    """One factor at one outlet: its model with a level, a phase and a code of its own."""

    code: str
    factor: str
    model: Model
    level: float
    phase: float
    place: int  # of its noise in a digest
    has_zs: bool


class ReadingSource:
    """Makes the readings of one data logger.

    Args:
        name: tells it from all others: its MN.
        factors: codes as it sends them; those of 2005 behave as their successors do.
        seed: of the simulation.
    """

    def __init__(self, name: str, factors: Iterable[str], *, seed: int) -> None:
        rng = random.Random(f"{seed}/{name}/levels")
        codes = tuple(factors)
        known = [catalogue_code(code) for code in codes]
        self._key = blake2b(f"{seed}/{name}".encode(), digest_size=32).digest()
        self._standard_oxygen = rng.choice((6.0, 9.0))
        self._channels = [
            _make_channel(code, factor, place, rng, has_oxygen=_OXYGEN in known)
            for place, (code, factor) in enumerate(zip(codes, known, strict=True))
        ]
        # Totals and conversions need the flow and the oxygen, wherever they stand in the packet.
        self._flow = next((channel for channel in self._channels if channel.factor in _FLOWS), None)
        self._oxygen = next((channel for channel in self._channels if channel.factor == _OXYGEN), None)

    def sample(self, interval: Interval) -> list[Reading]:
        """Make the readings of a moment (2011)."""
        noise = self._noise("rtd", interval.start_secs)
        held = self._noise("held", interval.start_secs // _BATCH_SECS)
        oxygen = self._value(self._oxygen, interval, noise) if self._oxygen else 0.0
        readings = []
        for channel in self._channels:
            hold = channel.model.hold_secs
            moment = Interval(interval.start_secs // hold * hold, 0) if hold else interval
            value = self._value(channel, moment, held if hold else noise)
            readings.append(_reading(channel.code, rtd=value, zs_rtd=self._convert(channel, value, oxygen)))
        return readings

    def summarise(self, cn: str, interval: Interval) -> list[Reading]:
        """Make the readings of a period: least, mean, greatest and total (2051, 2061, 2031)."""
        noise = self._noise(cn, interval.start_secs)
        middle = Interval(interval.start_secs + interval.secs // 2, interval.secs)
        flow = self._value(self._flow, middle, noise) if self._flow else 0.0
        volume = flow * interval.secs * self._flow.model.total if self._flow else 0.0
        oxygen = self._value(self._oxygen, middle, noise) if self._oxygen else 0.0
        readings = []
        for channel in self._channels:
            mean = self._value(channel, middle, noise)
            least, greatest = _extremes(channel, mean, noise)
            zs = [self._convert(channel, value, oxygen) for value in (least, mean, greatest)]
            readings.append(
                Reading(
                    channel.code, 0, None, None, least, mean, greatest, self._total(channel, mean, volume),
                    None, zs[0], zs[1], zs[2], NORMAL, None,
                )
            )  # fmt: skip
        return readings

    def _noise(self, kind: str, moment: int) -> tuple[int, ...]:
        text = b"%b/%d" % (kind.encode(), moment)
        return _NOISE.unpack(blake2b(text, key=self._key).digest())

    def _value(self, channel: _Channel, interval: Interval, noise: tuple[int, ...]) -> float:
        model = channel.model
        turn = interval.start_secs / _DAY_SECS + channel.phase
        # A day's wave and a slow one of eleven days, so that no two days are alike.
        wave = math.sin(math.tau * turn) + 0.5 * math.sin(math.tau * turn / 11.0)
        if interval.secs >= _DAY_SECS:
            wave = 0.5 * math.sin(math.tau * turn / 11.0)
        scatter = model.scatter / _STEADIER if interval.secs else model.scatter
        deviation = noise[channel.place] / _NOISE_HALF - 1.0
        value = channel.level * (1.0 + model.swing * wave + scatter * deviation)
        return round(min(max(value, model.low), model.high), model.decimals)

    def _convert(self, channel: _Channel, value: float, oxygen: float) -> float | None:
        """Convert a concentration to standard oxygen (GB 13223 and kin: 折算浓度)."""
        if not channel.has_zs:
            return None
        share = (_AIR_OXYGEN - self._standard_oxygen) / (_AIR_OXYGEN - min(oxygen, _MAX_OXYGEN))
        return round(value * share, channel.model.decimals)

    def _total(self, channel: _Channel, mean: float, volume: float) -> float | None:
        if not channel.model.total or self._flow is None:
            return None
        if channel is self._flow:
            return round(volume, _COU_DECIMALS)
        return round(mean * volume * channel.model.total, _COU_DECIMALS)


def _make_channel(code: str, factor: str, place: int, rng: random.Random, *, has_oxygen: bool) -> _Channel:
    model = MODELS.get(factor, _DEFAULT)
    spread = 0.1 if model.scatter < 0.05 else 0.45  # noqa: PLR2004 - pH and temperatures differ little
    level = model.mean * math.exp(rng.uniform(-spread, spread))
    return _Channel(code, factor, model, level, rng.random(), place % _SPREAD_PLACES, has_oxygen and model.is_converted)


_SPREAD_PLACES = 16  # the other half of a digest is noise for the extremes


def _extremes(channel: _Channel, mean: float, noise: tuple[int, ...]) -> tuple[float, float]:
    model = channel.model
    bits = noise[_SPREAD_PLACES + channel.place]
    reach = abs(mean) * model.scatter
    least = round(mean - reach * (0.5 + (bits & 0xFF) / 256.0), model.decimals)
    greatest = round(mean + reach * (0.5 + (bits >> 8) / 256.0), model.decimals)
    return min(mean, max(least, model.low)), max(mean, min(greatest, model.high))


def _reading(code: str, *, rtd: float, zs_rtd: float | None) -> Reading:
    return Reading(
        code, 0, None, rtd, None, None, None, None, zs_rtd, None, None, None, NORMAL, None
    )  # fmt: skip
