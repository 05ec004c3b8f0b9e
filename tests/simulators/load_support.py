"""What the tests of the load generator share."""

from hj212gw.protocol import Edition
from hj212sim.load.plan import Plan
from hj212sim.load.tally import Issued

NOW_SECS = 1_767_225_600  # 2026-01-01 00:00 UTC


def make_plan(**changes):
    """A small plan without a gateway, at a fixed time."""
    usual = {
        "host": "127.0.0.1",
        "port": 1,
        "processes": 1,
        "connections": 3,
        "loggers": 7,
        "rate": None,
        "packets": 100,
        "secs": None,
        "window": 10,
        "ramp_secs": 0.0,
        "storm_secs": None,
        "linger_secs": 1.0,
        "cns": ("2011",),
        "factors": 3,
        "edition": Edition.V2017,
        "seed": 1,
    }
    return Plan(**{**usual, **changes})._replace(begin_secs=NOW_SECS)


def read_plan(report):
    """The plan that a run's report tells."""
    told = report["plan"]
    return Plan(**{**told, "edition": Edition(told["edition"]), "cns": tuple(told["cns"])})


def all_acked(plan):
    """What the connections of a plan came to when every packet was answered."""
    return [Issued(connection, plan.limit_of(connection), ()) for connection in range(plan.connections)]
