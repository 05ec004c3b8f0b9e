"""`hj212-sim`: one simulated data logger, a city of them, or a load."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import typer

from hj212gw.clock import Clock, to_us
from hj212gw.errors import Hj212Error
from hj212gw.protocol import Edition
from hj212sim.faults import FAULTS, find_faults
from hj212sim.fleet import Fleet, Span, is_complete
from hj212sim.gaps import GAPS, HOUR_SECS, Cutoffs, find_gaps
from hj212sim.load.cli import run_load
from hj212sim.logger import Habits
from hj212sim.loops import loop_factory
from hj212sim.plan import Run
from hj212sim.presets import FACTOR_SETS, City, make_yuxi
from hj212sim.readings import MODELS
from hj212sim.registry_files import write_assessment, write_registry
from hj212sim.report import open_witnesses
from hj212sim.schedule import HOUR, KNOWN_CNS, MIN_INTERVALS_MINS, MORE_CNS, US, Rhythm, Schedule
from hj212sim.screen import summarise, watch
from hj212sim.truth import write_gap_truth
from hj212sim.uploads import Profile, UploadWriter
from hj212sim.variants import add_faults, add_gaps, add_keys, write_truth

_FAILED = 1
_WRONG_USAGE = 2
_MNS = {
    Edition.V2005: "YX530402000101",
    Edition.V2017: "530402A00000001F00000001",
    Edition.V2025: "530402A00000001F00000001",
}
_USUAL_FAULTS = 0.1  # share of the data loggers
_USUAL_GAPS = 0.1  # an outlet and day
_ALL_CNS = ",".join(KNOWN_CNS)
_DEFAULT_SETS = {"31": "flue gas", "32": "sewage plant"}

app = typer.Typer(
    help="Simulated data loggers that speak HJ 212 and account for every packet.",
    no_args_is_help=True,
)
app.command("load")(run_load)


class Preset(StrEnum):
    """Cities that can be simulated."""

    YUXI = "yuxi"


Host = Annotated[str, typer.Option("--host", help="The gateway's address.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65_535, help="The gateway's port.")]
FleetPort = Annotated[
    int | None, typer.Option("--port", min=1, max=65_535, help="The gateway's port; none: only write the registry.")
]
Mn = Annotated[str | None, typer.Option("--mn", help="Its MN; not given: an invented one.")]
St = Annotated[str, typer.Option("--st", help="System code: 32 water, 31 gas.")]
Pw = Annotated[str, typer.Option("--pw", help="Its password.")]
EditionOption = Annotated[Edition, typer.Option("--edition", help="Edition it speaks; 2005 without QN.")]
Factors = Annotated[str | None, typer.Option("--factors", help="Codes, as w01018,w21003; not given: usual for the ST.")]
Cns = Annotated[str, typer.Option("--cn", help="Commands it sends; 2021, 2041 and 2081 too where named here.")]
RtdInterval = Annotated[int, typer.Option("--interval-secs", min=1, max=3600, help="Seconds between two 2011.")]
MinInterval = Annotated[int, typer.Option("--min-interval-mins", help="Minutes of a 2051, a divisor of 60.")]
Count = Annotated[int | None, typer.Option("--count", min=1, help="Stop after so many packets.")]
Duration = Annotated[float | None, typer.Option("--duration", min=0, help="Stop after so many seconds of the clock.")]
PresetOption = Annotated[Preset, typer.Option("--preset", help="The city.")]
Enterprises = Annotated[int | None, typer.Option("--enterprises", min=1, help="Scale it; yuxi has 173.")]
Monitors = Annotated[int | None, typer.Option("--monitors", min=1, help="Scale it; yuxi has 600.")]
Faults = Annotated[
    float | None, typer.Option("--faults", min=0, max=1, help="Share of the data loggers with a fault each, as 0.1.")
]
FaultNames = Annotated[
    list[str] | None, typer.Option("--fault", help="Only this fault; may be repeated. Alone it is --faults 0.1.")
]
Encrypted = Annotated[
    float, typer.Option("--encrypted", min=0, max=1, help="Share of the 2025 data loggers that encrypt (SM4).")
]
Gaps = Annotated[
    float | None,
    typer.Option("--gaps", min=0, max=10, help="Gaps in hour data an outlet has a day, on average, as 0.2."),
]
GapNames = Annotated[
    list[str] | None, typer.Option("--gap", help="Only this kind of gap; may be repeated. Alone it is --gaps 0.1.")
]
ClosingDays = Annotated[
    int, typer.Option("--completed-days", min=1, max=400, help="Days after which gaps take a day for closed.")
]
TruthOut = Annotated[
    Path | None,
    typer.Option("--truth", help="Write which data logger has which fault, or what gaps make of hours; JSON lines."),
]
RegistryOut = Annotated[Path | None, typer.Option("--registry-out", help="Write the fleet as registry CSVs here.")]
UntilIdle = Annotated[bool, typer.Option("--until-idle", help="At the end wait for the last answer, however long.")]
Seed = Annotated[int, typer.Option("--seed", help="Same seed and epoch: same packets.")]
Timeout = Annotated[float, typer.Option("--timeout-secs", min=0.01, help="Real seconds to wait for an answer.")]
Linger = Annotated[float, typer.Option("--linger-secs", min=0, help="Real seconds without any answer that end it.")]
SimulatedClock = Annotated[bool, typer.Option("--simulated-clock", help="Allow a clock that is not the real one.")]
ClockEpoch = Annotated[str | None, typer.Option("--clock-epoch", help="Simulated time at the start, with offset.")]
ClockSpeed = Annotated[float | None, typer.Option("--clock-speed", help="Simulated seconds in a real second.")]
ClockOrigin = Annotated[str | None, typer.Option("--clock-origin", help="Real time of the epoch, with offset.")]
SentOut = Annotated[Path | None, typer.Option("--sent-out", help="A line per packet as it is first sent.")]
AckedOut = Annotated[Path | None, typer.Option("--acked-out", help="A line per packet as its answer comes.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


class _Outputs(NamedTuple):
    """Where a run's results go."""

    sent_path: Path | None
    acked_path: Path | None
    is_json: bool


