"""The lines of registry files, one model a kind of file: what each cell may hold.

The order of the fields is the order of the columns; `valid_from` and `valid_to` are the last two of dated rows.
"""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from hj212gw.protocol.dialects import SLUGS
from hj212gw.registry.cells import (
    ALL_FACTORS,
    MIN_INTERVALS,
    format_moment,
    format_number,
    optional,
    or_text,
    parse_all_or_code,
    parse_cn,
    parse_code,
    parse_codes,
    parse_credit_code,
    parse_decimal,
    parse_digest,
    parse_fields,
    parse_id,
    parse_moment,
    parse_name,
    parse_network,
    parse_number,
    parse_one_of,
    parse_scale,
    parse_secret,
    parse_token,
    parse_unit,
)
from hj212gw.registry.markkinds import DECLARED, MANUAL, SOURCES, STATES, parse_kind

_MOST_LIMIT = 1e12  # larger numbers are slips, whatever the factor


def _check_end(end: datetime | None, info: ValidationInfo) -> datetime | None:
    start = info.data.get("valid_from")
    if start is not None and end is not None and end <= start:
        raise ValueError(f"a moment after valid_from, {format_moment(start)}")
    return end


def _check_high(high: float | None, info: ValidationInfo) -> float | None:
    if "low" not in info.data:
        return high  # low has a fault of its own
    low = info.data["low"]
    if low is None and high is None:
        raise ValueError("low, high or both")
    if low is not None and high is not None and high < low:
        raise ValueError(f"a number not below low, {format_number(low)}")
    return high


def _check_mark_kind(kind: str, info: ValidationInfo) -> str:
    if kind == MANUAL and info.data.get("factor") == ALL_FACTORS:
        raise ValueError(f"one factor for a manual value, not {ALL_FACTORS}")
    return kind


def _check_mark_end(end: datetime | None, info: ValidationInfo) -> datetime | None:
    start = info.data.get("from_at")
    if start is not None and end is not None and end <= start:
        raise ValueError(f"a moment after from, {format_moment(start)}; to is exclusive")
    if end is None and info.data.get("kind") == MANUAL:
        raise ValueError("the end of the time that a manual value covers")
    return end


def _check_value(value: float | None, info: ValidationInfo) -> float | None:
    if value is None and info.data.get("kind") == MANUAL:
        raise ValueError("the manual value")
    return value


def _check_decider(name: str | None, info: ValidationInfo) -> str | None:
    if name is None and info.data.get("state", DECLARED) != DECLARED:
        raise ValueError(f"the name of who made it {info.data['state']}")
    return name


_Id = Annotated[str, BeforeValidator(parse_id)]
_OptionalId = Annotated[str | None, BeforeValidator(optional(parse_id))]
_Name = Annotated[str, BeforeValidator(parse_name)]
_OptionalName = Annotated[str | None, BeforeValidator(optional(parse_name))]
_Mn = Annotated[str, BeforeValidator(parse_code)]
_Code = Annotated[str, BeforeValidator(parse_code)]
_AnyCode = Annotated[str, BeforeValidator(or_text(parse_code, ""))]
_OptionalCode = Annotated[str | None, BeforeValidator(optional(parse_code))]
_OptionalToken = Annotated[str | None, BeforeValidator(optional(parse_token))]
_Unit = Annotated[str, BeforeValidator(parse_unit)]
_Limit = Annotated[float | None, BeforeValidator(optional(parse_decimal(-_MOST_LIMIT, _MOST_LIMIT)))]
_From = Annotated[datetime | None, BeforeValidator(optional(parse_moment))]
_Moment = _From
_To = Annotated[datetime | None, BeforeValidator(optional(parse_moment)), AfterValidator(_check_end)]


class Row(BaseModel):
    """A line; the model of each kind is one."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Enterprise(Row):
    """A polluter; `level` is national where the state watches it as a key enterprise (国控)."""

    enterprise: _Id
    name: _Name
    credit_code: Annotated[str | None, BeforeValidator(optional(parse_credit_code))]
    county: _OptionalName
    level: Annotated[str, BeforeValidator(parse_one_of("national", "other"))]
    valid_from: _From
    valid_to: _To


class Outlet(Row):
    """A monitored discharge point of an enterprise; an empty county is the enterprise's, coordinates are degrees."""

    outlet: _Id
    enterprise: _Id
    name: _Name
    medium: Annotated[str, BeforeValidator(parse_one_of("water", "gas", "noise", "other"))]
    permit_number: _OptionalId
    county: _OptionalName
    longitude: Annotated[float | None, BeforeValidator(optional(parse_decimal(-180, 180)))]
    latitude: Annotated[float | None, BeforeValidator(optional(parse_decimal(-90, 90)))]
    valid_from: _From
    valid_to: _To


