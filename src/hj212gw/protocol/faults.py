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
    """

    row: int
    meaning: str


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
        "crc": Fault(3, "the CRC is not the data segment's by any known algorithm: left over from an edit, or damaged"),
        "crc_placeholder": Fault(3, "a constant stands in place of a CRC that is computed"),
        "crc_lower_case": Fault(4, "the CRC is four upper-case hex digits"),
        "crc_not_text": Fault(5, "the CRC is four hex digits, not raw bytes"),
        "length": Fault(7, "the length is the number of bytes of the data segment, with both &&"),
        "length_digits": Fault(8, "the length is four digits, zeros in front"),
        "too_long": Fault(9, "a data segment has at most 1024 bytes; more goes into parts (PNUM, PNO)"),
        "no_crlf": Fault(10, "every frame ends in CR LF"),
        "lf_only": Fault(10, "every frame ends in CR LF, not in LF alone"),
        "cut_off": Fault(11, "the connection or the stream ended inside a frame: a buffer too short for it"),
        "noise": Fault(12, "bytes of something else come to the port: another protocol, a modem's texts, a log"),
        "closing_missing": Fault(13, "the data segment ends in &&"),
        "qn_missing": Fault(15, "without QN a packet sent again is known for five minutes only"),
        "qn_malformed": Fault(16, "QN is YYYYMMDDhhmmssZZZ, 17 digits"),
        "field_order": Fault(17, "the header is QN ST CN PW MN Flag PNUM PNO, in this order"),
        "qn_in_data_area": Fault(17, "an upload has its QN in the header, not inside CP"),
        "flag_missing": Fault(18, "Flag tells the edition and asks for an answer: without it nothing is acknowledged"),
        "field_case": Fault(18, "the names of header fields have a fixed letter case"),
        "part_numbers": Fault(18, "a Flag with the parts' bit is followed by PNUM and PNO, 1 <= PNO <= PNUM"),
        "part_bit": Fault(19, "PNUM and PNO need the parts' bit (2) in Flag"),
        "pw": Fault(20, "PW is the six characters of the registry, after CN"),
        "mn": Fault(21, "MN is 24 hex digits, or 14 characters in 2005"),
        "mn_empty": Fault(21, "MN is empty: nobody knows whose data this is"),
        "st": Fault(22, "ST is the system code of what is measured"),
        "answer_st": Fault(23, "an answer has ST=91 and asks for none"),
        "data_time_digits": Fault(24, "DataTime is YYYYMMDDhhmmss, 14 digits"),
        "data_time": Fault(24, "DataTime is missing or no moment: no reading has a time"),
        "data_time_order": Fault(24, "DataTime is the first field of the data area"),
        "data_time_unaligned": Fault(25, "DataTime of a statistic is the start of its period, to the minute"),
        "data_time_odd": Fault(26, "DataTime is over 400 days before its arrival, or over a day after it"),
        "old_as_real_time": Fault(27, "old data is sent as real-time (2011): it belongs into 2051, 2061 or 2031"),
        "stray_character": Fault(28, "spaces or commas stand round header fields"),
        "missing_semicolon": Fault(28, "every header field ends in ;"),
        "space_in_key": Fault(28, "spaces stand round a name in the data area"),
        "header": Fault(28, "the header cannot be read: a field is missing, twice there or of a wrong shape"),
        "comma_between_factors": Fault(30, "factors are split by ;, the values of one by a comma"),
        "factor_missing": Fault(31, "a value has its factor's code in front, code-Suffix"),
        "suffix_case": Fault(31, "suffixes have a fixed letter case: Rtd, Min, Avg, Max, Cou, Flag"),
        "flag_unknown": Fault(31, "a data flag is one of N F M S D C T B, upper case"),
        "suffix_unknown": Fault(32, "a suffix is in no edition: its values are kept and not read"),
        "factor_unknown": Fault(32, "a factor's code is in no edition: its values have no unit"),
        "field_unknown": Fault(32, "a header field is in no edition"),
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
        "mn_conflict": Fault(0, "two data loggers that are both live send under one MN"),
        "wrong_password": Fault(0, "PW is not the one in the registry: one of the two is wrong"),
        "rf": Fault(0, "RF is 1 where a packet is sent again, else it is left out"),
        "cipher_printed": Fault(0, "the encrypted data area is sent printed, {0xE4,...}, not as bytes"),
    }
)
