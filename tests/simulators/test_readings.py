"""Simulated values look like an outlet's."""

import pytest
from tests.simulators.support import EPOCH_US

from hj212sim.presets import FACTOR_SETS
from hj212sim.readings import MODELS, Interval, ReadingSource

START = EPOCH_US // 1_000_000
GAS = FACTOR_SETS["flue gas"]
WATER = FACTOR_SETS["sewage plant"]
DECIMALS = {code: model.decimals for code, model in MODELS.items()}


def source(factors=WATER, name="A", seed=1):
    """A source of readings."""
    return ReadingSource(name, factors, seed=seed)


def test_same_seed_same_values():
    """Two sources of one name and seed agree on any moment and period, in any order."""
    moments = [Interval(START + 30 * number, 0) for number in range(10)]
    first, second = source(), source()
    forward = [first.sample(moment) for moment in moments]
    backward = [second.sample(moment) for moment in reversed(moments)]
    assert forward == backward[::-1]
    assert first.summarise("2061", Interval(START, 3600)) == second.summarise("2061", Interval(START, 3600))


@pytest.mark.parametrize(("name", "seed"), [("B", 1), ("A", 2)])
def test_other_name_or_seed_other_values(name, seed):
    """Another data logger, or another seed, has other values."""
    moment = Interval(START, 0)
    assert source().sample(moment) != source(name=name, seed=seed).sample(moment)


@pytest.mark.parametrize("kind", FACTOR_SETS)
def test_values_stay_in_range(kind):
    """A day of moments stays within what the instruments can show, with their decimals and the flag N."""
    made = source(FACTOR_SETS[kind])
    for number in range(0, 86_400, 600):
        for row in made.sample(Interval(START + number, 0)):
            model = MODELS[row.factor]
            assert model.low <= row.rtd <= model.high
            assert round(row.rtd, model.decimals) == row.rtd
            assert row.data_flag == "N"
            assert (row.zs_rtd is not None) == (kind == "flue gas" and model.is_converted)


@pytest.mark.parametrize("cn,secs", [("2051", 600), ("2061", 3600), ("2031", 86_400)])  # noqa: PT006
@pytest.mark.parametrize("kind", FACTOR_SETS)
def test_statistics_are_ordered_and_totals_follow_the_flow(kind, cn, secs):
    """Least, mean and greatest are in order, converted ones too, and what has a total has one above 0."""
    for number in range(50):
        for row in source(FACTOR_SETS[kind]).summarise(cn, Interval(START + number * secs, secs)):
            assert row.rtd is None
            assert row.min <= row.avg <= row.max
            assert row.zs_avg is None or row.zs_min <= row.zs_avg <= row.zs_max
            assert (row.cou is not None) == bool(MODELS[row.factor].total)
            assert row.cou is None or row.cou > 0


def test_totals_are_mass_of_mean_and_volume():
    """COD's total in kg is its mean in mg/L times the flow's total in m3, which is its mean in L/s times the time."""
    rows = {row.factor: row for row in source().summarise("2061", Interval(START, 3600))}
    flow, cod = rows["w00000"], rows["w01018"]
    assert flow.cou == pytest.approx(flow.avg * 3.6, abs=0.001)
    assert cod.cou == pytest.approx(cod.avg * flow.cou / 1000, abs=0.001)


def test_analysers_that_measure_in_batches_repeat_their_value():
    """COD changes every two hours, the flow from moment to moment (HJ 212-2017 real-time uploads of water)."""
    rows = [{row.factor: row.rtd for row in source().sample(Interval(START + 30 * number, 0))} for number in range(480)]
    assert len({row["w01018"] for row in rows}) <= 3
    assert len({row["w00000"] for row in rows}) > 100


def test_oxygen_decides_the_conversion():
    """All converted factors of a packet share one ratio of converted to measured."""
    rows = [row for row in source(GAS).sample(Interval(START, 0)) if row.zs_rtd is not None]
    ratios = [row.zs_rtd / row.rtd for row in rows]
    assert len(ratios) == 3
    assert max(ratios) - min(ratios) < 0.01


def test_codes_of_2005_behave_as_their_successors():
    """A code of 2005 is sent as it is and has the level of the factor it stands for."""
    old = {row.factor: row.rtd for row in source(("011", "B01")).sample(Interval(START, 0))}
    new = {row.factor: row.rtd for row in source(("w01018", "w00000")).sample(Interval(START, 0))}
    assert old == {"011": new["w01018"], "B01": new["w00000"]}


def test_any_code_can_be_sent():
    """A factor nobody modelled, and a gas set without flow or oxygen, have values all the same."""
    rows = source(("w99999", "a21026")).summarise("2051", Interval(START, 600))
    assert [row.factor for row in rows] == ["w99999", "a21026"]
    assert all(row.avg > 0 and row.cou is None and row.zs_avg is None for row in rows)
