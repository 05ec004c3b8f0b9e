"""Build the aggregator from settings and run it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from hj212gw.assessment.aggregator import Aggregator, Plan
from hj212gw.assessment.rules import make_rules
from hj212gw.cli.output import say
from hj212gw.clock import Clock
from hj212gw.config import Settings
from hj212gw.config_assessment import find_idle


def make_aggregator(settings: Settings, dsn: str, clock: Clock) -> Aggregator:
    """Build an aggregator from settings; those that have no effect on its figures are told."""
    for words in find_idle(settings.assessment):
        say(f"warning: {words}")
    plan = Plan(
        make_rules(settings.assessment),
        settings.aggregator.city,
        settings.aggregator.interval_secs,
        timedelta(seconds=settings.aggregator.live_journal_secs),
    )
    return Aggregator(dsn, plan, clock)


@asynccontextmanager
async def run_aggregator(settings: Settings, dsn: str, clock: Clock) -> AsyncIterator[None]:
    """Run an aggregator in the background for as long as the context lasts."""
    aggregator = make_aggregator(settings, dsn, clock)
    task = asyncio.create_task(aggregator.run())
    try:
        yield
    finally:
        aggregator.stop()
        await task