class DataLogger(Row):
    """A data logger; an empty `pw` accepts any, empty `cns` and intervals expect nothing, an empty role is main."""

    mn: _Mn
    pw: _OptionalToken
    st: _OptionalCode
    outlet: _OptionalId
    cns: Annotated[tuple[str, ...], BeforeValidator(parse_codes(parse_cn))]
    rtd_interval_secs: Annotated[int | None, BeforeValidator(optional(parse_number(range(1, 3601))))]
    min_interval_mins: Annotated[int | None, BeforeValidator(optional(parse_number(MIN_INTERVALS)))]
    factors: Annotated[tuple[str, ...], BeforeValidator(parse_codes(parse_code))]
    role: Annotated[str, BeforeValidator(or_text(parse_one_of("main", "standby"), "main"))]
    valid_from: _From
    valid_to: _To


class Channel(Row):
    """Which outlet some of a data logger's readings are of; an empty ST or factor is any."""

    mn: _Mn
    st: _AnyCode
    factor: _AnyCode
    outlet: _Id
    valid_from: _From
    valid_to: _To


class DialectRow(Row):
    """One deviation from the standard a data logger is allowed."""

    mn: _Mn
    dialect: Annotated[str, BeforeValidator(parse_one_of(*SLUGS))]
    valid_from: _From
    valid_to: _To


class TimeLabel(Row):
    """Which moment DataTime means under a CN: start or end of the period, or when it was sent; an empty ST is any."""

    mn: _Mn
    st: _AnyCode
    cn: Annotated[str, BeforeValidator(parse_cn)]
    label: Annotated[str, BeforeValidator(parse_one_of("start", "end", "sent"))]
    valid_from: _From
    valid_to: _To


class UnitRow(Row):
    """What a code as sent means: its factor, and the unit its value times `scale` is in."""

    mn: _Mn
    code: _Code
    factor: _Code
    unit: _Unit
    scale: Annotated[float, BeforeValidator(parse_scale)]
    valid_from: _From
    valid_to: _To


class CipherKey(Row):
    """A key a data logger encrypts with."""

    mn: _Mn
    key_id: _Code
    secret: Annotated[bytes, BeforeValidator(parse_secret)]
    valid_from: _From
    valid_to: _To


class NetworkRow(Row):
    """A network a data logger is expected in; its packets from elsewhere are flagged."""

    mn: _Mn
    network: Annotated[str, BeforeValidator(parse_network)]
    valid_from: _From
    valid_to: _To


class Limit(Row):
    """What a factor of an outlet may be, both bounds included; `basis` is the standard or permit that says so."""

    outlet: _Id
    factor: _Code
    low: _Limit
    high: Annotated[_Limit, AfterValidator(_check_high)]
    unit: _Unit
    basis: _OptionalName
    valid_from: _From
    valid_to: _To


class LegalHold(Row):
    """Data of an outlet that no retention touches: DataTime or arrival from `valid_from` to `valid_to`."""

    outlet: _Id
    reason: _Name
    valid_from: _From
    valid_to: _To


class Listed(Row):
    """A factor of an outlet that is assessed, and how many values an hour owes: 1 mean, 2 amount, 3 converted mean."""

    outlet: _Id
    factor: _Code
    fields: Annotated[int, BeforeValidator(parse_fields)]
    valid_from: _From
    valid_to: _To


class Mark(Row):
    """What somebody declares of a stretch of an outlet; empty `to` runs on, `recorded_at` is now, state is declared."""

    outlet: _Id
    factor: Annotated[str, BeforeValidator(or_text(parse_all_or_code, ALL_FACTORS))]
    kind: Annotated[str, BeforeValidator(parse_kind), AfterValidator(_check_mark_kind)]
    from_at: Annotated[datetime, BeforeValidator(parse_moment), Field(alias="from")]
    to_at: Annotated[
        datetime | None, BeforeValidator(optional(parse_moment)), AfterValidator(_check_mark_end), Field(alias="to")
    ]
    recorded_at: _Moment
    value: Annotated[_Limit, AfterValidator(_check_value)]
    source: Annotated[str, BeforeValidator(or_text(parse_one_of(*SOURCES), SOURCES[0]))]
    author: _OptionalName
    note: _OptionalName
    state: Annotated[str, BeforeValidator(or_text(parse_one_of(*STATES), DECLARED))]
    decided_by: Annotated[_OptionalName, AfterValidator(_check_decider)]
    decided_at: _Moment
    proof_sha256: Annotated[str | None, BeforeValidator(optional(parse_digest))]
    proof_name: _OptionalName
    proof_at: _Moment
