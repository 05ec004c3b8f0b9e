"""The options as the documentation and the errors show them, read from the settings' fields."""

import ipaddress
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of the settings' sections: nothing unknown, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Option(NamedTuple):
    """One option: its full name, what it means, what it takes in words."""

    name: str
    env: str
    description: str
    accepted: str
    default: Any
    example: Any
    is_secret: bool


def split_list(value: Any) -> Any:
    """Take the text of an environment variable, commas between its parts, for the list it means."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def check_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    """Write networks in their usual form.

    Raises:
        ValueError: one is no network.
    """
    return tuple(str(ipaddress.ip_network(network)) for network in networks)


def options_of(settings_class: Any, env_prefix: str) -> dict[str, Option]:
    """List the options of a settings class by full name: the top level's first, then section by section."""
    sections = sections_of(settings_class)
    fields = {name: field for name, field in settings_class.model_fields.items() if name not in sections}
    for section, kind in sections.items():
        fields.update({f"{section}.{name}": field for name, field in kind.model_fields.items()})
    return {name: _option(name, field, env_prefix) for name, field in fields.items()}


def sections_of(settings_class: Any) -> dict[str, Any]:
    """List the sections of a settings class: name -> class."""
    fields = settings_class.model_fields
    return {name: field.annotation for name, field in fields.items() if hasattr(field.annotation, "model_fields")}


def _option(name: str, field: Any, env_prefix: str) -> Option:
    return Option(
        name=name,
        env=env_prefix + name.replace(".", "__").upper(),
        description=field.description,
        accepted=_accepted(field),
        default=field.default,
        example=field.examples[0] if field.examples else field.default,
        is_secret="Secret" in str(field.annotation),
    )


def _accepted(field: Any) -> str:
    """Say in words what a field takes."""
    if field.json_schema_extra:
        return str(field.json_schema_extra["accepted"])
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    kind = field.annotation if get_origin(field.annotation) is Literal or not kinds else kinds[0]
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if kind is bool:
        return "true or false"
    if kind not in (int, float):
        return "a path" if kind is Path else "text"
    low = next((f"from {limit.ge}" for limit in field.metadata if hasattr(limit, "ge")), "above 0")
    high = next(limit.le for limit in field.metadata if hasattr(limit, "le"))
    return f"a {'whole number' if kind is int else 'number'} {low} to {high}"


def read_value(settings: Any, name: str) -> Any:
    """Read one option by its full name."""
    section, _, inner = name.rpartition(".")
    return getattr(getattr(settings, section) if section else settings, inner)
