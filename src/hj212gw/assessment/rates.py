"""From counts to rates: exact fractions, named policies, truncated percentages (assessment.md sections 4, 6 and 7)."""

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

_HUNDRED = 100
_PLACES = 100  # two decimals


class Counts(NamedTuple):
    """What was due and what came, by the names of assessment.md section 2."""

    expected_values: int = 0
    reported_values: int = 0
    expected_groups: int = 0
    groups_not_taking_part: int = 0
    groups_received: int = 0
    valid_groups: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Pool two counts."""
        return Counts(*(one + another for one, another in zip(self, other, strict=True)))


class Policy(NamedTuple):
    """How rates are made of counts (assessment.md section 7).

    Attributes:
        name: of the policy.
        t_unit: what transmission counts: value, group, none.
        v_denominator: what validity is divided by: expected, received, none for a fixed 100 %.
        combine: product of both; single, valid groups over groups due; t_only.
        threshold: percent to reach.
        basis: which counts: all, gfsw, gas, water.
        periods: it is meant for.
    """

    name: str
    t_unit: str
    v_denominator: str
    combine: str
    threshold: Fraction
    basis: str = "all"
    periods: tuple[str, ...] = ("day", "month", "quarter", "year")


class Rate(NamedTuple):
    """Rates as exact fractions; None where nothing is due, or where a policy has none."""

    transmission: Fraction | None
    validity: Fraction | None
    effective: Fraction | None
    passed: bool | None


def pool(counts: Iterable[Counts]) -> Counts:
    """Pool any number of counts."""
    return Counts(*map(sum, zip(*counts, strict=True))) if (counts := list(counts)) else Counts()


def compute_rate(counts: Counts, policy: Policy) -> Rate:
    """Compute the rates of pooled counts.

    With nothing received, validity by what was received is 0: so is the transmission it is multiplied with.
    """
    due = counts.expected_groups
    if not due:
        return Rate(None, None, None, None)
    transmission = None
    if policy.t_unit == "value":
        transmission = _divide(counts.reported_values, counts.expected_values)
    elif policy.t_unit == "group":
        transmission = Fraction(counts.groups_received, due)
    if policy.v_denominator == "none":
        validity = Fraction(1)
    elif policy.v_denominator == "received" and counts.groups_received:
        validity = Fraction(counts.valid_groups, counts.groups_received)
    else:
        validity = Fraction(counts.valid_groups, due)
    if policy.combine == "single":
        effective: Fraction | None = Fraction(counts.valid_groups, due)
    elif policy.combine == "t_only":
        effective = transmission
    else:
        effective = None if transmission is None else transmission * validity
    return Rate(transmission, validity, effective, is_passed(effective, policy.threshold))


def validity_of_received(counts: Counts) -> Fraction | None:
    """Return valid groups by those received, whatever the policy divides by; None where nothing came."""
    return _divide(counts.valid_groups, counts.groups_received)


def is_passed(effective: Fraction | None, threshold: Fraction) -> bool | None:
    """Test the exact fraction, not what is displayed; None where there is no rate."""
    return None if effective is None else effective * _HUNDRED >= threshold


def mean_of(rates: Iterable[Rate], threshold: Fraction) -> Rate:
    """Return the mean of rates, each the same; those that are none take no part."""
    found = [rate for rate in rates if rate.effective is not None]
    if not found:
        return Rate(None, None, None, None)
    effective = _mean([rate.effective for rate in found])
    transmission = _mean([rate.transmission for rate in found])
    validity = _mean([rate.validity for rate in found])
    return Rate(transmission, validity, effective, is_passed(effective, threshold))


def show_percent(fraction: Fraction | None, rounding: str = "truncate") -> str | None:
    """Write a fraction as percent with two decimals, cut off or rounded half up: 202/216 is 93.51 or 93.52."""
    if fraction is None:
        return None
    scaled = fraction * _HUNDRED * _PLACES
    whole = (scaled + Fraction(1, 2)).__floor__() if rounding == "half_up" else scaled.__floor__()
    return f"{whole // _PLACES}.{whole % _PLACES:02d}"


def _divide(over: int, under: int) -> Fraction | None:
    return Fraction(over, under) if under else None


def _mean(fractions: list[Fraction | None]) -> Fraction | None:
    known = [fraction for fraction in fractions if fraction is not None]
    return sum(known, Fraction(0)) / len(known) if known else None
