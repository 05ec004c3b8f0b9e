"""What a load run sends, as numbers: every packet follows from the plan and its number, nothing is kept for later.

Data loggers are spread over the connections: connection c of C carries the data loggers c, c + C, c + 2C and so on,
which take turns. So number s on a connection with n of them is step s // n of its data logger at place s % n. Step k
of a data logger has the DataTime `begin_secs` + k, which makes packet and readings unique.
"""

import math
from typing import NamedTuple

from hj212gw.errors import ConfigError
from hj212gw.protocol import Edition

MAX_PLACES = 1000  # data loggers on a connection: the QN's milliseconds tell them apart
MAX_STEPS = 390 * 86_400  # the gateway takes a DataTime of the last 400 days
MAX_PROCESSES = 64
_SPARE_STEPS = 80_000  # the gateway takes a DataTime of the day ahead
_MAX_RATE = 1_000_000.0  # taken for "as fast as possible" when the length of a run is only known in seconds


class Plan(NamedTuple):
    """One load run.

    Attributes:
        host, port: where it goes.
        processes: that share the connections.
        connections, loggers: at least one data logger a connection, at most `MAX_PLACES`.
        rate: packets a second over all connections, due evenly whatever the gateway does; None: as fast as the window
            allows.
        packets: over all connections; None where `secs` ends the run.
        secs: of load, after the ramp; None where `packets` does.
        window: most packets without an answer on a connection.
        ramp_secs: over which the connections are opened.
        storm_secs: between two cuts of all connections; None for none.
        linger_secs: without any answer, after which what is left counts as lost.
        cns: commands, in turn.
        factors: readings a packet.
        edition: of the packets; also those of 2005 carry a QN here.
        seed: of MNs and values.
        begin_secs: DataTime of every data logger's first packet, seconds since 1970 UTC.
    """

    host: str
    port: int
    processes: int
    connections: int
    loggers: int
    rate: float | None
    packets: int | None
    secs: float | None
    window: int
    ramp_secs: float
    storm_secs: float | None
    linger_secs: float
    cns: tuple[str, ...]
    factors: int
    edition: Edition
    seed: int
    begin_secs: int = 0

    @property
    def interval_secs(self) -> float:
        """Seconds between two packets of one connection, 0 without a rate."""
        return self.connections / self.rate if self.rate else 0.0

    def connections_of(self, process: int) -> range:
        """Tell the connections of one process."""
        return range(process, self.connections, self.processes)

    def loggers_of(self, connection: int) -> range:
        """Tell the data loggers of one connection, by place."""
        return range(connection, self.loggers, self.connections)

    def limit_of(self, connection: int) -> int:
        """Tell how many packets one connection sends at most."""
        if self.packets is not None:
            share, rest = divmod(self.packets, self.connections)
            return share + (connection < rest)
        return (self._expected_steps() + _SPARE_STEPS) * len(self.loggers_of(connection))

    def place_in_time(self, now_secs: int) -> "Plan":
        """Let the last DataTimes come out about now.

        Raises:
            ConfigError: a data logger would go back further than the gateway takes.
        """
        steps = self._expected_steps()
        if steps > MAX_STEPS:
            raise ConfigError(
                f"each of {self.loggers} data loggers would send {steps} packets a second apart, at most {MAX_STEPS}"
                " fit into the 400 days a gateway takes: more --loggers, or a shorter run"
            )
        return self._replace(begin_secs=now_secs - steps)

    def _expected_steps(self) -> int:
        if self.packets is not None:
            smallest = self.loggers // self.connections
            return math.ceil(math.ceil(self.packets / self.connections) / smallest)
        assert self.secs is not None
        return math.ceil((self.rate or _MAX_RATE) * (self.secs + self.ramp_secs) / self.loggers)


def check_plan(plan: Plan) -> None:
    """Refuse what cannot be run.

    Raises:
        ConfigError: names the option and what is accepted.
    """
    if not plan.connections <= plan.loggers <= plan.connections * MAX_PLACES:
        raise ConfigError(
            f"--loggers {plan.loggers}: expected {plan.connections} (one a connection) to"
            f" {plan.connections * MAX_PLACES} ({MAX_PLACES} a connection)"
        )
    if plan.processes > plan.connections:
        raise ConfigError(f"--processes {plan.processes}: expected at most one a connection, {plan.connections}")
    if (plan.packets is None) == (plan.secs is None):
        raise ConfigError("give --packets or --duration, one of them")
