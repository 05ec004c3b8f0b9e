"""The layers settings are merged from: what each gives, and what is said of a wrong one."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hj212gw.config_options import Option
from hj212gw.errors import ConfigError
from hj212gw.logs import clean_text


class Given(NamedTuple):
    """What a layer says of an option; `source` begins with file, env or flag."""

    value: Any
    source: str


_RANKS = {"file": 1, "env": 2, "flag": 3}
_NOT_ABOVE = (  # the first may not be greater than the second
    ("gateway.session_high_water_bytes", "gateway.high_water_bytes"),
    ("journal.group_bytes", "journal.segment_bytes"),
    ("journal.segment_bytes", "journal.max_bytes"),
    ("journal.reserve_bytes", "journal.max_bytes"),
    ("database.retry_first_secs", "database.retry_max_secs"),
)
_NEEDS = (  # the first, where it is set, needs the second
    ("tls.port", "tls.certificate_file"),
    ("tls.port", "tls.key_file"),
    ("tls.require_client_certificate", "tls.client_ca_file"),
)


def flatten(layer: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Turn sections into full names such as `gateway.port`."""
    for name, value in layer.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", held) for inner, held in value.items())
        else:
            yield name, value


def nest(given: Mapping[str, Given]) -> dict[str, Any]:
    """Turn full names into sections."""
    nested: dict[str, Any] = {}
    for name, (value, _) in given.items():
        section, _, inner = name.rpartition(".")
        target = nested.setdefault(section, {}) if section else nested
        target[inner] = value
    return nested


def refuse_unknown(given: Mapping[str, Given], known: Mapping[str, Option]) -> None:
    """Raise ConfigError for options there are not, naming the closest ones there are."""
    unknown = [(name, source) for name, (_, source) in given.items() if name not in known]
    if unknown:
        raise ConfigError("\n".join(_unknown(name, source, list(known)) for name, source in unknown))


def refuse_unknown_env(names: Iterable[str], known: Mapping[str, Option]) -> None:
    """Raise ConfigError for variables with our prefix that name no option."""
    known_names = [option.env for option in known.values()]
    unknown = sorted(name for name in names if name.upper() not in known_names)
    if unknown:
        raise ConfigError("\n".join(_unknown(name, "the environment", known_names) for name in unknown))


def _unknown(name: str, source: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown option {clean_text(name, 80)} ({source}){hint}"


def read_dsn_file(given: dict[str, Given]) -> None:
    """Take the database's address from its file, unless a stronger layer gives it directly."""
    file, direct = given.get("database.dsn_file"), given.get("database.dsn")
    if file is None or not isinstance(file.value, str | Path):
        return
    if direct is not None:
        lead = _RANKS[direct.source.split()[0]] - _RANKS[file.source.split()[0]]
        if lead > 0:
            return
        if lead == 0:
            raise ConfigError(f"database.dsn and database.dsn_file are both given ({file.source}): keep one")
    try:
        text = Path(file.value).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise ConfigError(f"database.dsn_file = {file.value} ({file.source}) cannot be read: {why}") from error
    given["database.dsn"] = Given(text, f"file {file.value}")


def explain(
    faults: Iterable[tuple[tuple[Any, ...], Any]], given: Mapping[str, Given], known: Mapping[str, Option]
) -> str:
    """Say of each (place, value) the option, the value, its source and what is accepted, one in a line."""
    lines = {}
    for place, value in faults:
        name = ".".join(str(part) for part in place[:2])
        option = known[name]
        shown = "(secret)" if option.is_secret else clean_text(repr(value), 80)
        lines[name] = f"{name} = {shown} ({given[name].source}): expected {option.accepted}"
    return "\n".join(lines.values())


def check_together(values: Mapping[str, Any], given: Mapping[str, Given], *, simulated_clock: bool) -> None:
    """Raise ConfigError where options contradict each other."""
    for low, high in _NOT_ABOVE:
        if values[low] > values[high]:
            wrong, other, bound = (low, high, "most") if low in given else (high, low, "least")
            raise ConfigError(
                f"{wrong} = {values[wrong]} ({given[wrong].source}): expected at {bound} {other} = {values[other]}"
            )
    for name, needed in _NEEDS:
        if values[name] not in (None, False) and values[needed] is None:
            raise ConfigError(f"{name} = {values[name]} ({given[name].source}) needs {needed}")
    clock = next((name for name in given if name.startswith("clock.")), None)
    if clock is not None and not simulated_clock:
        raise ConfigError(f"{clock} ({given[clock].source}) is refused without --simulated-clock")
