"""What tests of the protocol draw from: frames, noise, chunkings, data areas and odd values."""

from hypothesis import strategies as st

from hj212gw.protocol import Dialect, Key, Packet, Reading, encode_frame, encode_frame_as, make_dialect, pick_values
from hj212gw.protocol.dialects import SLUGS
from hj212gw.protocol.editions import edition_of
from hj212gw.protocol.shapes import LEARN_AFTER
from hj212gw.protocol.times import parse_data_time
from hj212gw.protocol.values import OTHER_SUFFIXES, VALUE_SUFFIXES

MN = "010000A8900016F000169DC0"
DATA_TIME = "20260301080000"

# Values that Python, C or a spreadsheet would take for a number, or that break one; none is a plain decimal.
NOT_NUMBERS = (
    "-", "", "NaN", "nan", "inf", "-inf", "null", "1_000", "１２", "٣", "1e5", "1E-5", "+5", "0x1F", ".", "-.",
    "--1", "1-2", "1.2.3", "1,5x", " 1", "1 ", "1 2", "9" * 400, "-" + "9" * 300, "St", "1\n", "²",
)  # fmt: skip
PLAIN_NUMBERS = ("0", "-0", "00.10", "5.", ".5", "-.5", "-100", "235.242599117822", "9" * 300, "0.0000001")

factors = st.sampled_from(["w01018", "w21003", "a34004", "a00000", "LA", "011", "B01", "W01018", "pms_rules", "清"])
known_suffixes = st.sampled_from([*VALUE_SUFFIXES, "Flag"])
suffixes = st.one_of(
    known_suffixes,
    st.sampled_from([*sorted(OTHER_SUFFIXES), "rtd", "flag", "ZsFlag", "ValidNum", "Rtd-Rtd", "td", ""]),
)
values = st.one_of(
    st.sampled_from([*NOT_NUMBERS, *PLAIN_NUMBERS, "N", "D", "d", "//a;b,c//", "//cut", "20260301080000"]),
    st.decimals(-1000, 1000, places=3).map(str),
)
field_names = st.one_of(
    st.builds("{}-{}".format, factors, suffixes),
    st.sampled_from(["DataTime", "PolId", "QN", "Flag", "Rtd", "-Rtd", "", " ", " w01018-Rtd", "RestartTime"]),
)
data_times = st.sampled_from(
    [DATA_TIME, "20260301080000123", "2026030108000012", "20261301080000", "00000000000000", "", "x", "２０２６"]
)


@st.composite
def readable_areas(draw: st.DrawFn) -> bytes:
    """Draw a data area of the kind data loggers send, now and then with something odd in it."""
    codes = draw(st.lists(factors, min_size=1, max_size=4))
    names = draw(st.lists(known_suffixes, min_size=1, max_size=4))
    numbers = st.sampled_from(PLAIN_NUMBERS) | st.decimals(-99, 9999, places=2).map(str) | values
    groups = [f"DataTime={draw(data_times)}"]
    for code in codes:
        fields = [(name, draw(st.sampled_from("NFDB") if name == "Flag" else numbers)) for name in names]
        groups.append(",".join(f"{code}-{name}={value}" for name, value in fields))
    return (";".join(groups) + draw(st.sampled_from(["", ";", ";;", ","]))).encode()


odd_areas = st.lists(
    st.lists(st.builds("{}{}{}".format, field_names, st.sampled_from(["=", "=", "=", "", "=="]), values), max_size=4),
    max_size=6,
).map(lambda groups: ";".join(",".join(group) for group in groups).encode())
separator_soup = st.text("ab-=;,/&1. \0N", max_size=60).map(str.encode)
data_areas = st.one_of(readable_areas(), odd_areas, separator_soup, st.binary(max_size=80))

