"""The pages of docs/ hold: the site builds, views are the database's, queries and commands do what the page says."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from tests.conftest import with_user
from tests.support import GatewayProcess, run_cli, secs, wait_for

from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import format_data_time, format_qn
from hj212gw.store.migrate import migrate

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WATER, SEWAGE = "530401A8900016F000169D01", "530403A8900016F000169D06"  # of config/registry


def blocks(page, language):
    """The fenced blocks of one language of a page."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


QUERIES = [block.strip() for block in blocks("analysts.md", "sql")]


def test_site_builds(tmp_path):
    """MkDocs has nothing to warn of, every page is reached, and nothing is fetched from elsewhere."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=secs(120), check=False)
    assert done.returncode == 0, done.stderr
    pages = [*DOCS.glob("*.md"), *DOCS.glob("runbooks/*.md"), *DOCS.glob("decisions/*.md")]
    for page in pages:
        name = page.relative_to(DOCS).with_suffix(".html")
        name = name.with_name("index.html") if page.name == "README.md" else name
        text = (tmp_path / "site" / name).read_text(encoding="utf-8")
        assert not re.findall(r'(?:src|href)="https?://(?!squidfunk|www\.mkdocs)[^"]*\.(?:js|css|woff2?)', text), name
    assert (tmp_path / "site/project/SECURITY.html").exists()


def test_runbooks_are_listed():
    """Every runbook is reached from the list of them."""
    listed = (DOCS / "runbooks" / "index.md").read_text(encoding="utf-8")
    pages = {page.name for page in (DOCS / "runbooks").glob("*.md")} - {"index.md"}
    assert [page for page in pages if f"({page})" not in listed] == []


def read_documented_views():
    """What docs/views.md says: the columns of each view, in their order."""
    sections = re.split(r"^### ", (DOCS / "views.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    rows = r"^\| `(\w+)` \| (.+) \|$"
    return {section.split()[0]: re.findall(rows, section, re.MULTILINE) for section in sections}


async def test_views_are_documented(postgres_dsn):
    """Every view and every column that an analyst may read is in docs/views.md, in order and with a meaning."""
    connection = await asyncpg.connect(postgres_dsn)
    await migrate(connection, now=datetime.now(UTC))
    found = {}
    for view, column in await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'hj212' AND table_name LIKE 'v\\_%' ORDER BY table_name, ordinal_position"
    ):
        found.setdefault(view, []).append(column)
    await connection.close()
    documented = read_documented_views()
    assert set(documented) == set(found)
    for view, rows in documented.items():
        assert [column for column, _ in rows] == found[view], view


def make_hour(mn, hour_at, average, factors=("w01018", "w21003"), late=timedelta(minutes=5)):
    """An hour's upload as it is sent some minutes after its end."""
    values = ";".join(
        f"{code}-Cou=80.1,{code}-Min=1.0,{code}-Avg={average},{code}-Max=90.0,{code}-Flag=N" for code in factors
    )
    qn = format_qn(hour_at + timedelta(hours=1) + late)
    area = f"DataTime={format_data_time(hour_at)};{values}"
    return encode_frame(f"QN={qn};ST=32;CN=2061;PW=123456;MN={mn};Flag=5;CP=&&{area}&&".encode())


def make_frames(now):
    """Two days of hours of two outlets, one over its limit, one changed afterwards; and real-time data."""
    hour = now.replace(minute=0, second=0)
    frames = [make_hour(mn, hour - timedelta(hours=back), 22.5) for mn in (WATER, SEWAGE) for back in range(2, 50)]
    frames.append(make_hour(SEWAGE, hour - timedelta(hours=50), 77.5))
    frames.append(make_hour(WATER, hour - timedelta(hours=3), 23.5, late=timedelta(minutes=40)))
    qn, moment = format_qn(now), format_data_time(now)
    area = f"DataTime={moment};w01018-Rtd=21.5,w01018-Flag=N"
    return [*frames, encode_frame(f"QN={qn};ST=32;CN=2011;PW=123456;MN={WATER};Flag=5;CP=&&{area}&&".encode())]


