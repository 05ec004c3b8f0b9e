"""What is changed in a factor's hour data before it is sent: its flag, its values, or what is left out."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hj212gw.protocol import Reading
from hj212sim.readings import NORMAL

ROW, MEAN, AMOUNT, CONVERTED = "row", "mean", "amount", "converted"
_LEFT_OUT: dict[str, dict[str, Any]] = {
    MEAN: {"min": None, "avg": None, "max": None},
    AMOUNT: {"cou": None},
    CONVERTED: {"zs_min": None, "zs_avg": None, "zs_max": None},
}
_VALUES = ("min", "avg", "max", "cou", "zs_min", "zs_avg", "zs_max")
_DECIMALS = 3


class Edit(NamedTuple):
    """What is changed in one factor of one hour.

    Attributes:
        flag: its data flag.
        lacks: what is left out: `ROW` is all of the factor, else the values of `MEAN`, `AMOUNT`, `CONVERTED`.
        scale: what its values are multiplied by; 0 for a flow that stands still.
    """

    flag: str = NORMAL
    lacks: frozenset[str] = frozenset()
    scale: float = 1.0

    @property
    def is_zero(self) -> bool:
        """Whether its values are nought."""
        return self.scale == 0.0

    def join(self, other: "Edit") -> "Edit":
        """Both at once; of two bad flags the other one."""
        flag = self.flag if other.flag == NORMAL else other.flag
        return Edit(flag, self.lacks | other.lacks, self.scale * other.scale)


Edits = Mapping[str, Edit]  # by code as sent


def edit_readings(readings: Iterable[Reading], edits: Edits) -> list[Reading]:
    """Change the readings of an hour; a code without an edit stays as it is."""
    edited = []
    for reading in readings:
        edit = edits.get(reading.factor)
        if edit is None:
            edited.append(reading)
        elif ROW not in edit.lacks:
            edited.append(_edit(reading, edit))
    return edited


def _edit(reading: Reading, edit: Edit) -> Reading:
    if edit.scale != 1.0:
        values = {name: getattr(reading, name) for name in _VALUES}
        scaled: dict[str, Any] = {
            name: round(value * edit.scale, _DECIMALS) for name, value in values.items() if value is not None
        }
        reading = reading._replace(**scaled)
    lacking = {name: value for what in edit.lacks for name, value in _LEFT_OUT[what].items()}
    return reading._replace(data_flag=edit.flag, **lacking)
