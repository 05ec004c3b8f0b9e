"""Tests of how an edition is told."""

import pytest

from hj212gw.protocol import Edition
from hj212gw.protocol.editions import RULES, edition_of


@pytest.mark.parametrize(
    ("flag", "edition"),
    [
        (None, Edition.V2005), (0, Edition.V2005), (3, Edition.V2005), (4, Edition.V2017), (7, Edition.V2017),
        (8, Edition.V2025), (11, Edition.V2025), (12, Edition.V2025), (255, Edition.V2025),
    ],
)  # fmt: skip
def test_the_version_bits_decide(flag: int | None, edition: Edition) -> None:
    """No Flag is 2005, and a version above the newest counts as the newest."""
    assert edition_of(flag, "32", "010000A8900016F000169DC0") is edition


@pytest.mark.parametrize(
    ("st", "mn", "edition"),
    [
        ("21", "ZLDSZ20210127", Edition.V2017),
        ("91", "A110000_0001", Edition.V2017),
        ("91", "NM100000_0005", Edition.V2017),
        ("32", "A11000_0001", Edition.V2025),
        ("32", "A110000_001", Edition.V2025),
        ("32", "A110000_000x", Edition.V2025),
        ("32", "110000_0001", Edition.V2025),
        ("32", "A1B10000_0001", Edition.V2025),
        ("32", "A1100000001", Edition.V2025),
    ],
)
def test_surface_water_sends_flag_8_and_9_in_2017_shape(st: str, mn: str, edition: Edition) -> None:
    """The national surface-water network is known by its ST or its MN, not taken for 2025."""
    assert edition_of(9, st, mn) is edition


def test_answer_flags_hold_the_version_bits_alone() -> None:
    """An answer never asks for one and has no parts."""
    assert [RULES[edition].answer_flag for edition in Edition] == [0, 4, 8]
