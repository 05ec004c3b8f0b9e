"""Dashboards: made by the script, in Grafana's form, and every SQL panel answered by a filled database in time."""

import asyncio
import importlib.util
import math
import os
import re
import secrets
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import asyncpg
import pytest
import yaml
from tests.conftest import FAST, execute, with_database
from tests.support import Database
from tests.watch import charts, filling
from tests.watch.panels import (
    DASHBOARDS,
    OF_POSTGRES,
    OF_PROMETHEUS,
    ROOT,
    connect_as_analyst,
    expand,
    find_values,
    panels_of,
    questions,
    variable,
)

IS_LONG = bool(os.environ.get("HJ212_TEST_LONG"))
QUICK_SECS = 0.3
REPORT = ROOT / "build" / "report"
PROVISIONING = ROOT / "config" / "grafana" / "provisioning"
BIG = {**FAST, "shared_buffers": "1GB", "max_wal_size": "8GB", "work_mem": "16MB", "synchronous_commit": "off"}
UNITS = {"short", "percentunit", "pps", "cps", "s", "bytes"}
PANEL_TYPES = {"stat", "timeseries", "table", "state-timeline"}
TWO_LANGUAGES = re.compile(r"[A-Za-z' ,-]+ · [\u4e00-\u9fff]+")

of_each = pytest.mark.parametrize("name", DASHBOARDS)


