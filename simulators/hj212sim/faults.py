"""What real data loggers do wrong, by name, and what a gateway must say about it.

Forty faults, in the order of the list kept with this project's protocol facts ("what real devices do wrong"). A
fault shows in one of several ways; a data logger has one fault and one way of it, and has it in every upload or in
a share of them. What is sent follows from the seed.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from hj212gw.errors import ConfigError
from hj212sim import damages as do
from hj212sim.damages import Damage, Draft


class Outcome(StrEnum):
    """What becomes of a faulty data logger's uploads."""

    STORED = "stored"
    REJECTED = "rejected"
    NOISE = "noise"  # the upload is stored; what came beside it is counted


class Proposal(NamedTuple):
    """What a gateway should propose; see the columns of `v_proposals`."""

    what: str
    value: str


class Way(NamedTuple):
    """One way in which a fault shows.

    Attributes:
        damage: what is done to each upload.
        outcome: what a strict gateway does with it.
        word: the warning of what is stored, "" without one; the reason of what is rejected.
        proposal: what is to be proposed; None where nothing is wrong to a gateway.
        rename: gives the data logger another MN, under which it is registered.
    """

    damage: Damage
    outcome: Outcome
    word: str
    proposal: Proposal | None
    rename: Callable[[str], str] | None = None


class Fault(NamedTuple):
    """One line of the list.

    Attributes:
        number: 1 to 40.
        slug: its name on the command line and in reports.
        ways: at least one; a data logger has one of them.
        share: of the uploads that have it, 0 to 1.
    """

    number: int
    slug: str
    ways: tuple[Way, ...]
    share: float = 1.0


class Assigned(NamedTuple):
    """The fault of one data logger.

    Attributes:
        fault: which.
        way: how it shows.
    """

    fault: Fault
    way: Way

    @property
    def is_refused(self) -> bool:
        """Whether uploads stay without an answer as long as the gateway has no setting for them."""
        return self.way.outcome is Outcome.REJECTED

    @property
    def dialect(self) -> str:
        """The setting under which a gateway takes the uploads, "" where none would help."""
        return self.way.proposal.value if self.way.proposal and self.way.proposal.what == "dialect" else ""

    def apply(self, segment: bytes, key: str) -> Draft:
        """Make a draft of an upload as this data logger sends it.

        Args:
            segment: the right data segment.
            key: of the upload; the same key gives the same draft.
        """
        rng = random.Random(key)
        draft = Draft(segment)
        return self.way.damage(draft, rng) if rng.random() < self.fault.share else draft


def _stored(damage: Damage, word: str = "", proposal: Proposal | None = None) -> Way:
    return Way(damage, Outcome.STORED, word, proposal)


def _rejected(damage: Damage, word: str, proposal: Proposal) -> Way:
    return Way(damage, Outcome.REJECTED, word, proposal)


def _noise(*texts: bytes) -> Way:
    return Way(do.put_before(*texts), Outcome.NOISE, "", _repair("noise"))


def _dialect(slug: str) -> Proposal:
    return Proposal("dialect", slug)


def _repair(slug: str) -> Proposal:
    return Proposal("repair", slug)


def _clock(days: int) -> Way:
    secs = days * 86_400
    return _stored(do.shift_clock(secs), "", Proposal("clock", str(secs)))


def _renamed(rename: Callable[[str], str]) -> Way:
    return Way(do.do_nothing, Outcome.STORED, "mn_unusual", _repair("mn"), rename)


def _serials(mn: str) -> tuple[str, int, int]:
    """Take the MN of a preset apart: county, enterprise, outlet."""
    return mn[:6], int(mn[7:15]), int(mn[16:])


def _short_mn(mn: str) -> str:
    _, enterprise, outlet = _serials(mn)
    return f"{enterprise:03d}{chr(ord('A') + outlet)}H"


def _dashed_mn(mn: str) -> str:
    county, enterprise, outlet = _serials(mn)
    return f"aqms-{county}-{enterprise:04d}{outlet:02d}"


def _underscored_mn(mn: str) -> str:
    county, enterprise, outlet = _serials(mn)
    return f"S{county}_{enterprise:04d}_{outlet:02d}"


_RTD = rb"-(Rtd|Avg)=[^,;]*"  # the first value of an upload, whichever its command

