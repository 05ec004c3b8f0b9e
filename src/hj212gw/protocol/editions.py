"""What differs between HJ/T 212-2005, HJ 212-2017 and HJ 212-2025, as one table."""

import enum
from typing import NamedTuple

INTERACTION_ST = "91"
SURFACE_WATER_ST = "21"


class Edition(enum.StrEnum):
    """An edition of the standard, named by its year."""

    V2005 = "2005"
    V2017 = "2017"
    V2025 = "2025"


class Rules(NamedTuple):
    """How one edition writes what the editions write differently.

    Attributes:
        answer_flag: Flag with the edition's version bits alone, as its answers have it.
        qn_in_header: answers repeat the QN in the header (2017, 2025) or inside CP (2005).
        part_digits: most digits of PNUM and PNO.
    """

    answer_flag: int
    qn_in_header: bool
    part_digits: int


# HJ/T 212-2005 6.3 and annex C; HJ 212-2017 table 3 and annex C; HJ 212-2025 6.3.3 (secondary).
RULES = {
    Edition.V2005: Rules(answer_flag=0, qn_in_header=False, part_digits=4),
    Edition.V2017: Rules(answer_flag=4, qn_in_header=True, part_digits=4),
    Edition.V2025: Rules(answer_flag=8, qn_in_header=True, part_digits=1),
}

_BY_VERSION = (Edition.V2005, Edition.V2017, Edition.V2025)
_NEWEST = len(_BY_VERSION) - 1


def edition_of(flag: int | None, st: str, mn: str) -> Edition:
    """Tell the edition a packet is written in.

    Args:
        flag: the packet's Flag; None where it has none, as in 2005.
        st: its ST.
        mn: its MN.

    Returns:
        The edition by Flag's version bits; a version above the newest counts as the newest.
    Source: HJ 212-2017 table 3 note; HJ 212-2025 6.3.3 (secondary). The national surface-water network
        (HJ 1404-2024) has sent Flag 8 and 9 since 2018 in packets of the 2017 shape.
    """
    if flag is None:
        return Edition.V2005
    version = flag >> 2
    if version < _NEWEST:
        return _BY_VERSION[version]
    return Edition.V2017 if st == SURFACE_WATER_ST or _is_surface_water_mn(mn) else Edition.V2025


def _is_surface_water_mn(mn: str) -> bool:
    """Tell an MN of the surface-water network, such as A220582_0001 or NM100000_0005."""
    region, separator, number = mn.partition("_")
    letters = region.rstrip("0123456789")
    return (
        separator == "_"
        and len(number) == 4  # noqa: PLR2004 - the network's own numbering
        and number.isdecimal()
        and len(region) - len(letters) == 6  # noqa: PLR2004 - GB/T 2260 region code
        and letters.isalpha()
    )
