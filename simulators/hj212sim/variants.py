"""What tells some data loggers of a city from the others: a fault, a key, gaps in what they send."""

import json
import random
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from hj212gw.protocol import Edition
from hj212gw.protocol.cipher import SECRET_BYTES
from hj212gw.protocol.dialects import Key
from hj212sim.base_list import find_due, find_flow
from hj212sim.faults import Fault, assign_faults
from hj212sim.gaps import Gap, Site, draw_gaps
from hj212sim.plan import Run, make_plan
from hj212sim.presets import City, Monitor
from hj212sim.schedule import hour_delay_us

_KEY_ID = "sim1"


def add_faults(city: City, share: float, faults: Sequence[Fault], *, seed: int) -> City:
    """Give a share of a city's data loggers each one fault.

    Args:
        city: left as it is.
        share: of all its data loggers, 0 to 1; only those of HJ 212-2017 get one, whose shape the faults are in.
        faults: at least one; each appears once before the first appears twice.
        seed: the same seed and city give the same choice.
    """
    mns = [monitor.profile.mn for monitor in city.monitors if monitor.profile.edition is Edition.V2017]
    assigned = assign_faults(mns, round(share * len(city.monitors)), faults, seed=seed)

    def spoil(monitor: Monitor) -> Monitor:
        profile = monitor.profile
        fault = assigned.get(profile.mn)
        if fault is None:
            return monitor
        mn = fault.way.rename(profile.mn) if fault.way.rename is not None else profile.mn
        return monitor._replace(profile=profile._replace(mn=mn, fault=fault))

    return city._replace(monitors=[spoil(monitor) for monitor in city.monitors])


def add_gaps(city: City, rate: float, gaps: Sequence[Gap], run: Run) -> City:
    """Let hour data of a city go missing, come late or be wrong.

    Args:
        city: left as it is.
        rate: gaps an outlet has a day, on average.
        gaps: at least one kind; each is there before the first is there twice.
        run: how long, until when and by which seed; the same run and city give the same gaps.
    """
    sites = {monitor.outlet: _describe(monitor) for monitor in city.monitors}
    drawn = draw_gaps(list(sites.values()), run.days(), rate, gaps, seed=run.seed)

    def plan(monitor: Monitor) -> Monitor:
        delay_us = hour_delay_us(monitor.profile.rhythm)
        made = make_plan(sites[monitor.outlet], drawn[monitor.outlet], run, delay_us=delay_us)
        return monitor._replace(profile=monitor.profile._replace(plan=made))

    return city._replace(monitors=[plan(monitor) for monitor in city.monitors])


def _describe(monitor: Monitor) -> Site:
    codes = monitor.profile.factors
    return Site(monitor.outlet, monitor.medium == "water", codes, find_due(codes), find_flow(codes))


def add_keys(city: City, share: float, *, seed: int) -> City:
    """Let a share of a city's data loggers of HJ 212-2025 encrypt what they send, each with a key of its own.

    Args:
        city: left as it is.
        share: of those that speak 2025, 0 to 1.
        seed: the same seed and city give the same keys; they are for trials and keep nothing secret.
    """
    mns = sorted(monitor.profile.mn for monitor in city.monitors if monitor.profile.edition is Edition.V2025)
    chosen = frozenset(random.Random(f"{seed}/keys").sample(mns, round(share * len(mns))))

    def encrypt(monitor: Monitor) -> Monitor:
        profile = monitor.profile
        if profile.mn not in chosen:
            return monitor
        secret = blake2b(f"{seed}/{profile.mn}/key".encode(), digest_size=SECRET_BYTES).digest()
        return monitor._replace(profile=profile._replace(key=Key(_KEY_ID, secret)))

    return city._replace(monitors=[encrypt(monitor) for monitor in city.monitors])


def write_truth(city: City, path: Path) -> Path:
    """Write what a gateway should find out about a city: a JSON line per faulty data logger.

    Members: mn, number and fault (its slug), outcome (`stored`, `rejected` or `noise`), word (the warning or reason,
    "" without one), what and value of the proposal, or null where nothing is wrong to a gateway.

    Raises:
        OSError: it cannot be written.
    """
    lines = []
    for monitor in city.monitors:
        assigned = monitor.profile.fault
        if assigned is None:
            continue
        fault, way = assigned.fault, assigned.way
        line = {
            "mn": monitor.profile.mn,
            "number": fault.number,
            "fault": fault.slug,
            "outcome": way.outcome,
            "word": way.word,
            "what": way.proposal and way.proposal.what,
            "value": way.proposal and way.proposal.value,
        }
        lines.append((fault.number, monitor.profile.mn, json.dumps(line)))
    path.write_text("".join(f"{text}\n" for _, _, text in sorted(lines)), encoding="utf-8")
    return path