FAULTS = (
    Fault(1, "crc_modbus", (_rejected(do.write_modbus_crc, "crc", _dialect("crc_modbus")),)),
    Fault(2, "crc_modbus_swapped", (_rejected(do.write_swapped_crc, "crc", _dialect("crc_modbus_swapped")),)),
    Fault(
        3,
        "crc_placeholder",
        (
            *(
                _rejected(do.write_fixed_crc(crc), "crc", _repair("crc_placeholder"))
                for crc in (b"FFFF", b"2800", b"23AD", b"B381")
            ),
            _rejected(do.keep_old_crc, "crc", _repair("crc")),
        ),
    ),
    Fault(4, "crc_lower_case", (_stored(do.lower_crc, "crc_lower_case", _repair("crc_lower_case")),)),
    Fault(5, "crc_short", (_rejected(do.shorten_crc, "crc", _dialect("crc_short")),)),
    Fault(6, "crc_zero", (_stored(do.reach_zero_crc),)),
    Fault(
        7,
        "length_wrong",
        (
            _rejected(do.miscount(-1), "length", _repair("length")),
            _rejected(do.miscount(1), "length", _repair("length")),
            _rejected(do.write_fixed_length(b"0131"), "length", _repair("length")),
            _rejected(do.count_characters, "length", _dialect("length_characters")),
        ),
    ),
    Fault(8, "length_digits", (_rejected(do.write_bare_length, "header", _repair("length_digits")),)),
    Fault(9, "segment_too_long", (_stored(do.lengthen, "too_long", _repair("too_long")),)),
    Fault(10, "no_crlf", (_stored(do.set_trailer(b""), "no_crlf", _repair("no_crlf")),)),
    Fault(11, "packets_in_pieces", (_stored(do.send_in_pieces), _stored(do.send_twice))),
    Fault(
        12,
        "foreign_data",
        (
            _noise(bytes.fromhex("0E0F00000006010400000064"), bytes.fromhex("0E1000000006010300000010")),
            _noise(b"AT+CIPSEND\r\n", b"+++", b"ATH\r\n"),
            _noise("【2020-08-28 19:10:34:044】".encode()),
            _noise(b"#soft.cnhttp://www.cmsoft.cn"),
        ),
        share=0.5,
    ),
    Fault(13, "closing_missing", (_rejected(do.drop_closing, "trailer", _dialect("closing_missing")),)),
    Fault(
        14,
        "single_ampersand",
        (
            _rejected(
                do.both(do.replace(rb"CP=&&", b"CP=&"), do.replace(rb"&&\Z", b"&")),
                "trailer",
                _dialect("single_ampersand"),
            ),
        ),
    ),
    Fault(15, "qn_absent", (_stored(do.replace(rb"\AQN=[0-9]*;", b""), "", _repair("qn_missing")),)),
    Fault(
        16,
        "qn_digits",
        tuple(
            _stored(do.rewrite_qn(write), "qn_malformed", _repair("qn_malformed"))
            for write in (do.qn_as_unix_ms, lambda qn: qn[:14], lambda qn: qn + b"0")
        ),
    ),
    Fault(
        17,
        "qn_misplaced",
        (
            _stored(do.replace(rb"\A(QN=[0-9]*;)(ST=[^;]*;CN=[^;]*;)", rb"\2\1"), "", _repair("field_order")),
            _stored(do.replace(rb"\A(QN=[0-9]*;)(.*DataTime=[0-9]*;)", rb"\2\1"), "", _repair("qn_in_data_area")),
        ),
    ),
    Fault(
        18,
        "flag_odd",
        (
            _stored(do.drop_flag, "", _repair("flag_missing")),
            _stored(do.replace(rb";Flag=", b";FLAG="), "field_case", _repair("field_case")),
            _stored(do.replace(rb";Flag=5", b";Flag=7"), "part_numbers_missing", _repair("part_numbers")),
        ),
    ),
    Fault(
        19,
        "part_numbers_odd",
        (
            _stored(do.replace(rb";Flag=5", b";Flag=5;PNO=0001;PNUM=0001"), "part_bit_missing", _repair("part_bit")),
            _stored(do.number_without_flag, "part_bit_missing", _repair("part_bit")),
        ),
    ),
    Fault(
        20,
        "pw_odd",
        (
            _stored(do.replace(rb";PW=[^;]*", b""), "pw_missing", _repair("pw")),
            _stored(do.replace(rb";PW=[^;]*", b";PW="), "pw_unusual", _repair("pw")),
            _stored(do.replace(rb";PW=[^;]*", b";PW=BF470F88957588DE902D1A52"), "pw_unusual", _repair("pw")),
        ),
    ),
    Fault(21, "mn_odd", tuple(map(_renamed, (_short_mn, _dashed_mn, _underscored_mn)))),
    Fault(
        22,
        "st_wrong",
        (
            _stored(do.swap_st, "", _repair("st")),
            _stored(do.replace(rb"ST=3[12];", b"ST=101;"), "st_unusual", _repair("st")),
        ),
    ),
    Fault(23, "answers_answers", (_stored(do.answer_answers, "answer_unusual", _repair("answer_st")),)),
    Fault(
        24,
        "data_time_digits",
        (
            _stored(
                do.replace(rb"(DataTime=[0-9]{14})", rb"\g<1>000"), "data_time_unusual", _repair("data_time_digits")
            ),
            _stored(
                do.replace(rb"(DataTime=[0-9]{14})", rb"\g<1>50"), "data_time_unusual", _repair("data_time_digits")
            ),
            _stored(do.replace(rb"(DataTime=[0-9]{14});(.*)&&\Z", rb"\2;\1&&"), "", _repair("data_time_order")),
        ),
    ),
    Fault(25, "labelled_with_sending", (_stored(do.label_with_sending, "", Proposal("time_label", "sent")),)),
    Fault(26, "clock_years_off", (_clock(-26 * 365), _clock(14 * 365))),
    Fault(
        27, "old_data_as_real_time", (_stored(do.send_old_data(102_180), "", _repair("old_as_real_time")),), share=0.5
    ),
    Fault(
        28,
        "stray_characters",
        (
            _stored(do.replace(rb"-(Rtd|Avg)=", rb"-\1 =", count=0), "space_in_key", _repair("space_in_key")),
            _stored(do.replace(rb";MN=", b";,MN="), "stray_character", _repair("stray_character")),
            _stored(do.replace(rb";CP=", b"CP="), "missing_semicolon", _repair("missing_semicolon")),
        ),
    ),
    Fault(29, "trailing_semicolon", (_stored(do.replace(rb"&&\Z", b";&&")),)),
    Fault(
        30,
        "commas_between_factors",
        (_stored(do.replace(rb";(?=[aw])", b",", count=0), "", _repair("comma_between_factors")),),
    ),
    Fault(
        31,
        "names_malformed",
        (
            _stored(do.replace(rb"[aw]\w+-Flag=", b"Flag="), "factor_missing", _repair("factor_missing")),
            _stored(do.replace(rb"-(R|A)(td|vg)=", rb"-\2="), "suffix_unknown", _repair("suffix_unknown")),
            _stored(do.replace(rb"-(Rtd|Avg)=", rb"-\1-\1="), "suffix_unknown", _repair("suffix_unknown")),
            _stored(do.replace(rb"-Rtd=|-Min=", b"-min="), "suffix_case", _repair("suffix_case")),
            _stored(do.replace(rb"-Flag=N", b"-Flag=d"), "flag_unknown", _repair("flag_unknown")),
        ),
    ),
    Fault(
        32,
        "vendor_names",
        (
            _stored(
                do.replace(rb"([aw]\w+)-Flag=", rb"\1-ValidNum=12,\g<0>"), "suffix_unknown", _repair("suffix_unknown")
            ),
            _stored(do.append(b"pms_rules-Rtd=1,lng-Rtd=102.5403"), "", _repair("factor_unknown")),
        ),
    ),
    Fault(
        33,
        "values_empty",
        (_stored(do.replace(_RTD, rb"-\1="), "value_unreadable", _repair("empty_value")),),
        share=0.5,
    ),
    Fault(
        34,
        "error_values",
        (
            _stored(do.replace(rb"-(Rtd|Avg)=[^,;]*(.*?)-Flag=N", rb"-\1=-100\2-Flag=B"), "", _repair("error_value")),
            _stored(do.replace(rb"-(Rtd|Avg)=[^,;]*(.*?)-Flag=N", rb"-\1=0.000\2-Flag=D"), "", _repair("error_value")),
        ),
        share=0.5,
    ),
    Fault(
        35,
        "values_no_numbers",
        tuple(
            _stored(do.replace(_RTD, rb"-\1=" + text), "value_unreadable", _repair("value_unreadable"))
            for text in (b"-", b"NaN", b"null")
        ),
        share=0.5,
    ),
    Fault(
        36,
        "text_gbk",
        (_stored(do.append("i21001-Info=//数采仪运行正常//".encode("gbk")), "text_gbk", _repair("text_gbk")),),
    ),
    Fault(
        37,
        "full_width",
        (
            _stored(do.replace(rb"-(Rtd|Avg)=", rb"-\1" + "＝".encode()), "value_missing", _repair("full_width")),
            _stored(do.replace(rb"-Flag=N;", "-Flag=N；".encode()), "flag_unknown", _repair("full_width")),
        ),
    ),
    Fault(38, "conversion_wrong", (_stored(do.convert_wrongly, "", _repair("zs")),)),
    Fault(39, "hangs_up", (_stored(do.hang_up),)),
    Fault(40, "qn_repeated", (_stored(do.rewrite_qn(do.qn_of_two_minutes), "", _repair("qn_reused")),)),
)

_BY_SLUG = {fault.slug: fault for fault in FAULTS}


def find_faults(slugs: Iterable[str]) -> tuple[Fault, ...]:
    """Look faults up by name, in the order of the list.

    Raises:
        ConfigError: there is none of a name.
    """
    wanted = set(slugs)
    unknown = sorted(wanted - set(_BY_SLUG))
    if unknown:
        raise ConfigError(f"--fault {unknown[0]}: expected one of {' '.join(_BY_SLUG)}")
    return tuple(fault for fault in FAULTS if fault.slug in wanted)


def assign_faults(mns: Sequence[str], count: int, faults: Sequence[Fault], *, seed: int) -> dict[str, Assigned]:
    """Choose data loggers and give each one fault; the faults go round in order.

    Args:
        mns: those that may have one.
        count: how many have one, at most all of them.
        faults: at least one.
        seed: the same seed and arguments give the same choice.
    """
    rng = random.Random(f"{seed}/faults")
    chosen = rng.sample(sorted(mns), min(count, len(mns)))
    assigned = {}
    for index, mn in enumerate(chosen):
        fault = faults[index % len(faults)]
        assigned[mn] = Assigned(fault, rng.choice(fault.ways))
    return assigned
