"""What is due of an outlet an hour, as a base list says it: what its data logger sends and what counts.

Source: assessment.md, section 3.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hj212sim.edits import AMOUNT, CONVERTED, MEAN
from hj212sim.readings import Interval, ReadingSource, catalogue_code
from hj212sim.schedule import HOUR

FIELDS = (MEAN, AMOUNT, CONVERTED)  # in the order in which a number of fields counts them
# Flow, pH and temperature of wastewater are shown and not counted; everything that waste gas has is.
_NOT_COUNTED = ("w00000", "w01001", "w01010")
_FLOWS = ("w00000", "a00000")
_AN_HOUR = Interval(0, 3600)


class Due(NamedTuple):
    """One line of the base list.

    Attributes:
        code: of the factor, as its data logger sends it.
        factor: the same in the catalogue.
        fields: values due an hour: 1 the mean, 2 with the amount, 3 with the converted mean.
    """

    code: str
    factor: str
    fields: int


def find_due(codes: Sequence[str]) -> tuple[Due, ...]:
    """Tell what is due an hour of an outlet whose data logger sends these factors, in their order."""
    due = []
    for reading in ReadingSource("", codes, seed=0).summarise(HOUR, _AN_HOUR):
        factor = catalogue_code(reading.factor)
        if factor not in _NOT_COUNTED:
            has = (reading.avg is not None, reading.cou is not None, reading.zs_avg is not None)
            due.append(Due(reading.factor, factor, (*has, False).index(False)))
    return tuple(due)


def find_flow(codes: Sequence[str]) -> str:
    """Return the code of the flow among those a data logger sends, "" where there is none."""
    return next((code for code in codes if catalogue_code(code) in _FLOWS), "")
