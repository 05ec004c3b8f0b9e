"""Invented enterprises of the Yuxi region: counties, industries, names and credit codes."""

import random
from typing import NamedTuple


class County(NamedTuple):
    """A county of Yuxi.

    Attributes:
        name: as in the registry.
        place: as in an enterprise's name.
        code: of GB/T 2260.
        share: of the city's enterprises, as a weight.
    """

    name: str
    place: str
    code: str
    share: int


class Industry(NamedTuple):
    """What an enterprise does.

    Attributes:
        suffix: end of its name.
        sets: kinds of instrument sets at its outlets, in the order they are built (`presets.FACTOR_SETS`).
        share: of the city's enterprises, as a weight.
        weight: how many outlets it tends to have.
    """

    suffix: str
    sets: tuple[str, ...]
    share: int
    weight: int


COUNTIES = (
    County("红塔区", "红塔", "530402", 40),
    County("江川区", "江川", "530403", 16),
    County("通海县", "通海", "530423", 22),
    County("华宁县", "华宁", "530424", 14),
    County("易门县", "易门", "530425", 22),
    County("峨山县", "峨山", "530426", 18),
    County("新平县", "新平", "530427", 18),
    County("元江县", "元江", "530428", 10),
    County("澄江市", "澄江", "530481", 13),
)

INDUSTRIES = (
    Industry("污水处理有限公司", ("sewage plant", "sewage plant"), 26, 1),
    Industry("水泥有限公司", ("flue gas", "dust", "dust", "dust"), 18, 5),
    Industry("钢铁有限公司", ("flue gas", "dust", "flue gas", "dust", "process water", "dust"), 12, 8),
    Industry("热电有限公司", ("flue gas", "flue gas", "process water"), 8, 4),
    Industry("环保发电有限公司", ("flue gas", "flue gas", "process water"), 5, 3),
    Industry("铜业有限公司", ("flue gas", "metal water", "dust"), 12, 4),
    Industry("磷化工有限公司", ("nutrient water", "flue gas", "dust"), 16, 4),
    Industry("陶瓷有限公司", ("flue gas", "dust"), 14, 3),
    Industry("造纸有限公司", ("nutrient water", "flue gas"), 14, 2),
    Industry("糖业有限公司", ("nutrient water", "flue gas"), 10, 2),
    Industry("食品有限公司", ("process water", "flue gas"), 22, 1),
    Industry("表面处理有限公司", ("metal water", "process water"), 16, 1),
)

_FIRST = "润宏云锦瑞盛泰兴嘉恒源丰华玉茂腾"
_SECOND = "泽远岭川和达通昌禾益麓顺宇康信立"
_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015
_CREDIT_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


def make_names(counties: list[County], industries: list[Industry], rng: random.Random) -> list[str]:
    """Name enterprises, one for each pair of a county and an industry, none of them twice.

    The words are drawn without return until they run out, then they get a number.
    """
    words = [first + second for first in _FIRST for second in _SECOND]
    rng.shuffle(words)
    names = []
    for index, (county, industry) in enumerate(zip(counties, industries, strict=True)):
        turn, place = divmod(index, len(words))
        number = f"第{turn + 1}" if turn else ""
        names.append(f"{county.place}{words[place]}{number}{industry.suffix}")
    return names


def make_credit_code(county: County, serial: int) -> str:
    """Make a unified social credit code with a right check character; XN (虚拟) marks it as invented."""
    body = f"91{county.code}XN{serial:07d}"
    total = sum(weight * _CREDIT_ALPHABET.index(char) for weight, char in zip(_CREDIT_WEIGHTS, body, strict=True))
    return body + _CREDIT_ALPHABET[-total % len(_CREDIT_ALPHABET)]
