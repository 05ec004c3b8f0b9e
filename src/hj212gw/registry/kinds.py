"""The kinds of registry files: their columns, what a cell may hold, how rows refer to each other.

A kind's name is the name of its table and of its exported file; its columns are those of both. One more kind of dated
rows is one more row model in `rows` and one more line in `KINDS`. Marks are declared and never replaced, so they stand
beside `KINDS` and share the files alone.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from hj212gw.protocol.factors import match_factor
from hj212gw.registry.cells import ALL_FACTORS, format_moment
from hj212gw.registry.markkinds import MANUAL
from hj212gw.registry.rows import (
    Channel,
    CipherKey,
    DataLogger,
    DialectRow,
    Enterprise,
    LegalHold,
    Limit,
    Listed,
    Mark,
    NetworkRow,
    Outlet,
    Row,
    TimeLabel,
    UnitRow,
)

# Moments that stand for open ends where periods are compared.
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)

Oddity = tuple[str, str]  # column, message

_USUAL_RTD_SECS = 30  # HJ 212-2017 table 4: RtdInterval is 30 to 3600
_CREDIT_CODE_LENGTH = 18
_MN_LENGTHS = (14, 24)  # 2005; 2017
_HEX_LENGTH = 24
_ST_LENGTH = 2
_MEDIA = ("water", "gas", "noise")
_PERIODS = ("2031", "2041", "2051", "2061", "2111")  # HJ 212-2017 table 9; 2025 (secondary)


class Reference(NamedTuple):
    """A column that holds the id of a row of another kind."""

    column: str
    target: str


class Kind(NamedTuple):
    """One kind of file and table.

    Attributes:
        name: of the table and the exported file.
        row: the model that reads a line.
        columns: in the order of the exported file; the period's are the last two of dated rows.
        key: columns that say what a row is about; with the period's start they are unique among dated rows.
        oddities: tells what is unusual in a row that can be read.
        secrets: columns that no message may show.
        references: to other kinds; the period of a row must lie in theirs.
        optional: columns that a file may lack; they are empty then.
        may_overlap: rows of one key may hold at the same time.
        is_exported: false where the whole kind is secret.
        period: columns of the first moment and of the end, which is exclusive.
    """

    name: str
    row: type[Row]
    columns: tuple[str, ...]
    key: tuple[str, ...]
    oddities: Callable[[Any], Iterator[Oddity]]
    secrets: frozenset[str] = frozenset()
    references: tuple[Reference, ...] = ()
    optional: frozenset[str] = frozenset()
    may_overlap: bool = False
    is_exported: bool = True
    period: tuple[str, str] = ("valid_from", "valid_to")


class Place(NamedTuple):
    """Where a row begins in a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Entry(NamedTuple):
    """A row that can be read.

    Attributes:
        kind: what it is.
        values: one a column of the kind, in its order; moments are UTC, None where a period is open.
        place: its line; None for a row of the database.
    """

    kind: Kind
    values: tuple[Any, ...]
    place: Place | None

    def value(self, column: str) -> Any:
        """Return the value of one column."""
        return self.values[self.kind.columns.index(column)]

    @property
    def key(self) -> tuple[str, ...]:
        """Return what the row is about."""
        return tuple(self.value(column) for column in self.kind.key)

    @property
    def start(self) -> datetime:
        """Return the moment from which the row holds, `EARLIEST` where open."""
        return self.value(self.kind.period[0]) or EARLIEST

    @property
    def end(self) -> datetime:
        """Return the moment before which the row holds, `LATEST` where open."""
        return self.value(self.kind.period[1]) or LATEST

    @property
    def period(self) -> str:
        """Return the row's period in words."""
        start, end = map(self.value, self.kind.period)
        return f"from {format_moment(start) if start else 'ever'} to {format_moment(end) if end else 'open'}"

    def __repr__(self) -> str:
        return f"Entry({self.kind.name} {' '.join(self.key)} {self.period})"  # values may be secrets

    def __str__(self) -> str:
        return str(self.place) if self.place else f"the database's row {self.period}"


def _find_enterprise_oddities(row: Enterprise) -> Iterator[Oddity]:
    if row.credit_code and len(row.credit_code) != _CREDIT_CODE_LENGTH:
        yield "credit_code", f"{_CREDIT_CODE_LENGTH} characters are usual, this has {len(row.credit_code)}"


def _find_none(_row: Row) -> Iterator[Oddity]:
    yield from ()


