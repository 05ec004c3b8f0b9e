"""What is changed in hour data before it is sent."""

from hj212gw.protocol import Edition
from hj212sim.base_list import Due, find_due, find_flow
from hj212sim.edits import AMOUNT, CONVERTED, MEAN, ROW, Edit, edit_readings
from hj212sim.presets import FACTOR_SETS, make_yuxi
from hj212sim.readings import Interval, ReadingSource

FLUE = FACTOR_SETS["flue gas"]


def readings():
    """An hour of a stack."""
    return ReadingSource("X", FLUE, seed=1).summarise("2061", Interval(0, 3600))


def edited(**edits):
    """The same hour by code, with these edits."""
    return {reading.factor: reading for reading in edit_readings(readings(), edits)}


def test_what_has_no_edit_stays():
    """Only what is named changes."""
    assert edit_readings(readings(), {}) == readings()
    changed = edited(a21026=Edit("D"))
    assert changed["a21026"].data_flag == "D"
    assert [changed[code] for code in FLUE[1:]] == readings()[1:]


def test_what_an_hour_lacks():
    """A mean goes with its least and greatest value, a row goes whole."""
    changed = edited(
        a21026=Edit(lacks=frozenset((MEAN,))),
        a21002=Edit(lacks=frozenset((AMOUNT,))),
        a34013=Edit(lacks=frozenset((CONVERTED,))),
        a19001=Edit(lacks=frozenset((ROW,))),
    )
    assert "a19001" not in changed
    present = {
        code: [getattr(changed[code], name) is not None for name in ("min", "avg", "max", "cou", "zs_avg")]
        for code in ("a21026", "a21002", "a34013")
    }
    assert present == {
        "a21026": [False, False, False, True, True],
        "a21002": [True, True, True, False, True],
        "a34013": [True, True, True, True, False],
    }


def test_values_are_scaled():
    """A flow that stands still is nought, and stays a value."""
    flow = edited(a00000=Edit(scale=0.0))["a00000"]
    assert (flow.min, flow.avg, flow.max, flow.cou, flow.zs_avg) == (0, 0, 0, 0, None)


def test_two_edits_at_once():
    """Whatever is bad stays bad."""
    lost = frozenset((ROW,))
    assert Edit("F").join(Edit(lacks=lost)) == Edit("F", lost)
    assert Edit("F").join(Edit("D")).flag == "D"
    assert Edit(scale=0.0).join(Edit(scale=1.02)).is_zero


def test_what_is_due_is_what_is_sent():
    """Gas: all; wastewater: pollutants. Fields are the values an hour has; codes of 2005 are those of the catalogue."""
    assert find_due(FLUE)[:4] == (
        Due("a21026", "a21026", 3),
        Due("a21002", "a21002", 3),
        Due("a34013", "a34013", 3),
        Due("a19001", "a19001", 1),
    )
    assert [due.fields for due in find_due(FACTOR_SETS["dust"])] == [2, 1, 1, 1, 1, 2]
    assert [due.factor for due in find_due(FACTOR_SETS["sewage plant"])] == ["w01018", "w21003", "w21011", "w21001"]
    assert find_due(("B01", "011")) == (Due("011", "w01018", 2),)
    assert [find_flow(codes) for codes in (FLUE, ("B01", "011"), ("w01018",))] == ["a00000", "B01", ""]


def test_every_outlet_owes_something():
    """No outlet of the city has an empty base list, whatever its edition."""
    monitors = make_yuxi().monitors
    assert {monitor.profile.edition for monitor in monitors} == set(Edition)
    assert all(find_due(monitor.profile.factors) for monitor in monitors)
