"""Cities: enterprises, their outlets, and the data loggers that watch them.

`yuxi` has the size of the city the gateway was founded for: 173 key enterprises, 97 of them national, and 600
monitors. Names, credit codes and MNs are invented.

A monitor (自动监控设备, counted 台套) here is the set of instruments at one outlet with the data logger that speaks
for them. So 600 monitors are 600 outlets and 600 MNs; an enterprise has one to eight of them, and the set decides
the factors:

=============== ====== ==================================================================================
set             medium factors
=============== ====== ==================================================================================
sewage plant    water  flow, pH, temperature, COD, ammonia, total phosphorus, total nitrogen
process water   water  flow, pH, COD, ammonia
nutrient water  water  flow, pH, COD, ammonia, total phosphorus, total nitrogen
metal water     water  flow, pH, COD, total nickel, total copper
flue gas        gas    SO2, NOx, dust (with converted values), O2, velocity, temperature, pressure, humidity, flow
dust            gas    dust, velocity, temperature, pressure, humidity, flow
=============== ====== ==================================================================================

One in ten data loggers speaks HJ 212-2025 without encryption, one in 25 HJ/T 212-2005 (14-character MN, no QN, codes
of 2005, and only factors whose unit did not change), the others HJ 212-2017.
"""

import random
from typing import NamedTuple

from hj212gw.errors import ConfigError
from hj212gw.protocol import Edition
from hj212sim.names import COUNTIES, INDUSTRIES, County, Industry, make_credit_code, make_names
from hj212sim.readings import MODELS
from hj212sim.schedule import BOOT, KNOWN_CNS, Rhythm
from hj212sim.uploads import Profile

YUXI_ENTERPRISES = 173
YUXI_NATIONAL = 97
YUXI_MONITORS = 600
MAX_OUTLETS = 8  # of one enterprise

_FLUE_STATE = ("a01011", "a01012", "a01013", "a01014", "a00000")
FACTOR_SETS = {
    "sewage plant": ("w00000", "w01001", "w01010", "w01018", "w21003", "w21011", "w21001"),
    "process water": ("w00000", "w01001", "w01018", "w21003"),
    "nutrient water": ("w00000", "w01001", "w01018", "w21003", "w21011", "w21001"),
    "metal water": ("w00000", "w01001", "w01018", "w20121", "w20122"),
    "flue gas": ("a21026", "a21002", "a34013", "a19001", *_FLUE_STATE),
    "dust": ("a34013", *_FLUE_STATE),
}
_OUTLET_NAMES = {
    "sewage plant": "总排口",
    "process water": "废水总排放口",
    "nutrient water": "废水总排放口",
    "metal water": "车间废水排放口",
    "flue gas": "烟气排放口",
    "dust": "除尘排放口",
}
_ONE_IN_2025 = 10
_ONE_IN_2005 = 25
_RTD_INTERVALS_SECS = (30, 30, 30, 60)
_MIN_INTERVAL_MINS = 10
_ST_WATER, _ST_GAS = "32", "31"


class Enterprise(NamedTuple):
    """A polluter; `level` is national or other."""

    enterprise: str
    name: str
    credit_code: str
    county: County
    level: str


class Monitor(NamedTuple):
    """An outlet with its set of instruments and its data logger.

    Attributes:
        outlet: its id.
        enterprise: id of whose it is.
        name: in words.
        medium: water or gas.
        profile: of the data logger.
    """

    outlet: str
    enterprise: str
    name: str
    medium: str
    profile: Profile


class City(NamedTuple):
    """Who is watched, and by what."""

    enterprises: list[Enterprise]
    monitors: list[Monitor]


