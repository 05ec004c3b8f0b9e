"""The faults of real data loggers that no setting of ours mends: the maker's to mend, and ours to name.

One row a slug. A fault for which there is a setting is proposed as that setting (`diagnosis`): a dialect, a time
label, a unit, a rename.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Fault(NamedTuple):
    """One fault.

    Attributes:
        row: of the spec's section 17; 0 where it has none.
        meaning: what is wrong, and what its data logger should do.
        is_of_header: it is the same for every ST and CN of a data logger.
    """

    row: int
    meaning: str
    is_of_header: bool = False


class Hint(NamedTuple):
    """A proposal before it is known whose it is; fields as those of `diagnosis.Proposal`."""

    what: str
    value: str
    evidence: str


def repair(slug: str, evidence: str) -> Hint:
    """Name a fault of `REPAIRS`."""
    return Hint("repair", slug, evidence)


# Rows of section 17 in which nothing is wrong to a gateway, and so nothing is proposed.
HARMLESS_ROWS: Mapping[int, str] = MappingProxyType(
    {
        6: "0000 is the right CRC of one packet in 256",
        11: "TCP keeps no packets apart: frames glued together or split are put together again",
        29: "a ; before the closing && is in the standards' own samples",
        39: "a connection may end after every packet; what was due is answered if it still can be",
    }
)

REPAIRS: Mapping[str, Fault] = MappingProxyType(
    {
        "crc": Fault(
            3,
            "the CRC is not the data segment's by any known algorithm: left over from an edit, or damaged",
            is_of_header=True,
        ),
        "crc_placeholder": Fault(3, "a constant stands in place of a CRC that is computed", is_of_header=True),
        "crc_lower_case": Fault(4, "the CRC is four upper-case hex digits", is_of_header=True),
        "crc_not_text": Fault(5, "the CRC is four hex digits, not raw bytes", is_of_header=True),
        "length": Fault(7, "the length is the number of bytes of the data segment, with both &&", is_of_header=True),
        "length_digits": Fault(8, "the length is four digits, zeros in front", is_of_header=True),
        "too_long": Fault(9, "a data segment has at most 1024 bytes; more goes into parts (PNUM, PNO)"),
        "no_crlf": Fault(10, "every frame ends in CR LF", is_of_header=True),
        "lf_only": Fault(10, "every frame ends in CR LF, not in LF alone", is_of_header=True),
        "cut_off": Fault(
            11, "the connection or the stream ended inside a frame: a buffer too short for it", is_of_header=True
        ),
        "noise": Fault(
            12, "bytes of something else come to the port: another protocol, a modem's texts, a log", is_of_header=True
        ),
        "closing_missing": Fault(13, "the data segment ends in &&", is_of_header=True),
        "qn_missing": Fault(15, "without QN a packet sent again is known for five minutes only", is_of_header=True),
        "qn_malformed": Fault(16, "QN is YYYYMMDDhhmmssZZZ, 17 digits", is_of_header=True),
        "field_order": Fault(17, "the header is QN ST CN PW MN Flag PNUM PNO, in this order", is_of_header=True),
        "qn_in_data_area": Fault(17, "an upload has its QN in the header, not inside CP"),
        "flag_missing": Fault(
            18, "Flag tells the edition and asks for an answer: without it nothing is acknowledged", is_of_header=True
        ),
        "field_case": Fault(18, "the names of header fields have a fixed letter case", is_of_header=True),
        "part_numbers": Fault(
            18, "a Flag with the parts' bit is followed by PNUM and PNO, 1 <= PNO <= PNUM", is_of_header=True
        ),
        "part_bit": Fault(19, "PNUM and PNO need the parts' bit (2) in Flag", is_of_header=True),
        "pw": Fault(20, "PW is the six characters of the registry, after CN", is_of_header=True),
        "mn": Fault(21, "MN is 24 hex digits, or 14 characters in 2005", is_of_header=True),
        "mn_empty": Fault(21, "MN is empty: nobody knows whose data this is", is_of_header=True),
        "st": Fault(22, "ST is the system code of what is measured"),
        "answer_st": Fault(23, "an answer has ST=91 and asks for none"),
        "data_time_digits": Fault(24, "DataTime is YYYYMMDDhhmmss, 14 digits"),
        "data_time": Fault(24, "DataTime is missing or no moment: no reading has a time"),
        "data_time_order": Fault(24, "DataTime is the first field of the data area"),
        "data_time_unaligned": Fault(25, "DataTime of a statistic is the start of its period, to the minute"),
        "data_time_odd": Fault(26, "DataTime is over 400 days before its arrival, or over a day after it"),
        "old_as_real_time": Fault(27, "old data is sent as real-time (2011): it belongs into 2051, 2061 or 2031"),
        "stray_character": Fault(28, "spaces or commas stand round header fields", is_of_header=True),
        "missing_semicolon": Fault(28, "every header field ends in ;", is_of_header=True),
        "space_in_key": Fault(28, "spaces stand round a name in the data area"),
        "header": Fault(
            28, "the header cannot be read: a field is missing, twice there or of a wrong shape", is_of_header=True
        ),
        "comma_between_factors": Fault(30, "factors are split by ;, the values of one by a comma"),
        "factor_missing": Fault(31, "a value has its factor's code in front, code-Suffix"),
        "suffix_case": Fault(31, "suffixes have a fixed letter case: Rtd, Min, Avg, Max, Cou, Flag"),
        "flag_unknown": Fault(31, "a data flag is one of N F M S D C T B, upper case"),
        "suffix_unknown": Fault(32, "a suffix is in no edition: its values are kept and not read"),
        "factor_unknown": Fault(32, "a factor's code is in no edition: its values have no unit"),
        "field_unknown": Fault(32, "a header field is in no edition", is_of_header=True),
        "cn_unknown": Fault(32, "a command code is in no edition: the packet is kept and not read"),
        "empty_value": Fault(33, "a value is left empty, some with flag N: leave the field out and set the flag"),
        "value_missing": Fault(33, "a field of the data area has no = and value"),
        "error_value": Fault(34, "an error code is sent as a number: -100, -999, 0.000 with flag D"),
        "statistics_disordered": Fault(34, "a mean lies outside its minimum and maximum"),
        "value_unreadable": Fault(35, "a value is no plain decimal number: -, NaN, null, 1e5"),
        "text_gbk": Fault(36, "text is UTF-8, not GBK"),
        "text_undecodable": Fault(36, "text is UTF-8; this is neither that nor GBK"),
        "full_width": Fault(37, "full-width punctuation stands where ; , = or & belongs"),
        "zs": Fault(38, "a converted value (Zs) is far from its own, or given for what is never converted"),
        "qn_reused": Fault(40, "two packets with different data have the same QN: only one of them is acknowledged"),
        "mn_conflict": Fault(0, "two data loggers that are both live send under one MN", is_of_header=True),
        "wrong_password": Fault(0, "PW is not the one in the registry: one of the two is wrong", is_of_header=True),
        "rf": Fault(0, "RF is 1 where a packet is sent again, else it is left out", is_of_header=True),
        "cipher_printed": Fault(
            0, "the encrypted data area is sent printed, {0xE4,...}, not as bytes", is_of_header=True
        ),
    }
)

# What a warning of a frame, a packet, its readings or the gateway is called here, where one slug says it all.
REPAIR_BY_WARNING: Mapping[str, str] = MappingProxyType(
    {
        **{
            slug: slug
            for slug in (
                "too_long",
                "crc_lower_case",
                "lf_only",
                "no_crlf",
                "cipher_printed",
                "stray_character",
                "missing_semicolon",
                "field_unknown",
                "field_case",
                "qn_malformed",
                "text_gbk",
                "text_undecodable",
                "value_missing",
                "space_in_key",
                "factor_missing",
                "suffix_case",
                "suffix_unknown",
                "flag_unknown",
                "data_time_odd",
                "data_time_unaligned",
                "factor_unknown",
                "statistics_disordered",
                "qn_in_data_area",
                "cn_unknown",
                "mn_conflict",
                "wrong_password",
            )
        },
        "rf_unusual": "rf",
        "pw_missing": "pw",
        "pw_unusual": "pw",
        "mn_unusual": "mn",
        "st_unusual": "st",
        "st_unknown": "st",
        "factor_of_other_medium": "st",
        "part_numbers_missing": "part_numbers",
        "part_number_unusual": "part_numbers",
        "part_bit_missing": "part_bit",
        "answer_unusual": "answer_st",
        "data_time_missing": "data_time",
        "data_time_unreadable": "data_time",
        "data_time_unusual": "data_time_digits",
    }
)


def fault_table() -> str:
    """Render every repair as a Markdown table."""
    lines = ["| `repair` | row | means |", "| --- | --- | --- |"]
    lines += [f"| `{slug}` | {fault.row or ''} | {fault.meaning} |" for slug, fault in REPAIRS.items()]
    return "\n".join(lines)
