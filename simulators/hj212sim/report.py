"""What came of a simulation: counts, latencies, and files that name every packet sent and acknowledged."""

import math
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hj212sim.faults import FAULTS
from hj212sim.schedule import MORE_CNS, US, Upload
from hj212sim.uploads import Profile, Written


class Tally:
    """Counts of one run, shared by its data loggers; memory does not grow with the packets.

    Attributes:
        sent, acked, resent: of data loggers that behave well: what stays without an answer is the host's doing.
        faulty_sent, faulty_acked: of the others, by fault.
        late: hours of a plan that were acknowledged after their deadline.
    """

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.acked: Counter[str] = Counter()
        self.faulty_sent: Counter[str] = Counter()
        self.faulty_acked: Counter[str] = Counter()
        self.resent = 0
        self.late = 0
        self.connects = 0
        self.errors = 0
        self.connected = 0
        self.lag_max_us = 0
        self._latencies: Counter[float] = Counter()

    def note_sent(self, upload: Upload, now_us: int, fault: str = "") -> None:
        """Count a transmission, before it is made, of a data logger with this fault."""
        if fault:
            self.faulty_sent[fault] += not upload.transmissions
            return
        if upload.transmissions:
            self.resent += 1
            return
        self.sent[upload.cn] += 1
        self.lag_max_us = max(self.lag_max_us, now_us - upload.due_us)

    def note_acked(self, upload: Upload, secs: float, fault: str = "") -> None:
        """Count an answer and the real time it took from the first transmission on this connection."""
        if fault:
            self.faulty_acked[fault] += 1
            return
        self.acked[upload.cn] += 1
        # Three digits of a latency keep the number of different ones small.
        self._latencies[float(f"{secs * 1000:.3g}")] += 1

    def latency_ms(self, share: float) -> float | None:
        """Return the latency that this share of the answers stayed within; None without answers."""
        rank = math.ceil(share * self._latencies.total())
        for latency in sorted(self._latencies):
            rank -= self._latencies[latency]
            if rank <= 0:
                return latency
        return None

    def report(self, *, unsent: int, secs: float) -> dict[str, Any]:
        """Sum the run up.

        Args:
            unsent: uploads that fell due and were never sent.
            secs: real time it took.
        """
        sent, acked = self.sent.total(), self.acked.total()
        return {
            "sent": sent,
            "acked": acked,
            "unacked": sent - acked,
            "unsent": unsent,
            "resent": self.resent,
            "late": self.late,
            "by_cn": {cn: _count(count, self.acked[cn]) for cn, count in sorted(self.sent.items())},
            "by_fault": {
                fault.slug: _count(self.faulty_sent[fault.slug], self.faulty_acked[fault.slug])
                for fault in FAULTS
                if self.faulty_sent[fault.slug]
            },
            "connects": self.connects,
            "errors": self.errors,
            "ack_p50_ms": self.latency_ms(0.5),
            "ack_p99_ms": self.latency_ms(0.99),
            "ack_max_ms": self.latency_ms(1.0),
            "lag_max_secs": round(self.lag_max_us / US, 3),
            "seconds": round(secs, 3),
        }


def _count(sent: int, acked: int) -> dict[str, int]:
    return {"sent": sent, "acked": acked, "unacked": sent - acked}


class Witness:
    """A file with a line per packet, on its way to the disk before anything else happens.

    Line: MN, CN, QN (empty in 2005), DataTime, BLAKE2b-16 of the data segment in hexadecimal, number of factors;
    separated by tabs.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def note(self, profile: Profile, upload: Upload, written: Written) -> None:
        """Write one line with one system call, so that a killed process leaves whole lines."""
        cells = (
            profile.mn,
            upload.cn,
            written.qn,
            written.data_time_text,
            written.digest,
            str(0 if upload.cn in MORE_CNS else len(profile.factors)),
        )
        os.write(self._descriptor, ("\t".join(cells) + "\n").encode("ascii"))


class Witnesses:
    """The two files of a run, either of them optional.

    Attributes:
        sent: a line at each first transmission.
        acked: a line at each acknowledgement.
    """

    def __init__(self, sent: Witness | None = None, acked: Witness | None = None) -> None:
        self.sent = sent
        self.acked = acked


@contextmanager
def open_witnesses(sent_path: Path | None, acked_path: Path | None) -> Iterator[Witnesses]:
    """Open the files that were asked for, emptied, and close them in the end.

    Raises:
        OSError: one cannot be written.
    """
    with ExitStack() as stack:
        yield Witnesses(*(_open(path, stack) for path in (sent_path, acked_path)))


def _open(path: Path | None, stack: ExitStack) -> Witness | None:
    if path is None:
        return None
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    stack.callback(os.close, descriptor)
    return Witness(descriptor)
