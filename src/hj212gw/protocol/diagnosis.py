"""What is odd about a data logger's packets, and which setting of ours would mend it.

Pure: bytes, a packet and its arrival in, proposals out. Nothing here changes how a packet is read; a person accepts
a proposal or not. What no setting mends is `repair`, with a slug of `faults.REPAIRS`.
"""

from typing import NamedTuple


class Proposal(NamedTuple):
    """One setting the gateway would take, or one fault the maker has to mend.

    Attributes:
        mn: data logger as sent, "" where the bytes name none.
        st: "" where it is the same for every ST.
        cn: "" where it is the same for every CN.
        what: `dialect`, `time_label`, `unit`, `rename`, `key`, `clock`, `register` or `repair`.
        value: a slug of `dialects.SLUGS`; `start`, `end` or `sent`; "code factor unit scale"; "code factor"; `sm4`;
            seconds the clock is ahead; ""; a slug of `faults.REPAIRS`.
        evidence: why, at most 200 printable characters, no password or key among them.
    """

    mn: str
    st: str
    cn: str
    what: str
    value: str
    evidence: str


class InForce(NamedTuple):
    """The registry's rows in force for a data logger that proposals are measured against.

    Attributes:
        label: of the packet's ST and CN: `start`, `end` or `sent`.
        interval_mins: of minute data, None where nobody knows.
        units: codes as sent that have a row.
    """

    label: str = "start"
    interval_mins: int | None = None
    units: frozenset[str] = frozenset()
