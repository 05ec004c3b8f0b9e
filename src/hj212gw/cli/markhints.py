"""What marks that were just written do not do, as lines on stderr; the exit code is that of what was asked."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from hj212gw.cli.output import say
from hj212gw.errors import StoreError

if TYPE_CHECKING:
    from hj212gw.config import Settings
    from hj212gw.store.registry import RegistryStore

_SHOWN = 20


async def read_hints(
    store: "RegistryStore", settings: "Settings", numbers: Sequence[int], now: datetime, outlet: str | None = None
) -> list[str]:
    """Say where marks do not count, by the settings in use.

    Args:
        store: that has them.
        settings: those of the assessment go before what the aggregator noted, where there are any.
        numbers: of the marks.
        now: vouchers that had to be there by now are late.
        outlet: whose marks they are; None for several.

    Returns:
        Lines; what was written stands, so a database that fails now is no more than one of them.
    """
    try:
        return await _find(store, settings, set(numbers), now, outlet) if numbers else []
    except StoreError as error:
        return [f"whether it counts is not known: {error}"]


async def _find(
    store: "RegistryStore", settings: "Settings", numbers: set[int], now: datetime, outlet: str | None
) -> list[str]:
    from hj212gw.assessment.markdays import to_facts  # noqa: PLC0415 - asyncpg is slow to import
    from hj212gw.assessment.markhints import find_basis, find_hints  # noqa: PLC0415
    from hj212gw.registry.markkinds import MANUAL  # noqa: PLC0415
    from hj212gw.store.marks import MarkFilter  # noqa: PLC0415

    async with store.snapshot():
        marks = await store.marks.read(MarkFilter(outlet=outlet))
        basis = find_basis(settings.assessment, await store.read_noted_rules())
    facts = {mark.mark_id: to_facts(mark) for mark in marks}
    samples = defaultdict(list)
    for mark in marks:
        if mark.kind == MANUAL:
            samples[mark.outlet, mark.factor].append(facts[mark.mark_id])
    return [
        f"mark {mark.mark_id} {hint}"
        for mark in marks
        if mark.mark_id in numbers and mark.state not in ("rejected", "void")
        for hint in find_hints(facts[mark.mark_id], samples[mark.outlet, mark.factor], basis, now)
    ]


def say_hints(hints: Sequence[str]) -> None:
    """Print hints as warnings, the first ones of many."""
    for hint in hints[:_SHOWN]:
        say(f"warning: {hint}")
    if len(hints) > _SHOWN:
        say(f"warning: and {len(hints) - _SHOWN} more of marks that do not count")
