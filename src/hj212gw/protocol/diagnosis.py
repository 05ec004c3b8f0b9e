"""What is odd about a data logger's packets, and which setting of ours would mend it.

Pure: bytes, a packet and its arrival in, proposals out. Nothing here changes how a packet is read; a person accepts
a proposal or not. What no setting mends is `repair`, with a slug of `faults.REPAIRS`.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from hj212gw.protocol.codes import GRAIN_BY_CN
from hj212gw.protocol.contents import find_area_hints, find_st_hint, find_value_hints
from hj212gw.protocol.dataarea import parse_data_area
from hj212gw.protocol.dialects import find_dialect
from hj212gw.protocol.factors import match_factor
from hj212gw.protocol.faults import REPAIR_BY_WARNING, REPAIRS, Hint, repair
from hj212gw.protocol.labels import find_label, hint_label, hint_times, is_certain, take_moments
from hj212gw.protocol.oddities import find_oddities
from hj212gw.protocol.packets import Packet
from hj212gw.protocol.readings import read_rows
from hj212gw.protocol.sizes import hint_units
from hj212gw.protocol.spans import diagnose_span, find_full_width, find_mn, show
from hj212gw.protocol.values import Reading, Readings

MAX_EVIDENCE = 200

_HEADER_ORDER = (b"QN=", b"ST=", b"CN=", b"PW=", b"MN=", b"Flag=", b"PNUM=", b"PNO=", b"RF=")
_WITHOUT_MN = frozenset(("1001", "9011", "9012", "9013", "9014"))  # 2025's first packet; answers of 2005
_OF_ALL_CNS = frozenset(("clock", "register", "rename", "unit"))
_NOT_IN_SEGMENT = frozenset(
    ("too_long", "crc_lower_case", "lf_only", "no_crlf", "cipher_printed", "mn_conflict", "wrong_password")
)
_CODE_LENGTH = 6  # of a 2017 factor
_AREA = b"CP="  # what comes behind the header, in whatever dialect
_EXCERPT = 150  # characters of a segment as evidence
_UNALIGNED = "data_time_unaligned"
_UNKNOWN_FACTOR = "factor_unknown"


class Proposal(NamedTuple):
    """One setting the gateway would take, or one fault the maker has to mend.

    Attributes:
        mn: data logger as sent, "" where the bytes name none.
        st: "" where it is the same for every ST.
        cn: "" where it is the same for every CN.
        what: `dialect`, `time_label`, `unit`, `rename`, `key`, `clock`, `register` or `repair`.
        value: slugs of `dialects.SLUGS` that are needed together, separated by spaces; `start`, `end` or `sent`;
            "code factor unit scale"; "code factor"; `sm4`; seconds the clock is ahead; ""; a slug of
            `faults.REPAIRS`.
        evidence: why, at most 200 printable characters, no password or key among them.
    """

    mn: str
    st: str
    cn: str
    what: str
    value: str
    evidence: str

    @property
    def is_certain(self) -> bool:
        """Whether one packet proves it; else several in a row have to say the same."""
        return is_certain(self.what, self.value)


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


STANDARD = InForce()


def diagnose_reject(raw: bytes, reason: str) -> Proposal | None:
    """Tell what would have made a frame of a span that was refused at the door.

    Args:
        raw: the span, as kept among the rejects.
        reason: why it was refused.

    Returns:
        The dialect under which it is a frame, else the key or the repair it needs; None where it is not the data
        logger's fault.
    """
    found = find_dialect(raw)
    if found is not None:
        mn, slugs = found
        evidence = f"a frame of {len(raw)} bytes, refused for its {reason}, is right under {' '.join(slugs)}"
        return Proposal(_clean_mn(mn), "", "", "dialect", " ".join(slugs), evidence)
    hint = diagnose_span(raw, reason)
    return hint and _propose(hint, find_mn(raw), "", "")


def diagnose_packet(
    packet: Packet,
    segment: bytes,
    warnings: Iterable[str],
    received_at: datetime,
    in_force: InForce = STANDARD,
) -> list[Proposal]:
    """Tell what is odd about an accepted packet, from its warnings, its shape, its times and its values.

    Args:
        packet: parsed from the segment.
        segment: its data segment as it came; only its header is looked at.
        warnings: slugs of its frame, the packet, its readings, the gateway's admission.
        received_at: its arrival, UTC.
        in_force: what the registry says of its data logger.

    Returns:
        Proposals, each once.
    """
    area = parse_data_area(packet.cp)
    readings = read_rows(area) if packet.cn in GRAIN_BY_CN else None
    hints = [
        *_find_header_hints(packet, segment, readings),
        *_find_marked(warnings, segment, packet.cp),
        *_find_marked(readings.warnings if readings else area.warnings, segment, packet.cp),
    ]
    marks = find_full_width(packet.cp)
    if marks:
        hints.append(repair("full_width", f"{marks} in the data area"))
    hints += _find_time_hints(packet, readings, received_at, in_force)
    if readings:
        hints += find_area_hints(area)
        hints += find_value_hints(readings.rows)
        hints += find_st_hint(readings.rows, packet.st)
        hints += _find_units(readings.rows, packet.st, in_force.units)
    hints += _find_odd(packet, readings, hints)
    return _propose_all(hints, packet)


def _is_of_2005(packet: Packet, readings: Readings) -> bool:
    """Tell an upload of 2005, whose samples have neither QN nor Flag, by its codes: none of 2017's six characters."""
    return packet.flag is None and all(len(row.factor) < _CODE_LENGTH for row in readings.rows)


