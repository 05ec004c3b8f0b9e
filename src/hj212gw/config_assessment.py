"""The open questions of the assessment as named settings, each with the default the specification gives.

Numbers in brackets are those of assessment.md, section 12; validity rules are those of data-validity.md.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from hj212gw.config_options import Section, split_list

WASTEWATER_PARAMETERS = ("w00000", "w01001", "w01010")  # flow, pH and temperature
# What is tried of settings that could be any number: by default, and what else is likely.
CUTOFF_HOURS = (12, 13, 24)
CLOSING_DAYS = (10, 5, 30)
EXEMPT_HOURS = (1, 0)

_PROVENANCE_IS_IDLE = (
    "assessment.immediate_by=provenance has no effect on local arrivals, which do not tell what was filled in:"
    " they go by the deadline. It holds for hj212gw assess --from-csv and --arrivals upstream:NAME"
)

_FLAG = re.compile("[A-Za-z0-9]{1,2}")

Codes = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)]


def check_flags(flags: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what is no list of data flags: by it no hour would be valid, and nobody would be told why."""
    if not flags or not all(_FLAG.fullmatch(flag) for flag in flags):
        raise ValueError("expected data flags such as N or N,S")
    return flags


def codes_field(description: str, *codes: str) -> Any:
    """Make the field of an option that takes codes."""
    return Field(default=codes, description=description, json_schema_extra={"accepted": "a list of codes"})


class AssessmentSettings(Section):
    """How transmission and validity rates are computed (assessment.md)."""

    policy: str = Field(default="national_platform_v2", description="Policy whose figures reports show first")
    threshold: float | None = Field(
        default=None, gt=0, le=100, description="Percent to reach; not set: the policy's own", examples=[95.0]
    )
    immediate_cutoff_hours: int = Field(
        default=12, ge=0, le=240, description="[1] Hours after a day's end in which its immediate stage takes data"
    )
    completed_days: int = Field(
        default=10, ge=0, le=400, description="[2] Days after a day in which its completed stage takes data"
    )
    immediate_by: Literal["deadline", "provenance"] = Field(
        default="deadline",
        description="[3] Immediate by arrival, or (upstream and files alone) by the label 0 reported, 6 filled in",
    )
    v_denominator: Literal["policy", "expected", "received"] = Field(
        default="policy", description="[4] What validity is divided by: groups due or groups received"
    )
    t_unit: Literal["policy", "value", "group"] = Field(
        default="policy", description="[4] What transmission counts: values or groups"
    )
    combine: Literal["policy", "product", "single", "t_only"] = Field(
        default="policy",
        description="Effective rate: transmission times validity, valid groups over groups due, or transmission alone",
    )
    expected_groups: Literal["net", "gross"] = Field(
        default="net", description="[5] Groups due without those that do not take part, or with them"
    )
    stop_partial: Literal["under_45_running", "whole_hour", "any_minute", "never"] = Field(
        default="under_45_running", description="[6] When an hour in which the plant stopped is left out"
    )
    manual: Literal["completed", "never"] = Field(
        default="completed", description="[7] At which stage accepted manual values count as received and valid"
    )
    manual_min_per_day: int = Field(
        default=4, ge=1, le=24, description="[7] Samples a day needs for its manual values to count"
    )
    manual_max_hours: int = Field(default=6, ge=1, le=24, description="[7] Longest time one manual value covers")
    interruption: Literal["explains", "excuses"] = Field(
        default="explains", description="[8] Whether a marked communication interruption takes hours out"
    )
    not_responsible: Literal["both", "validity", "none"] = Field(
        default="both", description="[9] What a loss that is not the enterprise's fault is taken out of"
    )
    not_responsible_minutes: int = Field(
        default=15, ge=0, le=59, description="[9] Minutes of an hour such a mark has to exceed"
    )
    uncounted_factors: Codes = codes_field(
        "[10, 11] Factors of the base list that are shown and not counted", *WASTEWATER_PARAMETERS
    )
    qc_exempt_scope: Literal["factor", "point"] = Field(
        default="factor", description="[12] Whether the exempt standard-sample hour is each factor's or the point's"
    )
    qc_exempt_hours: int = Field(default=1, ge=0, le=24, description="[12] Standard-sample hours exempt a day")
    qc_factors: Codes = codes_field(
        "[12] Factors with automatic standard-sample checks", "w01018", "w21003", "w21011", "w21001"
    )
    zero_flow: Literal["invalid", "ignored"] = Field(
        default="invalid", description="[13] What an hour of wastewater without flow is worth"
    )
    flow_factors: Codes = codes_field("[13] Factors that tell the flow of an outlet", "w00000")
    rollup: Literal["pooled", "mean_of_points", "mean_of_enterprises"] = Field(
        default="pooled", description="[14] How figures of enterprises, counties and the city are made"
    )
    rounding: Literal["truncate", "half_up"] = Field(
        default="truncate", description="[15] How percentages are cut to two decimals; passing never depends on it"
    )
    nothing_due: Literal["none", "full"] = Field(
        default="none", description="[16] The rate where nothing is due: none with its reason, or 100 %"
    )
    records: Literal["hour"] = Field(default="hour", description="[17] Which records count: hour data (2061)")
    invalid_received: Literal["counts", "missing"] = Field(
        default="counts", description="[18] Whether a record with a bad flag counts as transmitted"
    )
    unconverted: Literal["valid", "invalid"] = Field(
        default="valid", description="[19] What a group is worth whose record lacks some of its values"
    )
    exceeding: Literal["valid"] = Field(default="valid", description="[20] What a value over the limit is worth")
    corrections: Literal["newest"] = Field(
        default="newest", description="[21] Which value counts after a correction: the newest known at the cut-off"
    )
    period_figure: Literal["pooled", "mean_of_days"] = Field(
        default="pooled", description="[22] How months and years are made of days"
    )
    base_list: Literal["imported"] = Field(default="imported", description="[23] Who is assessed: the imported list")
    void_marks: Literal["from_start"] = Field(
        default="from_start", description="[24] From when a mark later found false does not hold"
    )
    vouchers: Literal["required", "ignored"] = Field(
        default="required", description="Whether a mark whose voucher is not there in time lapses"
    )
    valid_minutes: int = Field(
        default=45, ge=0, le=60, description="Minutes of an hour that device marks have to leave free"
    )
    good_flags: Annotated[Codes, AfterValidator(check_flags)] = Field(
        default=("N",),
        description="Flags of data that is valid; a missing flag is N",
        json_schema_extra={"accepted": "data flags such as N,S"},
    )


def find_idle(settings: AssessmentSettings) -> list[str]:
    """Say of each setting that changes no figure of local arrivals, the gateway's own, why it does not."""
    return [_PROVENANCE_IS_IDLE] if settings.immediate_by == "provenance" else []


class AggregatorSettings(Section):
    """The process that computes the rates."""

    interval_secs: float = Field(default=30, ge=0.1, le=3600, description="Time between two looks for changes")
    city: str = Field(default="city", min_length=1, max_length=200, description="Name of the city in reports")
    http_host: str = Field(default="127.0.0.1", description="Address of `hj212gw aggregate` for /metrics")
    http_port: int = Field(
        default=9215, ge=0, le=65_535, description="TCP port of `hj212gw aggregate` for /metrics; 0 takes any free one"
    )
    live_journal_secs: float = Field(
        default=3600, ge=1, le=864_000, description="A journal heard of within this has to be drained past a cut-off"
    )
