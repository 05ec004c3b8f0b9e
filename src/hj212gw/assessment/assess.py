"""An assessment of any range under any settings, month by month in bounded memory, out of one database."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import product, zip_longest
from typing import Any, NamedTuple

from hj212gw.assessment.figures import (
    Key,
    Manner,
    Pool,
    apply_settings,
    is_provisional,
    last_day_of,
    make_figure,
    order_of,
    pool_cells,
)
from hj212gw.assessment.losses import to_lost_hour
from hj212gw.assessment.ranges import (
    NET_OR_GROSS,
    OF_ARRIVALS,
    OF_GROUPS,
    Names,
    Part,
    Ranges,
    change_settings,
    names_at,
)
from hj212gw.assessment.rates import Policy
from hj212gw.assessment.reports import PERIODS, STATES, Figure, LostHour, Report, Spread
from hj212gw.assessment.rules import make_rules
from hj212gw.config_assessment import WASTEWATER_PARAMETERS, AssessmentSettings
from hj212gw.errors import ConfigError
from hj212gw.protocol.times import WIRE_ZONE, local_day, start_of
from hj212gw.store.assessment import LOCAL, STAGES, UPSTREAM, Scope, apply_rules, compute_days, read_arrivals
from hj212gw.store.figures import (
    Cell,
    Grouping,
    find_sources,
    find_span,
    keep_aside,
    narrow,
    read_cells,
    read_losses,
    read_names,
    read_open_questions,
    read_policies,
    read_remedies,
    read_uncounted,
)
from hj212gw.store.pool import Connection, undone


class Question(NamedTuple):
    """What is asked.

    Attributes:
        settings: of the assessment.
        now: hours that are not over are not due. Aware.
        from_day, to_day: days of UTC+8, the last one not included; None for what base list and hours span.
        arrivals: `local`, or `upstream:NAME`.
        period: day, month, quarter, year or total; None for the policy's own, a total where it has several.
        levels, stages: of the figures.
        city: its name.
        has_lost_hours, has_ranges: what is found besides.
        on_progress: told how much is done, 0 to 1, and what.
    """

    settings: AssessmentSettings
    now: datetime
    from_day: date | None
    to_day: date | None
    arrivals: str
    period: str | None
    levels: Sequence[str]
    stages: Sequence[str]
    city: str
    has_lost_hours: bool = False
    has_ranges: bool = False
    on_progress: Callable[[float, str], None] = lambda _share, _what: None


async def check_arrivals(connection: Connection, arrivals: str) -> None:
    """Check that there is anything to assess by: all hours of a platform that gave none would be missing.

    Raises:
        ConfigError: there are no hours of it; with the platforms that gave some.
        asyncpg.PostgresError: the database failed.
    """
    if arrivals == LOCAL:
        return
    known, name = await find_sources(connection), arrivals.removeprefix(UPSTREAM)
    if not known:
        raise ConfigError("no hours of a higher platform were ever imported: hj212gw upstream import brings them")
    if name not in known:
        raise ConfigError(f"no hours of {name!r} were ever imported: expected one of {', '.join(known)}")


async def assess(connection: Connection, question: Question) -> Report:
    """Compute an assessment; nothing is written.

    Args:
        connection: of a login that may read base list, marks and readings, in no transaction.
        question: what is asked.

    Raises:
        ConfigError: the policy, the period, the range or the arrivals are none that can be assessed so.
        asyncpg.PostgresError: the database failed.
    """
    if question.arrivals == LOCAL and question.settings.immediate_by == "provenance":
        raise ConfigError(
            "immediate_by=provenance: local arrivals do not tell what was filled in; expected files (--from-csv) or"
            " upstream arrivals (--arrivals upstream:NAME), or --set immediate_by=deadline"
        )
    async with connection.transaction(isolation="repeatable_read"):
        policy, period = await _choose(connection, question)
        from_day, to_day = await _find_days(connection, question)
        if question.has_ranges and question.settings.period_figure != "pooled":
            raise ConfigError("ranges are of pooled periods: leave out --range, or --set period_figure=pooled")
        run = _Run(connection, question, policy, Grouping(period, from_day, policy.basis, False, question.stages))
        for first, end in _months(from_day, to_day):
            question.on_progress((first - from_day) / (to_day - from_day), f"{first:%Y-%m}")
            await run.compute(first, end)
        report = run.report(to_day, await read_names(connection))
        return report._replace(remedies=await read_remedies(connection, question.stages, STATES))


class _Run:
    """One assessment on its way through the months."""

    def __init__(self, connection: Connection, question: Question, policy: Policy, grouping: Grouping) -> None:
        settings = question.settings
        by_day = settings.period_figure == "mean_of_days" and grouping.period != "day"
        self._connection = connection
        self._question = question
        self._rules = make_rules(settings)
        self._manner = Manner(policy, settings.nothing_due == "full", settings.rollup)
        self._grouping = grouping._replace(by_day=by_day)
        self._pools: dict[Key, Pool] = {}
        self._lost: list[LostHour] = []
        self._uncounted: set[tuple[str, str]] = set()
        self._ranges = Ranges(settings, self._manner, question.city)

    async def compute(self, first: date, end: date) -> None:
        """Compute the days of a month."""
        question = self._question
        scope = Scope(first, end, question.now, None, question.arrivals)
        await compute_days(self._connection, scope, self._rules)
        cells = await read_cells(self._connection, self._grouping)
        pool_cells(cells, question.city, self._pools)
        self._uncounted |= await read_uncounted(self._connection, question.settings.uncounted_factors)
        if question.has_lost_hours:
            async for loss in read_losses(self._connection, self._rules, question.stages):
                self._lost.append(to_lost_hour(loss, self._rules, question.arrivals))
        if question.has_ranges:
            await self._vary(scope, cells)

    def report(self, to_day: date, names: dict[tuple[str, str], str]) -> Report:
        """Put together what was found."""
        question = self._question
        keys = sorted((key for key in self._pools if key[0] in question.levels), key=order_of)
        figures = [self._make_figure(key, to_day, names) for key in keys]
        return Report(
            figures=figures,
            policy=self._manner.policy,
            settings=question.settings.model_dump(mode="json"),
            from_day=self._grouping.first_day,
            to_day=to_day,
            period=self._grouping.period,
            now=question.now,
            arrivals=question.arrivals,
            city=question.city,
            lost_hours=self._lost if question.has_lost_hours else None,
            spreads=[self._make_spread(figure) for figure in figures] if question.has_ranges else None,
            varied=self._ranges.varied,
            names=names,
            uncounted=sorted(self._uncounted),
        )

    def _make_figure(self, key: Key, to_day: date, names: dict[tuple[str, str], str]) -> Figure:
        level, id_, period_start, stage = key
        period = self._grouping.period
        last_day = last_day_of(period, period_start, to_day)
        provisional = is_provisional(last_day, stage, self._rules, self._question.now)
        named = (names.get((level, id_), id_), period, provisional)
        return make_figure(key, self._pools[key], self._manner, named)

    def _make_spread(self, figure: Figure) -> Spread:
        key = (figure.level, figure.id, figure.period_start, figure.stage)
        return Spread(*figure[:6], figure.rate.effective, *self._ranges.find(key))

    async def _vary(self, scope: Scope, cells: list[Cell]) -> None:
        """Compute the outlets of a month by every choice of the settings that can matter to each."""
        settings = self._question.settings
        uncounted = {*WASTEWATER_PARAMETERS, *settings.uncounted_factors}
        questions = await read_open_questions(
            self._connection, scope, settings.flow_factors, uncounted, self._ranges.cutoffs()
        )
        of_arrivals = [name for name, stage in OF_ARRIVALS.items() if stage in self._question.stages]
        open_ = (*of_arrivals, *OF_GROUPS, NET_OR_GROSS)
        groups: dict[Names, list[str]] = {}
        for outlet, found in questions.items():
            names = tuple(name for name in open_ if name in found)
            groups.setdefault(names, []).append(outlet)
        for cell in cells:
            if not questions[cell.outlet]:
                self._ranges.add(Part(cell, ()), ())
        await keep_aside(self._connection)
        for names, outlets in groups.items():
            if names:
                await self._vary_outlets(scope, outlets, names)

    async def _vary_outlets(self, scope: Scope, outlets: list[str], names: Names) -> None:
        """Compute some outlets by every choice; what was read is read again only where a choice is about that."""
        varied = [name for name in OF_GROUPS if name in names]
        choices = list(product(*(self._ranges.values_of(name) for name in varied)))
        readings = self._list_readings(names)
        for number, (reading, stages) in enumerate(readings):
            async with undone(self._connection):
                if number:
                    rules = make_rules(change_settings(self._question.settings, reading))
                    await read_arrivals(self._connection, scope._replace(outlets=outlets), rules)
                else:
                    await narrow(self._connection, outlets)
                for place, choice in enumerate(choices):
                    share = (number + place / len(choices)) / len(readings)
                    self._question.on_progress(share, f"{scope.from_day:%Y-%m} range, {len(outlets)} outlets")
                    async with undone(self._connection):
                        await self._count(scope, names, stages, {**reading, **dict(zip(varied, choice, strict=True))})

    def _list_readings(self, names: Names) -> list[tuple[dict[str, str], tuple[str, ...]]]:
        """List what has to be read, as configured first, with the stages it is read for.

        Another choice of each stage is read at once, but where the closing of one bounds what the other takes.
        """
        configured = {name: self._ranges.values_of(name)[0] for name in OF_ARRIVALS if name in names}
        others: list[list[dict[str, str]]] = []
        for stage in STAGES:
            own = [name for name in configured if OF_ARRIVALS[name] == stage]
            choices = list(product(*(self._ranges.values_of(name) for name in own)))[1:]
            others.append([dict(zip(own, choice, strict=True)) for choice in choices])
        if "immediate_by" in names or self._rules.is_by_provenance:
            others = [[*others[0], *({} for _ in others[1])], [*({} for _ in others[0]), *others[1]]]
        readings: list[tuple[dict[str, str], tuple[str, ...]]] = [(configured, STAGES)]
        for pair in zip_longest(*others, fillvalue={}):
            stages = tuple(stage for stage, changes in zip(STAGES, pair, strict=True) if changes)
            readings.append(({**configured, **pair[0], **pair[1]}, stages))
        return readings

    async def _count(self, scope: Scope, names: Names, stages: Sequence[str], changes: dict[str, str]) -> None:
        """Count what was read by a choice, for some stages."""
        rules = make_rules(change_settings(self._question.settings, {**changes, NET_OR_GROSS: "net"}))
        await apply_rules(self._connection, scope, rules)
        wanted = [stage for stage in stages if stage in self._question.stages]
        for cell in await read_cells(self._connection, self._grouping._replace(stages=wanted)):
            own = names_at(cell.stage, names)
            choice = tuple(changes[name] for name in own if name != NET_OR_GROSS)
            self._ranges.add(Part(cell, choice), own)


async def _choose(connection: Connection, question: Question) -> tuple[Policy, str]:
    """Find the policy, with the settings applied, and the period."""
    known = await read_policies(connection)
    wanted = question.settings.policy
    if wanted not in known:
        raise ConfigError(f"there is no policy {wanted!r}: expected one of {', '.join(known)}")
    row = known[wanted]
    periods = tuple(row["periods"])
    period = question.period or (periods[0] if len(periods) == 1 else "total")
    if period not in (*periods, "total"):
        names = ", ".join(name for name in PERIODS if name in (*periods, "total"))
        raise ConfigError(f"the policy {wanted} has no figure of a {period}: expected --period {names}")
    return apply_settings(_to_policy(row, periods), question.settings), period


def _to_policy(row: dict[str, Any], periods: tuple[str, ...]) -> Policy:
    values = {name: row[name] for name in ("t_unit", "v_denominator", "combine", "basis")}
    return Policy(name=row["policy"], threshold=Fraction(row["threshold"]), periods=periods, **values)


async def _find_days(connection: Connection, question: Question) -> tuple[date, date]:
    """Find the range: what is asked, else what the base list and the hours span, up to today."""
    first, end = question.from_day, question.to_day
    if first is None or end is None:
        spanned_first, spanned_end = await find_span(connection, question.arrivals)
        today = local_day(question.now) + timedelta(days=1)
        first = first or spanned_first
        end = end or min(spanned_end or today, today)
    if first is None:
        raise ConfigError("nothing tells which days to assess, neither base list nor hours: give --from and --to")
    if first >= end:
        raise ConfigError(f"the range from {first} to {end} has no day: expected --from before --to")
    if question.arrivals == LOCAL and start_of(first) > question.now:
        raise ConfigError(
            f"the range begins on {first}, after now, {question.now.astimezone(WIRE_ZONE):%Y-%m-%d %H:%M}"
        )
    return first, end


def _months(from_day: date, to_day: date) -> Iterator[tuple[date, date]]:
    """Cut a range at the beginnings of months."""
    first = from_day
    while first < to_day:
        following = (first.replace(day=1) + timedelta(days=31)).replace(day=1)
        yield first, min(following, to_day)
        first = following