class _Gaps(NamedTuple):
    """The options that make gaps."""

    rate: float | None
    names: tuple[str, ...]
    completed_days: int


class _Variants(NamedTuple):
    """What tells some data loggers of a city from the others."""

    faults: float | None
    names: tuple[str, ...]
    encrypted: float
    gaps: _Gaps


class _Time(NamedTuple):
    """The options that set the clock."""

    is_allowed: bool
    epoch: str | None
    speed: float | None
    origin: str | None


def main() -> None:
    """Run the command line."""
    app()


@app.command("logger")
def run_logger(
    *,
    host: Host = "127.0.0.1",
    port: Port = 9212,
    mn: Mn = None,
    st: St = "32",
    pw: Pw = "123456",
    edition: EditionOption = Edition.V2017,
    factors: Factors = None,
    cn: Cns = _ALL_CNS,
    interval_secs: RtdInterval = 30,
    min_interval_mins: MinInterval = 10,
    count: Count = None,
    duration: Duration = None,
    seed: Seed = 1,
    timeout_secs: Timeout = 10.0,
    linger_secs: Linger = 30.0,
    simulated_clock: SimulatedClock = False,
    clock_epoch: ClockEpoch = None,
    clock_speed: ClockSpeed = None,
    clock_origin: ClockOrigin = None,
    sent_out: SentOut = None,
    acked_out: AckedOut = None,
    as_json: Json = False,
) -> None:
    """Run one data logger; exit 1 when a packet stayed without an answer.

    Example: hj212-sim logger --port 9212 --factors w01018,w21003 --cn 2011 --count 10 --json
    """
    clock, start_us = _make_clock(_Time(simulated_clock, clock_epoch, clock_speed, clock_origin))
    codes = _split(factors) if factors else _usual_factors(st, edition)
    # The first 2011 is due at once.
    rhythm = Rhythm(interval_secs, min_interval_mins, phase_ms=start_us // 1000 % (interval_secs * 1000), delay_ms=0)
    profile = Profile(mn or _MNS[edition], pw, st, edition, codes, _read_cns(cn), rhythm)
    span = Span(seed, start_us // 1000 * 1000, duration, count, linger_secs)
    _check_profile(profile, span)
    habits = Habits(host, port, timeout_secs=timeout_secs)
    _execute([profile], span, habits, clock, _Outputs(sent_out, acked_out, as_json))


@app.command("fleet")
def run_fleet(
    *,
    host: Host = "127.0.0.1",
    port: FleetPort = None,
    preset: PresetOption = Preset.YUXI,
    enterprises: Enterprises = None,
    monitors: Monitors = None,
    cn: Cns = _ALL_CNS,
    registry_out: RegistryOut = None,
    faults: Faults = None,
    fault: FaultNames = None,
    gaps: Gaps = None,
    gap: GapNames = None,
    completed_days: ClosingDays = 10,
    truth: TruthOut = None,
    encrypted: Encrypted = 0.0,
    duration: Duration = None,
    until_idle: UntilIdle = False,
    seed: Seed = 1,
    timeout_secs: Timeout = 10.0,
    linger_secs: Linger = 30.0,
    simulated_clock: SimulatedClock = False,
    clock_epoch: ClockEpoch = None,
    clock_speed: ClockSpeed = None,
    clock_origin: ClockOrigin = None,
    sent_out: SentOut = None,
    acked_out: AckedOut = None,
    as_json: Json = False,
) -> None:
    """Run a city's data loggers, each on its own connection; exit 1 when a packet stayed without an answer.

    Packets of data loggers with a fault (--faults, --fault) may stay without one; they are counted apart. With gaps
    (--gaps, --gap) exit 1 also when an hour came too late for what was planned, so that --truth does not hold.

    Example: hj212-sim fleet --preset yuxi --port 9212 --duration 600 --json
    """
    if port is None and registry_out is None:
        _refuse("give --port to run the fleet, --registry-out to write its registry, or both")
    clock, start_us = _make_clock(_Time(simulated_clock, clock_epoch, clock_speed, clock_origin))
    make = partial({Preset.YUXI: make_yuxi}[preset], enterprises, monitors, cns=_read_cns(cn), seed=seed)
    span = Span(seed, start_us, duration, None, None if until_idle else linger_secs)
    variants = _Variants(faults, tuple(fault or ()), encrypted, _Gaps(gaps, tuple(gap or ()), completed_days))
    city = _make_city(make, variants, span)
    _write_city(city, registry_out, truth)
    if port is not None:
        profiles, habits = [monitor.profile for monitor in city.monitors], Habits(host, port, timeout_secs=timeout_secs)
        _execute(profiles, span, habits, clock, _Outputs(sent_out, acked_out, as_json))


def _make_city(make: Callable[[], City], variants: _Variants, span: Span) -> City:
    """Make a city and give some of its data loggers the faults, gaps and keys that were asked for."""
    share, names, encrypted, gaps = variants
    try:
        city = make()
        if share is not None or names:
            faults = find_faults(names) or FAULTS
            city = add_faults(city, _USUAL_FAULTS if share is None else share, faults, seed=span.seed)
        if gaps.rate is not None or gaps.names:
            kinds = find_gaps(gaps.names) or GAPS
            run = _plan_run(city, variants, span)
            city = add_gaps(city, _USUAL_GAPS if gaps.rate is None else gaps.rate, kinds, run)
    except Hj212Error as error:
        _refuse(str(error))
    return add_keys(city, encrypted, seed=span.seed)


def _plan_run(city: City, variants: _Variants, span: Span) -> Run:
    """Tell how far the plans of a city with gaps reach."""
    if variants.faults is not None or variants.names:
        _refuse("--gaps and --faults are for separate runs: the truth of one does not hold with the other")
    if span.secs is None or HOUR not in city.monitors[0].profile.cns:
        _refuse(f"--gaps needs --duration, for all is planned ahead, and {HOUR} among --cn")
    first_secs = -(-span.start_us // (HOUR_SECS * US)) * HOUR_SECS
    return Run(first_secs, span.start_us + int(span.secs * US), Cutoffs(variants.gaps.completed_days), span.seed)


def _write_city(city: City, registry_out: Path | None, truth: Path | None) -> None:
    """Write what is to be known of a city, and say so."""
    plans = [monitor.profile.plan for monitor in city.monitors if monitor.profile.plan is not None]
    try:
        written = write_registry(city, registry_out) + write_assessment(city, registry_out) if registry_out else []
        if truth is not None:
            written.append(write_gap_truth(plans, truth) if plans else write_truth(city, truth))
    except OSError as error:
        _refuse(str(error))
    typer.echo(f"{len(city.enterprises)} enterprises, {len(city.monitors)} monitors", err=True)
    for path in written:
        typer.echo(f"wrote {path}", err=True)


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(_WRONG_USAGE)


def _split(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _read_cns(text: str) -> tuple[str, ...]:
    cns = _split(text)
    if not cns or not set(cns) <= {*KNOWN_CNS, *MORE_CNS}:
        _refuse(f"--cn {text!r}: expected some of {','.join((*KNOWN_CNS, *MORE_CNS))}")
    return cns


def _make_clock(options: _Time) -> tuple[Clock, int]:
    """Make the clock, and tell the moment at which the schedules begin."""
    given = (options.epoch, options.speed, options.origin)
    if not options.is_allowed and any(value is not None for value in given):
        _refuse("--clock-epoch, --clock-speed and --clock-origin are refused without --simulated-clock")
    epoch = _read_moment("--clock-epoch", options.epoch)
    origin = _read_moment("--clock-origin", options.origin)
    try:
        clock = Clock(epoch, 1.0 if options.speed is None else options.speed, origin=origin)
    except ValueError as error:
        _refuse(f"--clock-speed: {error}")
    # Without an origin the simulation is all its own and begins at the epoch to the microsecond, each time anew.
    start = epoch if epoch is not None and origin is None else clock.now()
    return clock, to_us(start)


def _read_moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        _refuse(f"{option} {text!r}: expected a time with offset, such as 2026-01-01T00:00:00+08:00")
    return moment


def _usual_factors(st: str, edition: Edition) -> tuple[str, ...]:
    factors = FACTOR_SETS[_DEFAULT_SETS.get(st, "process water")]
    if edition is Edition.V2005:
        return tuple(MODELS[code].legacy for code in factors if MODELS[code].legacy)
    return factors


def _check_profile(profile: Profile, span: Span) -> None:
    """Refuse what could not be sent, before anything is."""
    if profile.rhythm.min_interval_mins not in MIN_INTERVALS_MINS:
        _refuse(f"--min-interval-mins: expected one of {' '.join(map(str, MIN_INTERVALS_MINS))}")
    if not profile.factors:
        _refuse("--factors: expected codes such as w01018,w21003")
    for cn in profile.cns:
        upload = Schedule((cn,), profile.rhythm, start_us=span.start_us).take()
        try:
            UploadWriter(profile, seed=span.seed).write(upload)
        except Hj212Error as error:
            _refuse(f"these packets cannot be written: {error}")


def _execute(profiles: list[Profile], span: Span, habits: Habits, clock: Clock, outputs: _Outputs) -> NoReturn:
    """Run data loggers to the end, print the report and exit by it."""
    main_coroutine = _simulate(profiles, span, habits, clock, outputs)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            report = runner.run(main_coroutine)
    except OSError as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(_FAILED) from error
    typer.echo(json.dumps(report) if outputs.is_json else "\n".join(summarise(report)))
    raise typer.Exit(0 if is_complete(report) else _FAILED)


async def _simulate(
    profiles: list[Profile], span: Span, habits: Habits, clock: Clock, outputs: _Outputs
) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    with open_witnesses(outputs.sent_path, outputs.acked_path) as witnesses:
        fleet = Fleet(profiles, span, habits, clock, witnesses)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, fleet.stop)
        watcher = asyncio.create_task(watch(fleet, clock)) if sys.stderr.isatty() else None
        try:
            return await fleet.run()
        finally:
            if watcher is not None:
                watcher.cancel()
                with suppress(asyncio.CancelledError):
                    await watcher