header_text = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=";,="), max_size=24)
digits = st.text("0123456789", min_size=17, max_size=17)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    """Draw a packet that can be written, warnings left out."""
    system, mn = draw(st.sampled_from(["32", "31", "21", "A0", "Z9", "91"])), draw(st.just(MN) | header_text)
    flag = draw(st.none() | st.integers(0, 255))
    pnum = draw(st.none() | st.integers(0, 9999))
    extra = draw(st.lists(st.tuples(st.sampled_from(["USCC", "IMEI", "x1"]), header_text), max_size=2))
    return Packet(
        qn=draw(st.just("") | digits),
        st=system,
        cn=draw(st.from_regex(r"[0-9]{4}", fullmatch=True)),
        pw=draw(st.just("123456") | header_text),
        mn=mn,
        flag=flag,
        pnum=pnum,
        pno=None if pnum is None else draw(st.integers(0, 9999)),
        rf=draw(st.booleans()),
        cp=draw(data_areas),
        extra=tuple(extra),
        edition=edition_of(flag, system, mn),
        warnings=(),
    )


numbers = st.none() | st.floats(-1e6, 1e6).filter(lambda number: abs(number) > 1e-200 or number == 0)


@st.composite
def reading_rows(draw: st.DrawFn) -> list[Reading]:
    """Draw readings of different factors at one moment, each with at least one value or flag."""
    moment = parse_data_time(DATA_TIME)
    rows = []
    for code in draw(st.lists(factors, min_size=1, max_size=5, unique=True)):
        cells = draw(st.tuples(*[numbers] * len(VALUE_SUFFIXES)))
        extra = draw(st.dictionaries(st.sampled_from(["SampleTime", "EFlag", "ValidNum"]), st.just("1"), max_size=2))
        rows.append(Reading._make((code, 0, moment, *cells, draw(st.sampled_from("NFDT")), extra or None)))
    return rows


def make_segment(number: int, cp: str = "DataTime=20260301080000;w01018-Rtd=1.1,w01018-Flag=N") -> bytes:
    """Make a data segment whose QN ends in a number."""
    return f"QN=20260301080000{number:03d};ST=32;CN=2011;PW=123456;MN={MN};Flag=5;CP=&&{cp}&&".encode()


frames = st.builds(
    lambda number, cp: encode_frame(make_segment(number, cp)),
    st.integers(0, 999),
    st.sampled_from(
        [
            "",
            "DataTime=20260301080000;w01018-Rtd=1.1",
            "DataTime=20260301080000;w01018-Rtd=1.1,w01018-Flag=N;w21003-Rtd=2",
            "PolId=w01018;i11001-Info=//##0099 is no frame; && neither, ####//",
        ]
    ),
)
# Other protocols on the port, and what is left of frames when a modem or a converter is in the way.
NOISE = (
    b"\x0e\x0f\x00\x00\x00\x06\x01\x04\x00\x00\x00d",  # Modbus/TCP poll
    b"\x01\x03\x00\x00\x00\x0a\xc5\xcd",  # Modbus RTU poll
    b"##\x02\xfeLSVAU2180E2000001\x01\x00\x1a\x15\x0b\x1c\x0e\x1e\x05\x00\x01",  # GB 17691
    b"##\x01\xfe12345678901234567\x01\x00\x06",
    b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS hello
    b"+++AT\r\nOK\r\n",
    b"\r\n", b"\n", b"\0" * 9, b"#", b"##", b"###", b"##0", b"##00", b"##0087", b"##0087Q", b"##0087QN", b"##9999QN=",
    b"##4096QN=20260301", b"##9999", b"##0000FFFF\r\n", b"##453QN=1;CP=&&&&1234\r\n", b"&&", b"&&1234", b"&&1C80\r\n",
    b"QN=20160801085857223;ST=32;CN=1062;CP=&&RtdInterval=30&&1C80\r\n",
    b"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=0100", b"##0020QN=1;CP=&&x&&0000", b"##0009QN=1;&&&&140",
    b"##0012ST=1;CP=&&&&FFFF\r\n", b"CP=&&", "清洗管路".encode("gbk"),
)  # fmt: skip
noise = st.one_of(
    st.sampled_from(NOISE),
    st.binary(max_size=40),
    st.builds(b"##%04d%b".__mod__, st.tuples(st.integers(0, 9999), st.sampled_from([b"", b"Q", b"QN=", b"AA&&"]))),
    st.lists(st.sampled_from([b"#", b"##", b"&&", b"0087", b"9999", b"QN", b"\r\n", b"A", b"1C80"]), max_size=8).map(
        b"".join
    ),
)
streams = st.lists(st.one_of(frames, frames.map(lambda frame: frame[:-2]), noise), max_size=8).map(b"".join)


