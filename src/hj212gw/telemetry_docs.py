"""The metrics as a table for the documentation."""

from hj212gw.telemetry import GAUGE_MERGES, REGISTRY, Merge


def metric_table() -> str:
    """Render every metric of ours as a Markdown table."""
    lines = ["| metric | kind | of several workers | means |", "| --- | --- | --- | --- |"]
    for family in REGISTRY.collect():
        if family.name.startswith("hj212gw_"):
            suffix = "_total" if family.type == "counter" else ""
            merge = GAUGE_MERGES.get(family.name, Merge.SUM)
            lines.append(f"| `{family.name}{suffix}` | {family.type} | {merge} | {family.documentation} |")
    return "\n".join(lines)