def send(port, frames):
    """Send frames as one data logger does: each after the answer to the one before."""
    with socket.create_connection(("127.0.0.1", port), timeout=secs(30)) as line:
        for frame in frames:
            line.sendall(frame)
            assert b"CN=9014" in line.recv(4096)


async def ask(dsn, statement, *arguments):
    """The rows of one statement."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A gateway with the registry's examples, which pages may be tried on."""
    folder = tmp_path_factory.mktemp("pages")
    with GatewayProcess(folder, settings={"aggregator.interval_secs": 0.2}) as gateway:
        files = sorted((ROOT / "config" / "registry").glob("*.csv"))
        code, _, err = run_cli("registry", "import", *files, "--dsn", gateway.ready["dsn"])
        assert code == 0, err
        yield gateway


@pytest.fixture(scope="module")
def analyst_dsn(gateway):
    """The address of an analyst's login to a database in which two outlets are assessed."""
    dsn = gateway.ready["dsn"]
    asyncio.run(ask(dsn, "CREATE ROLE anna LOGIN PASSWORD 'a' IN ROLE hj212_analyst"))
    send(gateway.port, make_frames(datetime.now(UTC).replace(microsecond=0)))
    ready = "SELECT FROM hj212.v_rates WHERE level = 'city' AND period = 'month' AND groups_received > 80"
    wait_for(lambda: asyncio.run(ask(dsn, ready)), 60)
    return with_user(dsn, "anna")


def test_there_are_ten_questions():
    """Each of them has a number and a query."""
    text = (DOCS / "analysts.md").read_text(encoding="utf-8")
    assert re.findall(r"^\*\*(\d+)\. ", text, re.MULTILINE) == [str(number) for number in range(1, 11)]
    assert len(QUERIES) == 10


@pytest.mark.parametrize("number", range(10), ids=lambda number: f"question-{number + 1}")
def test_question(analyst_dsn, number):
    """A worked query of the analysts' page gives rows, asked with a login that may read views and nothing else."""
    assert asyncio.run(ask(analyst_dsn, QUERIES[number]))


def test_limit_question_finds_the_hour_over_it(analyst_dsn):
    """The query for hours over the limit finds the one that is, and no other."""
    rows = asyncio.run(ask(analyst_dsn, QUERIES[2]))
    assert {(row["outlet"], row["factor_name"], row["mean"]) for row in rows} >= {("yx-sewage-out", "化学需氧量", 77.5)}
    assert all(row["mean"] > row["high"] for row in rows)


def test_analyst_reads_no_table(analyst_dsn):
    """The login of the page reads no table."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asyncio.run(ask(analyst_dsn, "SELECT FROM hj212.packets"))


def find_runnable_lines():
    """Command lines of the pages that need no more than a gateway: the simulator, decode and encode."""
    lines = [
        line
        for page in ("quick-start.md", "data-loggers.md")
        for block in blocks(page, "console")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [line for line in dict.fromkeys(lines) if re.match(r"hj212-sim |hj212gw (?:decode|encode) ", line)]


@pytest.mark.slow
@pytest.mark.parametrize("line", find_runnable_lines())
def test_line_of_page(gateway, tmp_path, line):
    """Command lines of the guides do their work; a fleet with faults ends with 1, as some of its packets are refused."""
    frame = make_hour(WATER, datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=60), 20.5)
    (tmp_path / "capture.bin").write_bytes(frame)
    programs = Path(sys.executable).parent
    assert shutil.which("hj212-sim", path=programs)
    env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    script = "set -o pipefail\n" + line.replace("--port 9212", f"--port {gateway.port}")
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=secs(120), check=False
    )
    assert done.returncode in ((0, 1) if "--faults" in line else (0,)), done.stdout + done.stderr
    assert done.stdout.strip() or done.stderr.strip()