def load_script(name):
    """A module of scripts/, which is no package; its neighbours are found beside it."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return module


def test_dashboards_are_what_the_script_makes():
    """Who changes one by hand loses it."""
    made = load_script("dashboards").make_all()
    assert {path.stem for path in made} == set(DASHBOARDS) == {"gateway", "city", "outlet"}
    for path, text in made.items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path} is old: run make docs"


@of_each
def test_dashboard_keeps_grafanas_conventions(name):
    """A uid of its own and no number of a server, titles in two languages, panels that do not overlap."""
    dashboard = DASHBOARDS[name]
    assert "id" not in dashboard
    assert dashboard["uid"] == f"hj212gw-{name}"
    assert TWO_LANGUAGES.fullmatch(dashboard["title"])
    assert len({each["uid"] for each in DASHBOARDS.values()}) == len(DASHBOARDS)
    panels = dashboard["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    taken = set()
    for panel in panels:
        assert TWO_LANGUAGES.fullmatch(panel["title"]), panel["title"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


@of_each
def test_panels_say_how_their_values_look(name):
    """Known kinds, a unit, thresholds that begin with no value and go up."""
    for panel in panels_of(DASHBOARDS[name]):
        assert panel["type"] in PANEL_TYPES
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"] in UNITS
        steps = [step["value"] for step in defaults["thresholds"]["steps"]]
        assert steps[0] is None
        assert steps[1:] == sorted(steps[1:])
        if "repeat" in panel:
            assert variable(name, panel["repeat"])["multi"]
        assert [target["refId"] for target in panel["targets"]] == [chr(65 + n) for n in range(len(panel["targets"]))]


@of_each
def test_data_sources_are_variables(name):
    """No panel and no variable names the data source of one installation, and every variable that is used exists."""
    dashboard = DASHBOARDS[name]
    listed = dashboard["templating"]["list"]
    kinds = {each["name"]: each["query"] for each in listed if each["type"] == "datasource"}
    assert set(kinds) <= {"prometheus", "postgres"}
    sources = [each["datasource"] for each in listed if each["type"] == "query"]
    for panel in panels_of(dashboard):
        sources += [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    for source in sources:
        assert source["uid"] in {OF_POSTGRES, OF_PROMETHEUS}
        assert kinds[source["uid"].strip("${}")] == source["type"]
    names = {each["name"] for each in listed}
    texts = [
        question.text
        for source in (OF_POSTGRES, OF_PROMETHEUS)
        for question in questions(source)
        if question.dashboard == name
    ]
    texts += [each["query"] for each in listed if each["type"] == "query" and isinstance(each["query"], str)]
    used = {found for text in texts for found in re.findall(r"\$\{?(\w+)", text) if not found.startswith("__")}
    assert used <= names
    assert len(names) == len(listed)


def test_variables_follow_each_other():
    """What a choice depends on stands before it."""
    assert [each["name"] for each in DASHBOARDS["outlet"]["templating"]["list"]][:6] == [
        "prometheus", "postgres", "county", "enterprise", "outlet", "factor",
    ]  # fmt: skip
    assert variable("outlet", "outlet")["multi"] is False


def test_links_lead_to_dashboards():
    """A link inside names the uid and a variable that the other dashboard has."""
    texts = [(ROOT / "config/grafana/dashboards" / f"{name}.json").read_text(encoding="utf-8") for name in DASHBOARDS]
    links = {found for text in texts for found in re.findall(r'"/d/([\w-]+)\?var-(\w+)=', text)}
    assert links == {("hj212gw-outlet", "outlet")}


def test_provisioned_data_sources_are_of_the_kinds_that_are_asked():
    """Secrets and addresses come from the environment."""
    document = yaml.safe_load((PROVISIONING / "datasources" / "hj212gw.yml").read_text(encoding="utf-8"))
    kinds = {each["type"] for each in document["datasources"]}
    assert kinds == {each["query"] for each in DASHBOARDS["city"]["templating"]["list"] if each["type"] == "datasource"}
    for each in document["datasources"]:
        assert re.fullmatch(r"\$\{\w+\}", each["url"])
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "hj212gw.yml").read_text(encoding="utf-8"))["providers"]
    assert provider["type"] == "file"


def choose_now():
    """The end of the data: now, but not on the first days of a month, when its panels have little to show."""
    now = datetime.now(UTC)
    return now - timedelta(days=3) if (now + timedelta(hours=8)).day <= 2 else now


@pytest.fixture(scope="module")
def filled(postgres_server_dsn):
    """A city in a database: some outlets and days; in the long form Yuxi's 600 monitors with a year of hours (30 GB)."""
    if IS_LONG:
        database = Database(BIG)
        try:
            yield asyncio.run(_fill(database, monitors=600, days=365, rtd=timedelta(days=2)))
        finally:
            asyncio.run(database.remove())
        return
    name = f"hj212_test_{secrets.token_hex(6)}"
    asyncio.run(execute(postgres_server_dsn, f"CREATE DATABASE {name}"))
    dsn = with_database(postgres_server_dsn, name)
    try:
        now = choose_now()
        asyncio.run(filling.fill(dsn, monitors=12, days=34, rtd=timedelta(hours=1), now=now))
        asyncio.run(filling.assess(dsn, now))
        yield dsn, now
    finally:
        asyncio.run(execute(postgres_server_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


async def _fill(database, **how):
    now = choose_now()
    await database.start()
    await filling.fill(database.dsn, now=now, **how)
    await filling.assess(database.dsn, now)
    return database.dsn, now


async def find_busiest(dsn, now):
    """The outlet that has the most factors, and lost hours."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(
            "SELECT outlet FROM hj212.v_lost_hours JOIN hj212.current_data_loggers USING (outlet)"
            " WHERE day > hj212.local_day($1) - 2 GROUP BY outlet ORDER BY max(cardinality(factors)) DESC, outlet LIMIT 1",
            now,
        )
    finally:
        await connection.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "question", questions(OF_POSTGRES), ids=lambda question: f"{question.dashboard}: {question.title}"
)
async def test_sql_panel(filled, question):
    """It returns rows to an analyst's login; in the long form in less than 300 ms of an undisturbed processor."""
    dsn, now = filled
    connection = await connect_as_analyst(dsn)
    try:
        values = await find_values(connection, question.dashboard, outlet=await find_busiest(dsn, now), now=now)
        statement = expand(question.text, question.since, values, now)
        rows, took = await take_time(connection, statement)
    finally:
        await connection.close()
    assert rows
    assert any(value is not None for row in rows for value in row.values())
    if {"time", "metric", "value"} <= set(rows[0].keys()):
        assert all(row["time"] is not None and row["metric"] is not None for row in rows)
    assert not IS_LONG or took < QUICK_SECS, took


@pytest.mark.slow
async def test_rates_are_cut_not_rounded(filled):
    """94.996 % is below 95 and must not be shown as 95.00: a panel gets no more than two decimals of a percentage."""
    dsn, now = filled
    connection = await connect_as_analyst(dsn)
    try:
        values = await find_values(connection, "city", outlet=await find_busiest(dsn, now), now=now)
        (question,) = [
            each for each in questions(OF_POSTGRES) if each.title == "Worst outlets of the month · 本月最差排放口 A"
        ]
        shown = await connection.fetch(expand(question.text, question.since, values, now))
        exact = await connection.fetch(
            "SELECT id, effective, transmission, validity FROM hj212.v_rates WHERE level = 'outlet' AND period = 'month'"
            " AND policy = 'national_platform_v2' AND stage = $1"
            " AND period_start = date_trunc('month', hj212.local_day($2)::timestamp)::date",
            values["stage"], now,
        )  # fmt: skip
    finally:
        await connection.close()
    known = {row["id"]: row for row in exact}
    pairs = [
        (row[name], known[row["outlet"]][name]) for row in shown for name in ("effective", "transmission", "validity")
    ]
    assert all(cut == math.floor(rate * 10000) / 10000 for cut, rate in pairs)
    assert any(cut != round(rate, 4) for cut, rate in pairs)


async def take_time(connection, statement):
    """The rows of a statement and its time: of three runs the shortest, by the clock or by the server's processor.

    On a machine that does other things a query waits for the processor most of the time; that is not its own.
    """
    await connection.execute("SET max_parallel_workers_per_gather = 0")
    pid = connection.get_server_pid()
    took = []
    for _ in range(3):
        began, spent = time.perf_counter(), processor_secs(pid)
        rows = await connection.fetch(statement)
        took.append(min(time.perf_counter() - began, processor_secs(pid) - spent))
    return rows, min(took)


def processor_secs(pid):
    """What a process of this machine has used; a server elsewhere is timed by the clock."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return time.perf_counter()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


SQL_OF_PAGES = [
    pytest.param(" ".join(found.split()), id=page.stem)
    for page in sorted((ROOT / "docs" / "runbooks").glob("*.md"))
    for found in re.findall(r"`(SELECT [^`]+)`", page.read_text(encoding="utf-8"))
    if "FROM" in found
]


@pytest.mark.slow
@pytest.mark.parametrize("statement", SQL_OF_PAGES)
async def test_sql_of_runbook(filled, statement):
    """What a page tells to ask can be asked by an analyst."""
    connection = await connect_as_analyst(filled[0])
    try:
        await connection.fetch(statement)
    finally:
        await connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["city", "outlet"])
async def test_picture_of_dashboard(filled, name):
    """Each SQL panel is drawn with its answer into build/report, to be looked at; the picture shows all of them."""
    dsn, now = filled
    connection = await connect_as_analyst(dsn)
    try:
        values = await find_values(connection, name, outlet=await find_busiest(dsn, now), now=now)
        answers = {
            question.title.removesuffix(" A"): await connection.fetch(
                expand(question.text, question.since, values, now)
            )
            for question in questions(OF_POSTGRES)
            if question.dashboard == name
        }
    finally:
        await connection.close()
    picture = charts.draw(DASHBOARDS[name], answers)
    REPORT.mkdir(parents=True, exist_ok=True)
    (REPORT / f"{name}.svg").write_text(picture, encoding="utf-8")
    ET.fromstring(picture)
    assert all(title in picture for title in answers)
