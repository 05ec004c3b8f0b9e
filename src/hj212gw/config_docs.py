"""Documentation made from the settings: the example TOML file and the README's table.

python -m hj212gw.config_docs > config/hj212gw.example.toml
python -m hj212gw.config_docs --markdown
"""

import json
import sys
import textwrap
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from hj212gw.config import Settings, options
from hj212gw.config_options import Option, sections_of

_HEAD = """\
# Settings of hj212gw. Every option is here with its default, which holds while the line is commented out.
# Stronger than this file: the environment (HJ212GW_ + SECTION__NAME), then a command's flags.
# Made by `python -m hj212gw.config_docs`; `hj212gw config show` prints what holds and why.
"""


def example_toml() -> str:
    """Render a TOML file that names every option, all commented out."""
    about = {name: section.__doc__ for name, section in sections_of(Settings).items()}
    blocks = [_HEAD]
    for section, held in groupby(options().values(), key=lambda option: option.name.rpartition(".")[0]):
        head = f"[{section}]\n# {about[section]}\n" if section else ""
        blocks.append(head + "\n".join(_toml_lines(held)) + "\n")
    return "\n".join(blocks)


def _toml_lines(held: Iterable[Option]) -> Iterable[str]:
    for option in held:
        state = f"default {_toml(option.default)}" if option.default is not None else "default: not set"
        text = f"{option.description}; {option.accepted}; {state}."
        yield from textwrap.wrap(text, width=108, initial_indent="# ", subsequent_indent="#   ")
        yield f"#{option.name.rpartition('.')[2]} = {_toml(option.example)}"


def _toml(value: Any) -> str:
    """Write a scalar or a list of texts as TOML; JSON's are TOML's."""
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def markdown_table() -> str:
    """Render every option as a Markdown table."""
    lines = ["| option | default | takes | meaning |", "| --- | --- | --- | --- |"]
    for option in options().values():
        default = _shown(option.default)
        lines.append(f"| `{option.name}` | {default} | {option.accepted} | {option.description} |")
    return "\n".join(lines)


def _shown(default: Any) -> str:
    if default is None:
        return "not set"
    if isinstance(default, tuple):
        return ", ".join(f"`{part}`" for part in default) or "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    sys.stdout.write(f"{markdown_table()}\n" if "--markdown" in sys.argv[1:] else example_toml())
