"""What a person sees of a run: a line that follows it, and its report in words."""

import asyncio
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from hj212gw.clock import Clock
from hj212gw.protocol.times import WIRE_ZONE
from hj212sim.fleet import Fleet

_LIVE_SECS = 1.0


async def watch(fleet: Fleet, clock: Clock) -> None:
    """Keep one line on the terminal up to date."""
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        while True:
            tally = fleet.tally
            sent, acked = tally.sent.total(), tally.acked.total()
            state = "stopping" if fleet.is_stopping else "running"
            live.update(
                Text(
                    f"{clock.now().astimezone(WIRE_ZONE):%m-%d %H:%M:%S} {state}, "
                    f"{tally.connected}/{len(fleet)} connected, "
                    f"sent {sent} acked {acked} resent {tally.resent} errors {tally.errors}",
                    no_wrap=True,
                    overflow="ellipsis",
                ),
                refresh=True,
            )
            await asyncio.sleep(_LIVE_SECS)


def summarise(report: dict[str, Any]) -> Iterable[str]:
    """Say a report in words and aligned columns."""
    yield f"{'cn':<6}{'sent':>10}{'acked':>10}{'unacked':>10}"
    for cn, row in report["by_cn"].items():
        yield f"{cn:<6}{row['sent']:>10}{row['acked']:>10}{row['unacked']:>10}"
    yield f"{'all':<6}{report['sent']:>10}{report['acked']:>10}{report['unacked']:>10}"
    if report["by_fault"]:
        yield f"{'fault':<22}{'sent':>8}{'acked':>8}{'never':>8}"
    for slug, row in report["by_fault"].items():
        yield f"{slug:<22}{row['sent']:>8}{row['acked']:>8}{row['unacked']:>8}"
    yield f"resent {report['resent']}, never sent {report['unsent']}, at most {report['lag_max_secs']} s late"
    if report["late"]:
        yield f"{report['late']} hours came too late for the plan: its truth does not hold, a slower clock is needed"
    yield f"connects {report['connects']}, errors {report['errors']}, {report['seconds']} s"
    if report["acked"]:
        yield f"ack p50 {report['ack_p50_ms']} ms, p99 {report['ack_p99_ms']} ms, max {report['ack_max_ms']} ms"