def mark_reused(packet: Packet) -> Proposal:
    """Name a packet whose QN a packet with other data had just before."""
    return _propose(repair("qn_reused", f"QN {show(packet.qn.encode())} came twice"), packet.mn, packet.st, packet.cn)


def _find_marked(warnings: Iterable[str], segment: bytes, area: bytes) -> Iterator[Hint]:
    """Name what warnings say; those of a setting in use say nothing, and some need a closer look."""
    header = segment.partition(_AREA)[0]
    for warning in warnings:
        if warning == "unknown_mn":
            yield Hint("register", "", f"its MN is not in the registry: {show(header, _EXCERPT)}")
        elif warning == "key_missing":
            yield Hint("key", "sm4", "the key it was encrypted with is not known any more")
        slug = REPAIR_BY_WARNING.get(warning)
        if slug in _NOT_IN_SEGMENT:
            yield repair(slug, REPAIRS[slug].meaning)
        elif slug is not None:
            yield repair(slug, show(header if REPAIRS[slug].is_of_header else area, _EXCERPT))


def _find_header_hints(packet: Packet, segment: bytes, readings: Readings | None) -> Iterator[Hint]:
    """Tell what is odd in a header that no warning names: order, QN and Flag left out, no MN."""
    header = b";" + segment.partition(_AREA)[0]
    places = [header.find(b";" + name) for name in _HEADER_ORDER]
    found = [place for place in places if place >= 0]
    if found != sorted(found):
        names = " ".join(name[:-1].decode() for _, name in sorted(zip(places, _HEADER_ORDER, strict=True)) if _ >= 0)
        yield repair("field_order", f"the header is {names}")
    if packet.cn in _WITHOUT_MN:
        return
    if not packet.mn:
        yield repair("mn_empty", f"ST={show(packet.st.encode())};CN={packet.cn} without MN")
    if not packet.qn and readings and not _is_of_2005(packet, readings):
        yield repair("qn_missing", REPAIRS["qn_missing"].meaning)
    if packet.flag is None and packet.qn:
        yield repair("flag_missing", REPAIRS["flag_missing"].meaning)


def _find_time_hints(
    packet: Packet, readings: Readings | None, received_at: datetime, in_force: InForce
) -> Iterator[Hint]:
    moments = take_moments(packet, readings, received_at)
    yield from hint_times(packet.cn, moments)
    if readings:
        label = find_label(packet.cn, moments, readings.rows, in_force.interval_mins)
        hint = hint_label(label, packet.cn, moments, in_force.label)
        if hint:
            yield hint


def _find_units(rows: Iterable[Reading], st: str, known: frozenset[str]) -> Iterator[Hint]:
    for row in rows:
        if row.factor not in known:
            yield from hint_units(row, st)


def _find_odd(packet: Packet, readings: Readings | None, hints: list[Hint]) -> Iterator[Hint]:
    """Name what only the code tables tell, where nothing better explains it."""
    is_labelled = any(hint.what == "time_label" for hint in hints)
    rows = readings.rows if readings else []
    named = (oddity for oddity in find_oddities(packet, readings) if oddity in REPAIR_BY_WARNING)
    for oddity in named:
        if oddity == _UNKNOWN_FACTOR:
            codes = dict.fromkeys(row.factor for row in rows if not match_factor(row.factor, st=packet.st))
            yield repair("factor_unknown", f"ST={show(packet.st.encode())}: {show(' '.join(codes).encode(), 120)}")
        elif oddity != _UNALIGNED or not is_labelled:
            yield repair(REPAIR_BY_WARNING[oddity], f"{oddity}: ST={show(packet.st.encode())};CN={packet.cn}")


def _propose_all(hints: Iterable[Hint], packet: Packet) -> list[Proposal]:
    first: dict[tuple[str, str], Proposal] = {}
    for hint in hints:
        proposal = _propose(hint, packet.mn, packet.st, packet.cn)
        first.setdefault(proposal[3:5], proposal)
    return list(first.values())


def _propose(hint: Hint, mn: str, st: str, cn: str) -> Proposal:
    is_of_header = hint.what == "repair" and REPAIRS[hint.value].is_of_header
    if hint.what in _OF_ALL_CNS or is_of_header:
        st = cn = ""
    return Proposal(_clean_mn(mn), _clean(st), _clean(cn), hint.what, _clean(hint.value), _clean(hint.evidence))


def _clean_mn(mn: str) -> str:
    """Return an MN fit for a table; where a missing ; made PW a part of it, that is masked."""
    return _clean(show(mn.encode(), MAX_EVIDENCE) if "=" in mn else mn)


def _clean(text: str) -> str:
    """Return text fit for a table and a terminal."""
    return (text if text.isprintable() else ascii(text)[1:-1])[:MAX_EVIDENCE]