def make_yuxi(
    enterprises: int | None = None, monitors: int | None = None, *, cns: tuple[str, ...] = KNOWN_CNS, seed: int = 1
) -> City:
    """Make the city, or a smaller or larger one of its kind.

    Args:
        enterprises: how many; in proportion to `monitors` when None.
        monitors: how many; in proportion to `enterprises` when None.
        cns: what each data logger sends.
        seed: the same seed and size give the same city.

    Raises:
        ConfigError: an enterprise has 1 to 8 monitors, and these numbers do not allow it.
    """
    if enterprises is None:
        wanted = YUXI_MONITORS if monitors is None else monitors
        enterprises = max(1, round(wanted * YUXI_ENTERPRISES / YUXI_MONITORS))
    if monitors is None:
        monitors = round(enterprises * YUXI_MONITORS / YUXI_ENTERPRISES)
    if not 1 <= enterprises <= monitors <= MAX_OUTLETS * enterprises:
        raise ConfigError(
            f"--enterprises {enterprises} --monitors {monitors}: an enterprise has 1 to {MAX_OUTLETS} monitors"
        )
    rng = random.Random(f"{seed}/yuxi")
    industries = rng.choices(INDUSTRIES, [industry.share for industry in INDUSTRIES], k=enterprises)
    owners = _make_enterprises(industries, rng)
    sizes = _share_out(monitors, industries, rng)
    editions = _draw_editions(monitors, rng)
    made: list[Monitor] = []
    for owner, industry, size in zip(owners, industries, sizes, strict=True):
        for nth in range(size):
            made.append(_make_monitor(owner, industry.sets[nth % len(industry.sets)], nth, editions[len(made)], rng))
    return City(owners, [_with_cns(monitor, cns) for monitor in made])


def _with_cns(monitor: Monitor, cns: tuple[str, ...]) -> Monitor:
    profile = monitor.profile
    if profile.edition is Edition.V2005:
        cns = tuple(cn for cn in cns if cn != BOOT)
    return monitor._replace(profile=profile._replace(cns=cns))


def _make_enterprises(industries: list[Industry], rng: random.Random) -> list[Enterprise]:
    national_count = round(len(industries) * YUXI_NATIONAL / YUXI_ENTERPRISES)
    national = set(rng.sample(range(len(industries)), national_count))
    counties = rng.choices(COUNTIES, [county.share for county in COUNTIES], k=len(industries))
    names = make_names(counties, industries, rng)
    return [
        Enterprise(
            f"YX{index + 1:04d}",
            names[index],
            make_credit_code(county, index + 1),
            county,
            "national" if index in national else "other",
        )
        for index, county in enumerate(counties)
    ]


def _share_out(monitors: int, industries: list[Industry], rng: random.Random) -> list[int]:
    """Give each enterprise one monitor, and the rest by the weight of its industry."""
    sizes = [1] * len(industries)
    for _ in range(monitors - len(industries)):
        open_ones = [index for index, size in enumerate(sizes) if size < MAX_OUTLETS]
        sizes[rng.choices(open_ones, [industries[index].weight for index in open_ones])[0]] += 1
    return sizes


def _draw_editions(count: int, rng: random.Random) -> list[Edition]:
    old, new = count // _ONE_IN_2005, count // _ONE_IN_2025
    editions = [Edition.V2005] * old + [Edition.V2025] * new + [Edition.V2017] * (count - old - new)
    rng.shuffle(editions)
    return editions


def _make_monitor(owner: Enterprise, kind: str, nth: int, edition: Edition, rng: random.Random) -> Monitor:
    factors = FACTOR_SETS[kind]
    is_gas = factors[0].startswith("a")
    serial = int(owner.enterprise[2:])
    if edition is Edition.V2005:
        factors = tuple(MODELS[code].legacy for code in factors if MODELS[code].legacy)
        mn = f"YX{owner.county.code}{serial:04d}{nth + 1:02d}"
    else:
        mn = f"{owner.county.code}A{serial:08d}F{nth + 1:08d}"
    profile = Profile(
        mn=mn,
        pw=f"{rng.randrange(1_000_000):06d}",
        st=_ST_GAS if is_gas else _ST_WATER,
        edition=edition,
        factors=factors,
        cns=KNOWN_CNS,
        rhythm=_draw_rhythm(rng),
    )
    outlet = f"{owner.enterprise}-{'G' if is_gas else 'W'}{nth + 1}"
    name = f"{owner.name}{nth + 1}号{_OUTLET_NAMES[kind]}"
    return Monitor(outlet, owner.enterprise, name, "gas" if is_gas else "water", profile)


def _draw_rhythm(rng: random.Random) -> Rhythm:
    rtd_interval_secs = rng.choice(_RTD_INTERVALS_SECS)
    return Rhythm(
        rtd_interval_secs=rtd_interval_secs,
        min_interval_mins=_MIN_INTERVAL_MINS,
        phase_ms=rng.randrange(rtd_interval_secs * 1000),
        delay_ms=rng.randrange(5_000, 25_000),
    )
