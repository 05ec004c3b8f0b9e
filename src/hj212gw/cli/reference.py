"""Every command with its options, as pages of the documentation."""

from collections.abc import Iterator
from typing import Any

import typer

_UNSPOKEN = ("--help", "--install-completion", "--show-completion")  # every command has them, or the whole program


def describe_program(name: str, app: typer.Typer) -> str:
    """Render every command of a program as Markdown: what it does, an example, its options.

    Args:
        name: of the program.
        app: its application, with all commands.
    """
    return "\n\n".join(_describe(path, command) for path, command in _leaves(typer.main.get_command(app), name))


def _leaves(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """Walk the tree of commands; typed loosely, since it is typer's own or the library's below, by version."""
    if not hasattr(command, "commands"):
        yield " ".join(path), command
        return
    for name, inner in command.commands.items():
        yield from _leaves(inner, *path, name)


def _describe(path: str, command: Any) -> str:
    program, _, rest = (command.help or "").partition("Example:")
    example, _, more = rest.partition("\n\n")
    arguments = [_name_argument(parameter) for parameter in command.params if parameter.param_type_name == "argument"]
    call = " ".join([path, *arguments])
    parts = [f"## {path}", _join(program), f"```console\n{_join(example)}\n```", _join(more)]
    rows = [row for parameter in command.params if (row := _row(parameter))]
    if arguments:
        parts.insert(1, f"`{call}`")
    if rows:
        parts.append("\n".join(["| option | meaning |", "| --- | --- |", *rows]))
    return "\n\n".join(part for part in parts if part)


def _join(text: str) -> str:
    """Put each paragraph on a line; an example's own line breaks are kept as continuations."""
    paragraphs = (" ".join(line.strip() for line in paragraph.splitlines()) for paragraph in text.split("\n\n"))
    return "\n\n".join(paragraph.strip() for paragraph in paragraphs).strip()


def _name_argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    dots = "..." if parameter.nargs == -1 and not name.endswith("...") else ""
    return f"{name}{dots}" if parameter.required or name.startswith("[") else f"[{name}{dots}]"


def _row(parameter: Any) -> str | None:
    if getattr(parameter, "hidden", False) or set(parameter.opts) & set(_UNSPOKEN):
        return None
    is_argument = parameter.param_type_name == "argument"
    name = _name_argument(parameter).strip("[]") if is_argument else ", ".join(parameter.opts)
    meaning = " ".join((parameter.help or "").split()).replace("|", "\\|")
    needed = " Needed." if parameter.required and not is_argument else ""
    return f"| `{name}` | {meaning}{needed} |"
