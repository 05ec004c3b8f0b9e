"""The kinds of registry files: their columns, what a cell may hold, how rows refer to each other.

A kind's name is the name of its table and of its exported file; its columns are those of both. One more kind
is one more row model and one more line in `KINDS`.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo

from hj212gw.protocol.factors import match_factor
from hj212gw.registry.cells import (
    MIN_INTERVALS,
    format_moment,
    optional,
    parse_cn,
    parse_codes,
    parse_credit_code,
    parse_id,
    parse_moment,
    parse_name,
    parse_number,
    parse_one_of,
    parse_token,
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
_ROW = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _check_end(end: datetime | None, info: ValidationInfo) -> datetime | None:
    start = info.data.get("valid_from")
    if start is not None and end is not None and end <= start:
        raise ValueError(f"a moment after valid_from, {format_moment(start)}")
    return end


_Id = Annotated[str, BeforeValidator(parse_id)]
_Name = Annotated[str, BeforeValidator(parse_name)]
_Token = Annotated[str | None, BeforeValidator(optional(parse_token))]
_From = Annotated[datetime | None, BeforeValidator(optional(parse_moment))]
_To = Annotated[datetime | None, BeforeValidator(optional(parse_moment)), AfterValidator(_check_end)]


class Enterprise(BaseModel):
    """A polluter; `level` is national where the state watches it as a key enterprise (国控)."""

    model_config = _ROW

    enterprise: _Id
    name: _Name
    credit_code: Annotated[str | None, BeforeValidator(optional(parse_credit_code))]
    county: Annotated[str | None, BeforeValidator(optional(parse_name))]
    level: Annotated[str, BeforeValidator(parse_one_of("national", "other"))]
    valid_from: _From
    valid_to: _To


class Outlet(BaseModel):
    """A monitored discharge point of an enterprise."""

    model_config = _ROW

    outlet: _Id
    enterprise: _Id
    name: _Name
    medium: Annotated[str, BeforeValidator(parse_one_of("water", "gas", "noise", "other"))]
    valid_from: _From
    valid_to: _To


class DataLogger(BaseModel):
    """A data logger; an empty `pw` accepts any, empty `cns` and intervals expect nothing."""

    model_config = _ROW

    mn: Annotated[str, BeforeValidator(parse_token)]
    pw: _Token
    st: _Token
    outlet: Annotated[str | None, BeforeValidator(optional(parse_id))]
    cns: Annotated[tuple[str, ...], BeforeValidator(parse_codes(parse_cn))]
    rtd_interval_secs: Annotated[int | None, BeforeValidator(optional(parse_number(range(1, 3601))))]
    min_interval_mins: Annotated[int | None, BeforeValidator(optional(parse_number(MIN_INTERVALS)))]
    factors: Annotated[tuple[str, ...], BeforeValidator(parse_codes(parse_token))]
    valid_from: _From
    valid_to: _To


class Reference(NamedTuple):
    """A column that holds the id of a row of another kind."""

    column: str
    target: str


class Kind(NamedTuple):
    """One kind of file and table.

    Attributes:
        name: of the table and the exported file.
        row: the model that reads a line.
        columns: in the order of the exported file; `valid_from` and `valid_to` are the last two.
        key: columns that say what a row is about; with `valid_from` they are unique.
        oddities: tells what is unusual in a row that can be read.
        free_text: columns written so that no spreadsheet takes them for formulas.
        secrets: columns that no message may show.
        references: to other kinds; the period of a row must lie in theirs.
    """

    name: str
    row: type[BaseModel]
    columns: tuple[str, ...]
    key: tuple[str, ...]
    oddities: Callable[[Any], Iterator[Oddity]]
    free_text: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    references: tuple[Reference, ...] = ()


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
        return self.values[-2] or EARLIEST

    @property
    def end(self) -> datetime:
        """Return the moment before which the row holds, `LATEST` where open."""
        return self.values[-1] or LATEST

    @property
    def period(self) -> str:
        """Return the row's period in words."""
        start, end = self.values[-2:]
        return f"from {format_moment(start) if start else 'ever'} to {format_moment(end) if end else 'open'}"

    def __str__(self) -> str:
        return str(self.place) if self.place else f"the database's row {self.period}"


def _find_enterprise_oddities(row: Enterprise) -> Iterator[Oddity]:
    if row.credit_code and len(row.credit_code) != _CREDIT_CODE_LENGTH:
        yield "credit_code", f"{_CREDIT_CODE_LENGTH} characters are usual, this has {len(row.credit_code)}"


def _find_outlet_oddities(_row: Outlet) -> Iterator[Oddity]:
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


@lru_cache(maxsize=4096)
def _is_known_factor(code: str, st: str | None) -> bool:
    if st:
        return match_factor(code, st=st) is not None
    return any(match_factor(code, medium) for medium in _MEDIA)


# In the order in which they are written: what is referred to comes first.
KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "enterprises",
            Enterprise,
            tuple(Enterprise.model_fields),
            ("enterprise",),
            _find_enterprise_oddities,
            free_text=frozenset(("name", "county")),
        ),
        Kind(
            "outlets",
            Outlet,
            tuple(Outlet.model_fields),
            ("outlet",),
            _find_outlet_oddities,
            free_text=frozenset(("name",)),
            references=(Reference("enterprise", "enterprises"),),
        ),
        Kind(
            "data_loggers",
            DataLogger,
            tuple(DataLogger.model_fields),
            ("mn",),
            _find_logger_oddities,
            secrets=frozenset(("pw",)),
            references=(Reference("outlet", "outlets"),),
        ),
    )
}
