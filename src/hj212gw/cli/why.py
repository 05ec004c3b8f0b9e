"""`hj212gw why`: the whole story of one hour of one factor on one page."""

import asyncio
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hj212gw.cli import options
from hj212gw.cli.output import plain_text, print_data, print_json, say

if TYPE_CHECKING:
    from hj212gw.assessment.verdicts import StageEnd, Verdict
    from hj212gw.clock import Clock
    from hj212gw.config import Settings
    from hj212gw.store.assessment import Rules
    from hj212gw.store.stories import Story, StoryReader, Subject

_HOUR = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}(:00(:00)?)?")
_FAILED = 1
_COUNTS = "values: {} due, {} received; group: {} due, {} not taking part, {} received, {} valid"

_Document = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("why")(why)


def why(
    outlet: Annotated[str, typer.Argument(metavar="OUTLET", help="Id of the outlet in the registry.")],
    factor: Annotated[str, typer.Argument(metavar="FACTOR", help="Code of the catalogue, such as w01018.")],
    hour: Annotated[str, typer.Argument(metavar="HOUR", help="Beginning of the hour, UTC+8, such as 2026-03-01T08.")],
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Tell the whole story of one hour: frames, rows, replacements, marks, and each stage's verdict with its rule.

    Example: hj212gw why yx-paper-water w01018 2026-03-01T08

    The verdicts are computed now, by the same calculation as the rates and the settings in force. Nothing is written.
    """
    moment = _read_hour(hour)
    settings = options.load(config, {"database.dsn": dsn}, simulated_clock=True)
    document = asyncio.run(_tell(options.need_dsn(settings), settings, (outlet, factor, moment)))
    if as_json:
        print_json(document)
        return
    for line in _make_page(document):
        print_data(plain_text(line))


def _read_hour(text: str) -> datetime:
    if not _HOUR.fullmatch(text):
        message = f"expected the beginning of an hour on UTC+8 such as 2026-03-01T08, came {text[:80]!r}"
        raise typer.BadParameter(message, param_hint="HOUR")
    return options.read_moment(f"{text[:13]}:00", "HOUR")


async def _tell(dsn: str, settings: "Settings", asked: tuple[str, str, datetime]) -> _Document:
    from hj212gw.assessment.rules import make_rules  # noqa: PLC0415 - asyncpg is slow to import
    from hj212gw.cli.running import make_clock  # noqa: PLC0415
    from hj212gw.store.assessment import STAGES  # noqa: PLC0415
    from hj212gw.store.stories import StoryReader, Subject  # noqa: PLC0415

    clock: Clock = make_clock(settings)
    rules = make_rules(settings.assessment)
    async with StoryReader.open(dsn) as reader:
        who = await reader.find_owner(*asked)
        subject = Subject(*asked)
        if who is None or who["factor"] is None:
            _tell_unknown(who, asked)
            raise typer.Exit(_FAILED)
        now = clock.now()
        story = await reader.read(subject, who, rules, now)
        stages = [await _tell_stage(reader, story, subject, (stage, rules, now)) for stage in STAGES]
    return _make_document(story, subject, stages, now)


def _tell_unknown(who: _Document | None, asked: tuple[str, str, datetime]) -> None:
    if who is None:
        say(f"the registry has no outlet {asked[0]!r}: hj212gw registry export shows those it has")
    else:
        say(f"the catalogue has no factor {asked[1]!r}: give its code of 2017, such as w01018")


async def _tell_stage(
    reader: "StoryReader", story: "Story", subject: "Subject", how: tuple[str, "Rules", datetime]
) -> _Document:
    """Judge the hour at one stage, by the calculation made now and by what the rates were made of."""
    from hj212gw.assessment.verdicts import LOST, StageEnd  # noqa: PLC0415 - with asyncpg's modules

    stage, rules, now = how
    closes_at = _day_end(subject) + (rules.immediate_after if stage == "immediate" else rules.completed_after)
    end = StageEnd(stage, closes_at)
    verdict = _judge(story.computed.get(stage), story, subject, (rules, now))
    kept = story.kept.get(stage)
    is_open = now <= closes_at
    remedy = None
    if is_open and verdict.state in LOST:
        remedy = await reader.read_remedy(stage, verdict.state, is_dry=verdict.is_dry)
    return {
        "stage": stage,
        "closes_at": closes_at,
        "is_open": is_open,
        "state": verdict.state,
        "is_lost": verdict.state in LOST,
        "rule": verdict.rule,
        **verdict.counts._asdict(),
        "remedy": remedy,
        "remedy_until": closes_at if remedy else None,
        "state_in_rates": None if kept is None else _judge(kept, story, subject, (rules, now)).state,
        "marks": _explain_marks(story, subject, end, (rules, now)),
    }


def _explain_marks(
    story: "Story", subject: "Subject", end: "StageEnd", how: tuple["Rules", datetime]
) -> dict[int, str]:
    """Say by number what each mark does at a stage."""
    from hj212gw.assessment.verdicts import MarkedGroup, explain_mark  # noqa: PLC0415 - with asyncpg's modules

    rules, now = how
    group = MarkedGroup(subject.factor, story.who["medium"], tuple(map(_to_facts, story.manual)))
    return {
        mark["mark_id"]: explain_mark(_to_facts(mark), group, end, rules.values, now=now) or "is taken into account"
        for mark in story.marks
    }


def _judge(
    masks: dict[str, Any] | None, story: "Story", subject: "Subject", how: tuple["Rules", datetime]
) -> "Verdict":
    from hj212gw.assessment.verdicts import Masks, explain_absence, judge_hour  # noqa: PLC0415

    rules, now = how
    is_over = subject.hour + timedelta(hours=1) <= now
    is_counted = subject.factor not in rules.values["uncounted_factors"]
    place = (subject.hour - _day_end(subject) + timedelta(days=1)) // timedelta(hours=1)
    if masks is None or not masks["listed"] & 1 << place:
        return explain_absence(is_over=is_over or not story.base, is_counted=is_counted or not story.base)
    return judge_hour(Masks(**{**masks, "planes": tuple(masks["planes"])}), place, rules.values)


def _day_end(subject: "Subject") -> datetime:
    from hj212gw.protocol.times import start_of  # noqa: PLC0415

    return start_of(subject.day + timedelta(days=1))


def _to_facts(mark: dict[str, Any]) -> Any:
    from hj212gw.assessment.verdicts import MarkFacts  # noqa: PLC0415

    return MarkFacts(*(mark[name] for name in MarkFacts._fields))


def _make_document(story: "Story", subject: "Subject", stages: list[_Document], now: datetime) -> _Document:
    document: _Document = {
        **story.who,
        "factor": subject.factor,
        "hour": subject.hour,
        "now": now,
        "base_list": story.base,
        "data_loggers": story.loggers,
        "frames": [frame._asdict() for frame in story.frames],
        "rejects": story.rejects,
        "readings": story.readings,
        "replaced": story.history,
        "marks": story.marks,
        "stages": stages,
    }
    return {name: _to_local(value) for name, value in document.items()}


def _to_local(value: Any) -> Any:
    """Write moments on UTC+8, as the wire has them."""
    from hj212gw.protocol.times import WIRE_ZONE  # noqa: PLC0415

    if isinstance(value, datetime):
        return value.astimezone(WIRE_ZONE).isoformat()
    if isinstance(value, dict):
        return {name: _to_local(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_to_local(inner) for inner in value]
    return value


def _make_page(document: _Document) -> Iterator[str]:
    yield from _tell_who(document)
    for title, name, tell, nothing in (
        ("frames", "frames", _tell_frame, "none of this hour came"),
        ("refused frames that name a data logger of the outlet", "rejects", _tell_reject, None),
        ("rows", "readings", _tell_reading, "none"),
        ("replaced, or too late to stand", "replaced", _tell_replaced, None),
        ("marks", "marks", _tell_mark, "none touches this hour"),
    ):
        if document[name] or nothing:
            yield from ("", title)
            yield from (f"  {line}" for row in document[name] for line in tell(row))
            if not document[name]:
                yield f"  {nothing}"
    for stage in document["stages"]:
        yield from _tell_verdict(stage)


def _tell_who(document: _Document) -> Iterator[str]:
    yield f"outlet      {document['outlet']}  {document['outlet_name']}  ({document['medium']})"
    enterprise = [document[name] or "" for name in ("enterprise", "enterprise_name", "county")]
    yield f"enterprise  {'  '.join(enterprise)}".rstrip()
    names = f"{document['factor_name']}  {document['factor_name_en']}"
    yield f"factor      {document['factor']}  {names}  {document['unit'] or ''}".rstrip()
    yield f"hour        from {_show(document['hour'])} UTC+8; all times are UTC+8, it is now {_show(document['now'])}"
    for row in document["base_list"]:
        span = f"from {_show(row['valid_from']) or 'ever'} to {_show(row['valid_to']) or 'open'}"
        yield f"base list   {span}: {row['fields']} value(s) due an hour; recorded {_show(row['recorded_at'])}"
    if not document["base_list"]:
        yield "base list   not on it in this hour"
    yield f"loggers     {', '.join(document['data_loggers']) or 'none is registered for it'}"


def _tell_frame(frame: _Document) -> Iterator[str]:
    carries = {True: "has the factor", False: "WITHOUT the factor", None: "encrypted, not looked into"}[
        frame["carries"]
    ]
    yield f"{_show(frame['received_at'])}  from {frame['peer']}  MN {frame['mn']}  QN {frame['qn'] or '-'}  {carries}"
    kept = {
        "stored": "stored",
        "unregistered": "kept apart: its MN was not registered",
        "conflict": "kept apart: it contradicts another sender of its MN",
    }.get(frame["state"], f"kept apart: {frame['state']}")
    answer = f"answered {frame['answer']} once it was on disk" if frame["answer"] else "asked for no answer"
    warnings = f"; warnings: {', '.join(frame['warnings'])}" if frame["warnings"] else ""
    yield f"    {kept}; {answer}{warnings}"


def _tell_reject(reject: _Document) -> Iterator[str]:
    yield f"{_show(reject['received_at'])}  from {reject['peer']}  {reject['reason']}: {reject['detail']}"


def _tell_reading(row: _Document) -> Iterator[str]:
    yield f"MN {row['mn']} ({row['role'] or 'not registered'})  ST {row['st']}  as {row['code']}  {_show_values(row)}"
    unit = f"{row['unit'] or 'no unit known'} ({row['unit_state']}), value times {row['scale']:g}"
    yield f"    DataTime {_show(row['data_time'])} ({row['time_label']}); {unit}"
    standing = f"; stands since {_show(row['updated_at'])}" if row["updated_at"] else ""
    yield f"    first arrival {_show(row['received_at'])}{standing}; QN {row['qn'] or '-'}"


def _tell_replaced(row: _Document) -> Iterator[str]:
    span = f"arrived {_show(row['received_at'])}, replaced {_show(row['replaced_at'])}"
    yield f"MN {row['mn']}  {_show_values(row)}  {span}  ({row['origin']}; QN {row['qn'] or '-'})"


def _show_values(row: _Document) -> str:
    pairs = (("mean", "avg"), ("amount", "cou"), ("converted mean", "zs_avg"))
    shown = [f"{name} {row[key]:g}" for name, key in pairs if row[key] is not None]
    return f"{', '.join(shown) or 'no value'}  flag {_show_flag(row['data_flag'])}"


def _show_flag(flag: str | None) -> str:
    from hj212gw.protocol.codes import data_flags  # noqa: PLC0415 - reads tables

    if flag in (None, "N"):
        return flag or "none, as N"
    meanings = {row.code: row.meaning.lower() for edition in ("2005", "2017") for row in data_flags(edition)}
    return f"{flag} ({meanings.get(flag, 'in no edition')})"


def _tell_mark(mark: _Document) -> Iterator[str]:
    kind = f"{mark['kind']} {mark['name_zh']} ({mark['effect']})"
    span = f"{_show(mark['from_at'])} to {_show(mark['to_at']) or 'open'}"
    value = "" if mark["value"] is None else f"  value {mark['value']:g}"
    yield f"{mark['mark_id']}  {kind}  {span}  factor {mark['factor']}{value}"
    note = f": {mark['note']}" if mark["note"] else ""
    yield f"    by {mark['author']} ({mark['source']}), recorded {_show(mark['recorded_at'])}{note}"
    for event in mark["events"]:
        yield f"    {event['event']} by {event['by_whom']} at {_show(event['at'])}{_after_colon(event['note'])}"
    if mark["voucher_due"]:
        proof = f"came {_show(mark['proof_at'])}" if mark["proof_at"] else "is not there"
        yield f"    voucher due before {_show(mark['voucher_due'])} for this hour, {proof}"


def _tell_verdict(stage: _Document) -> Iterator[str]:
    state = "open" if stage["is_open"] else "closed"
    yield from (
        "",
        f"{stage['stage']} stage: {stage['state'].upper()}  (takes data until {_show(stage['closes_at'])}: {state})",
    )
    yield f"  {stage['rule']}"
    yield f"  {_COUNTS.format(*_counts_of(stage))}"
    yield from (f"  mark {mark_id}: {effect}" for mark_id, effect in stage["marks"].items())
    if stage["remedy"]:
        yield f"  to be done until {_show(stage['remedy_until'])}: {stage['remedy']}"
    elif stage["is_lost"]:
        yield "  nothing more can be done at this stage"
    if stage["state_in_rates"] not in (None, stage["state"]):
        yield f"  the rates still have {stage['state_in_rates']}: the aggregator comes to it, or has other settings"


def _counts_of(stage: _Document) -> list[int]:
    from hj212gw.assessment.rates import Counts  # noqa: PLC0415

    return [stage[name] for name in Counts._fields]


def _after_colon(note: str | None) -> str:
    return f": {note}" if note else ""


def _show(moment: str | None) -> str:
    """Write a moment to the second, the offset and an empty rest left out."""
    return "" if moment is None else moment.replace("T", " ")[:19]
