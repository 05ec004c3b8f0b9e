#!/usr/bin/env python3
"""Write what the documentation takes from the code: the example settings and the tables of docs/.

`make docs` runs it; `tests/test_docs.py` compares. In a page, what is made stands between two comments.
"""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from hj212gw.cli import build_app
from hj212gw.cli.reference import describe_program
from hj212gw.config_docs import example_toml, markdown_table
from hj212gw.events import event_table
from hj212gw.protocol.faults import fault_table
from hj212gw.registry.markkinds import effect_table, mark_kind_table
from hj212gw.telemetry_docs import metric_table
from hj212sim.cli import app as simulator_app

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = Path("config/hj212gw.example.toml")
PAGES = tuple(Path(f"docs/{page}.md") for page in ("settings", "telemetry", "proposals", "marks", "cli"))
TABLES: Mapping[str, Callable[[], str]] = {
    "settings": markdown_table,
    "commands": lambda: describe_program("hj212gw", build_app([])),
    "simulator": lambda: describe_program("hj212-sim", simulator_app),
    "metrics": metric_table,
    "events": event_table,
    "faults": fault_table,
    "marks": mark_kind_table,
    "effects": effect_table,
}

_BLOCK = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(page: str) -> str:
    """Return a page with every made block as the code says it is now."""
    return _BLOCK.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", page)


def make_all() -> dict[Path, str]:
    """Return every file that is made, wholly or in part, by its path in the project."""
    pages = {page: fill((ROOT / page).read_text(encoding="utf-8")) for page in PAGES}
    return {EXAMPLE: example_toml(), **pages}


def main() -> None:
    """Write what differs and say so."""
    for path, text in make_all().items():
        if not (ROOT / path).exists() or (ROOT / path).read_text(encoding="utf-8") != text:
            (ROOT / path).write_text(text, encoding="utf-8")
            sys.stderr.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
