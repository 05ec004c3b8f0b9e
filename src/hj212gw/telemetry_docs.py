"""The metrics as a table for the documentation."""

from hj212gw.metrics import REGISTRY


def metric_table() -> str:
    """Render every metric of ours as a Markdown table."""
    lines = ["| metric | kind | means |", "| --- | --- | --- |"]
    for family in REGISTRY.collect():
        if family.name.startswith("hj212gw_"):
            suffix = "_total" if family.type == "counter" else ""
            lines.append(f"| `{family.name}{suffix}` | {family.type} | {family.documentation} |")
    return "\n".join(lines)