def _find_logger_oddities(row: DataLogger) -> Iterator[Oddity]:
    is_hex = set(row.mn) <= set("0123456789ABCDEFabcdef")
    if len(row.mn) not in _MN_LENGTHS or (len(row.mn) == _HEX_LENGTH and not is_hex):
        yield "mn", f"24 hexadecimal digits or 14 characters are usual, this is {row.mn!r}"
    if row.st and (len(row.st) != _ST_LENGTH or not row.st.isalnum()):
        yield "st", f"two letters or digits are usual, this is {row.st!r}"
    if row.rtd_interval_secs and row.rtd_interval_secs < _USUAL_RTD_SECS:
        yield "rtd_interval_secs", f"{_USUAL_RTD_SECS} to 3600 are usual, this is {row.rtd_interval_secs}"
    unknown = [code for code in row.factors if not _is_known_factor(code, row.st)]
    if unknown:
        yield "factors", f"not in the catalogue: {' '.join(unknown[:5])}{' …' * (len(unknown) > 5)}"  # noqa: PLR2004


def _find_channel_oddities(row: Channel) -> Iterator[Oddity]:
    if row.factor and not _is_known_factor(row.factor, row.st or None):
        yield "factor", f"not in the catalogue: {row.factor}"


def _find_label_oddities(row: TimeLabel) -> Iterator[Oddity]:
    if row.cn not in _PERIODS:
        yield "cn", f"{' '.join(_PERIODS)} have periods to label, DataTime of {row.cn} is a moment"


def _find_factor_oddities(row: UnitRow | Limit | Listed) -> Iterator[Oddity]:
    if not _is_known_factor(row.factor, None):
        yield "factor", f"not in the catalogue: {row.factor}"


def _find_mark_oddities(row: Mark) -> Iterator[Oddity]:
    if row.factor != ALL_FACTORS and not _is_known_factor(row.factor, None):
        yield "factor", f"not in the catalogue: {row.factor}"
    if row.value is not None and row.kind != MANUAL:
        yield "value", f"only manual values have one, it is kept and does nothing for {row.kind}"


@lru_cache(maxsize=4096)
def _is_known_factor(code: str, st: str | None) -> bool:
    if st:
        return match_factor(code, st=st) is not None
    return any(match_factor(code, medium) for medium in _MEDIA)


def _name_all(*kinds: Kind) -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds}


def _columns(row: type[Row]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in row.model_fields.items())


_OF_LOGGER = (Reference("mn", "data_loggers"),)
_OF_OUTLET = (Reference("outlet", "outlets"),)

# In the order in which they are written: what is referred to comes first.
KINDS = _name_all(
    Kind(
        "enterprises",
        Enterprise,
        _columns(Enterprise),
        ("enterprise",),
        _find_enterprise_oddities,
    ),
    Kind(
        "outlets",
        Outlet,
        _columns(Outlet),
        ("outlet",),
        _find_none,
        references=(Reference("enterprise", "enterprises"),),
        optional=frozenset(("permit_number", "county", "longitude", "latitude")),
    ),
    Kind(
        "data_loggers",
        DataLogger,
        _columns(DataLogger),
        ("mn",),
        _find_logger_oddities,
        secrets=frozenset(("pw",)),
        references=_OF_OUTLET,
        optional=frozenset(("role",)),
    ),
    Kind(
        "channels",
        Channel,
        _columns(Channel),
        ("mn", "st", "factor"),
        _find_channel_oddities,
        references=(*_OF_LOGGER, *_OF_OUTLET),
    ),
    Kind("dialects", DialectRow, _columns(DialectRow), ("mn", "dialect"), _find_none, references=_OF_LOGGER),
    Kind(
        "time_labels", TimeLabel, _columns(TimeLabel), ("mn", "st", "cn"), _find_label_oddities, references=_OF_LOGGER
    ),
    Kind("units", UnitRow, _columns(UnitRow), ("mn", "code"), _find_factor_oddities, references=_OF_LOGGER),
    Kind(
        "cipher_keys",
        CipherKey,
        _columns(CipherKey),
        ("mn", "key_id"),
        _find_none,
        secrets=frozenset(("secret",)),
        references=_OF_LOGGER,
        is_exported=False,
    ),
    Kind("networks", NetworkRow, _columns(NetworkRow), ("mn", "network"), _find_none, references=_OF_LOGGER),
    Kind(
        "limits",
        Limit,
        _columns(Limit),
        ("outlet", "factor"),
        _find_factor_oddities,
        references=_OF_OUTLET,
    ),
    Kind(
        "legal_holds",
        LegalHold,
        _columns(LegalHold),
        ("outlet",),
        _find_none,
        references=_OF_OUTLET,
        may_overlap=True,
    ),
    Kind(
        "base_list",
        Listed,
        _columns(Listed),
        ("outlet", "factor"),
        _find_factor_oddities,
        references=_OF_OUTLET,
        optional=frozenset(("fields",)),
    ),
)
MARKS = Kind(
    "marks",
    Mark,
    _columns(Mark),
    ("outlet", "factor", "kind"),
    _find_mark_oddities,
    optional=frozenset(_columns(Mark)) - {"outlet", "factor", "kind", "from", "to"},
    may_overlap=True,
    period=("from", "to"),
)

# Every kind of file.
FILES = {**KINDS, MARKS.name: MARKS}
