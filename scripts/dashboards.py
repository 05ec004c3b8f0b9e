#!/usr/bin/env python3
"""Write the dashboards of config/grafana/dashboards: Gateway, City, Outlet.

`make docs` runs it; `tests/watch` compares, and asks what the panels ask. Titles are English and Chinese. A data source
is a variable, so that a dashboard works wherever it is imported. Every SQL panel asks views that analysts may read,
with its time range as a condition that finds partitions.
"""

import json
import sys
from pathlib import Path

from dashboard_city import make_city
from dashboard_gateway import make_gateway
from dashboard_outlet import make_outlet

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path("config/grafana/dashboards")


def make_all() -> dict[Path, str]:
    """Return every dashboard's text by its path in the project."""
    made = {"gateway": make_gateway(), "city": make_city(), "outlet": make_outlet()}
    return {
        FOLDER / f"{name}.json": json.dumps(each, ensure_ascii=False, indent=2) + "\n" for name, each in made.items()
    }


def main() -> None:
    """Write what differs and say so."""
    for path, text in make_all().items():
        if not (ROOT / path).exists() or (ROOT / path).read_text(encoding="utf-8") != text:
            (ROOT / path).write_text(text, encoding="utf-8")
            sys.stderr.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
