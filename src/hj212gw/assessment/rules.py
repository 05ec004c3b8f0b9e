"""The settings of the assessment as the calculation takes them."""

from datetime import timedelta

from hj212gw.config_assessment import AssessmentSettings
from hj212gw.store.assessment import Rules

_OF_GROUPS = (
    "valid_minutes",
    "stop_partial",
    "not_responsible",
    "not_responsible_minutes",
    "interruption",
    "qc_exempt_hours",
    "qc_exempt_scope",
    "qc_factors",
    "manual",
    "manual_min_per_day",
    "manual_max_hours",
    "zero_flow",
    "flow_factors",
    "vouchers",
    "uncounted_factors",
    "expected_groups",
    "invalid_received",
    "unconverted",
)


def make_rules(settings: AssessmentSettings) -> Rules:
    """Return the settings that decide about groups; the others are applied to counts."""
    return Rules(
        timedelta(hours=settings.immediate_cutoff_hours),
        timedelta(days=settings.completed_days) - timedelta(microseconds=1),
        list(settings.good_flags),
        settings.immediate_by == "provenance",
        settings.model_dump(mode="json", include=set(_OF_GROUPS)),
    )
