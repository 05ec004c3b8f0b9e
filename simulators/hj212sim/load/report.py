"""What a load run came to, as figures and as words."""

import os
from collections.abc import Iterable
from typing import Any

from hj212sim.load.plan import Plan
from hj212sim.load.tally import Progress, Tally
from hj212sim.schedule import US

_SHARES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
_SLOW_LAG_MS = 50.0  # of the generator; above it the latencies are not the gateway's alone


def make_report(plan: Plan, tally: Tally, *, seconds: float, own_bytes: int) -> dict[str, Any]:
    """Sum a run up.

    Args:
        plan: what was asked for.
        tally: of all processes.
        seconds: the run took.
        own_bytes: memory of the process that started the others.
    """
    loaded_secs = tally.ended_at - tally.began_at if tally.ended_at > tally.began_at else seconds
    return {
        "sent": tally.sent,
        "acked": tally.acked,
        "unacked": tally.sent - tally.acked,
        "unsent": tally.unsent,
        "resent": tally.resent,
        "repeated_acks": tally.repeated_acks,
        "strange_answers": tally.strange_answers,
        "requests": tally.requests,
        "sent_per_sec": _per_sec(tally.sent - tally.ramp_sent, loaded_secs),
        "acked_per_sec": _per_sec(tally.acked - tally.ramp_acked, loaded_secs),
        **{f"ack_{name}_ms": tally.latencies.quantile_ms(share) for name, share in _SHARES},
        "connects": tally.connects,
        "storms": tally.storms,
        "errors": tally.errors.total(),
        "errors_by_reason": dict(sorted(tally.errors.items())),
        "is_given_up": tally.is_given_up,
        "seconds": round(seconds, 3),
        "generator": {
            "processes": plan.processes,
            "lag_p99_ms": tally.lags.quantile_ms(0.99),
            "lag_max_ms": tally.lags.quantile_ms(1.0),
            "cpu_secs": round(tally.cpu_secs, 3),
            "cpu_us_a_packet": round(tally.cpu_secs * US / tally.acked, 2) if tally.acked else None,
            "memory_bytes": tally.memory_bytes + own_bytes,
        },
        "load_average": round(os.getloadavg()[0], 2),
        "plan": plan._asdict(),
    }


def find_faults(report: dict[str, Any]) -> list[str]:
    """Say what of a run was not as it must be; an empty list is a good run."""
    excess = report["repeated_acks"] - report["resent"]
    faults = {
        f"{report['unacked']} packets stayed without an answer": report["unacked"],
        f"{excess} answers came twice, more than packets were sent twice": excess > 0,
        f"{report['strange_answers']} answers were to nothing that was sent": report["strange_answers"],
        "nothing could be sent": not report["sent"],
        "nothing moved any more before everything was sent": report["sent"]
        and report["is_given_up"]
        and not report["unacked"],
    }
    check = report.get("check") or {}
    return [text for text, holds in faults.items() if holds] + list(check.get("faults", ()))


def describe_progress(progress: Progress, rates: tuple[float, float], seconds: float) -> str:
    """Write the line that is shown while a run goes on.

    Args:
        progress: of all processes.
        rates: packets sent and acknowledged a second, of late.
        seconds: since the beginning.
    """
    return (
        f"{seconds:.0f} s, {progress.connected} connected, sent {progress.sent} ({rates[0]:.0f}/s)"
        f" acked {progress.acked} ({rates[1]:.0f}/s) resent {progress.resent} errors {progress.errors}"
    )


def summarise(report: dict[str, Any]) -> Iterable[str]:
    """Say a report in words."""
    plan, generator = report["plan"], report["generator"]
    yield f"sent {report['sent']} ({report['sent_per_sec']}/s), acked {report['acked']} ({report['acked_per_sec']}/s)"
    if report["acked"]:
        yield "ack " + ", ".join(f"{name} {report[f'ack_{name}_ms']} ms" for name, _ in _SHARES)
    yield f"unacked {report['unacked']}, resent {report['resent']}, answered twice {report['repeated_acks']}"
    yield f"connects {report['connects']}, storms {report['storms']}, errors {report['errors']}"
    yield from (f"  {count} x {reason}" for reason, count in report["errors_by_reason"].items())
    if report["unsent"]:
        yield f"{report['unsent']} packets fell due and were not sent: the rate of {plan['rate']:.0f}/s was not reached"
    yield (
        f"generator: {generator['processes']} processes, {generator['cpu_us_a_packet']} us of CPU a packet,"
        f" {generator['memory_bytes'] >> 20} MiB, late by p99 {generator['lag_p99_ms']} ms"
    )
    if (generator["lag_p99_ms"] or 0.0) > _SLOW_LAG_MS:
        yield "the generator itself was late: the latencies are not the gateway's alone"
    yield f"{report['seconds']} s, load average {report['load_average']}, seed {plan['seed']}"
    if check := report.get("check"):
        yield (
            f"stored: {check['packets_stored']} of {check['packets_acked']} acked packets,"
            f" {check['readings_stored']} of {check['readings_acked']} readings, after {check['waited_secs']} s"
        )
    yield from (f"FAULT: {fault}" for fault in find_faults(report))


def _per_sec(count: int, secs: float) -> float:
    return round(count / secs, 1)