@st.composite
def chunkings(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """Draw how a stream is cut on its way."""
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


KEYS = (Key("new", b"0123456789abcdef"), Key("old", bytes(range(16))))
MAX_BITS = 1 << len(SLUGS)


def dialect_of(mn: str) -> Dialect | None:
    """Tell the dialect of an MN such as D041-1: the bits of its slugs, and how many keys it has."""
    bits, separator, key_count = mn.removeprefix("D").partition("-")
    if not separator or not bits.isdecimal() or not key_count.isdecimal():
        return None
    slugs = [slug for bit, slug in enumerate(SLUGS) if int(bits) >> bit & 1]
    return make_dialect(slugs, KEYS[: int(key_count)])


dialect_areas = st.integers(0, 10**60).map(
    lambda number: f"DataTime=20260301080000;w01018-Rtd={number}"
) | st.sampled_from(
    [
        "",
        "DataTime=20260301080000;w01018-Rtd=1.1,w01018-Flag=N",
        "DataTime=20260301080000;i11001-Info=//清洗管路，重启//",
        "i11001-Info=//清洗//;w01018-Rtd=" + "1" * 40,
    ]
)


@st.composite
def spoken_frames(draw: st.DrawFn) -> tuple[bytes, bytes, Dialect]:
    """Draw a frame in some dialect, with the segment it says and the dialect it is written in."""
    key_count = draw(st.integers(0, len(KEYS)))
    # Characters cannot be counted in what is encrypted.
    counted = 0 if key_count else 1 << SLUGS.index("length_characters")
    bits = draw(st.integers(0, MAX_BITS - 1)) & ~(counted ^ 1 << SLUGS.index("length_characters"))
    mn = f"D{bits:03d}-{key_count}"
    number, area = draw(st.integers(0, 999)), draw(dialect_areas)
    encoding = draw(st.sampled_from(["utf-8", "gbk"]))
    segment = f"QN=20260301080000{number:03d};ST=32;CN=2011;PW=123456;MN={mn};Flag=5;CP=&&{area}&&".encode(encoding)
    allowed = dialect_of(mn)
    assert allowed is not None
    # What is allowed is not always done.
    used = allowed._replace(
        lacks_closing=allowed.lacks_closing and draw(st.booleans()),
        single_ampersand=allowed.single_ampersand and draw(st.booleans()),
        counts_characters=allowed.counts_characters and draw(st.booleans()),
        short_crc=allowed.short_crc and draw(st.booleans()),
        keys=draw(st.permutations(allowed.keys)) if draw(st.booleans()) else (),
    )
    return encode_frame_as(segment, used, is_printed=draw(st.booleans())), segment, used


spoken_streams = st.lists(
    st.one_of(
        frames,
        spoken_frames().map(lambda spoken: spoken[0]),
        spoken_frames().map(lambda spoken: spoken[0][:-2]),
        st.builds(lambda spoken, cut: spoken[0][:cut], spoken_frames(), st.integers(1, 300)),
        noise,
    ),
    max_size=6,
).map(b"".join)


def learn(cp):
    """Let the shape of a data area come often enough to be understood; return its values."""
    for _ in range(LEARN_AFTER):
        values = pick_values(cp)
    return values
