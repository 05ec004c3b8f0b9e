"""What benchmarks measure of a process, and how they print."""

import json
import os
from pathlib import Path


def cpu_secs(pid):
    """Tell the CPU time a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def print_figures(figures, *, as_json):
    """Print figures a line each, or all as JSON."""
    if as_json:
        print(json.dumps(figures))
        return
    width = max(map(len, figures))
    for key, value in figures.items():
        print(f"{key:<{width}} {value}")
