"""What the documentation says is so: commands exist, examples run, tables are the code's, links lead somewhere."""

import asyncio
import importlib.util
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import typer
from tests.support import GatewayProcess, make_frame, secs, wait_for

import hj212gw
from hj212gw.cli import build_app
from hj212gw.config import options
from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import format_data_time, format_qn
from hj212sim.cli import app as simulator_app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/**/*.md"))]
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md"), *ROOT.glob("tests/**/*.md")])
SCRIPTS = ("demo.sh", "check.sh", ".ci/run", "scripts/environment.sh", "Makefile", "Dockerfile")
MN = "530401A8900016F000169D01"  # registered by config/registry
DEMO_SECS = 20


def find_blocks(language, page=README):
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


SQL_EXAMPLES = [text.strip() for block in find_blocks("sql") for text in block.split(";") if text.strip()]


def find_command_lines():
    """Each call of our programs in the console blocks of README and docs/, pipes apart, as a list of words."""
    blocks = [block for page in (README, *GUIDES) for block in find_blocks("console", page)]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    calls = [shlex.split(part, comments=True) for line in lines for part in line.split(" | ")]
    ours = [tuple(words) for words in calls if words and words[0] in ("hj212gw", "hj212-sim")]
    return list(dict.fromkeys(ours))  # a page may say again what another one says


def find_command(words):
    """The command that words call, None where there is none; and the words after its name."""
    app = build_app(list(words[1:])) if words[0] == "hj212gw" else simulator_app
    command = typer.main.get_command(app)
    for place, word in enumerate(words[1:], 1):
        if not hasattr(command, "commands"):
            return command, words[place:]
        command = command.commands.get(word)
    return command, []


def find_leaves(command, *path):
    """Every command of a program by its path."""
    if not hasattr(command, "commands"):
        return [" ".join(path)]
    return [leaf for name, inner in command.commands.items() for leaf in find_leaves(inner, *path, name)]


def load_script(name):
    """A module of scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("words", find_command_lines(), ids=" ".join)
def test_command_line(words):
    """Every command line of README and docs/ calls a command that exists, with options it has."""
    command, rest = find_command(words)
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known
    assert "Example:" in (command.help or ""), "the README says that each --help has an example"


@pytest.mark.parametrize(("program", "app"), [("hj212gw", build_app([])), ("hj212-sim", simulator_app)])
def test_command_table(program, app):
    """The README's table names every command there is and none there is not."""
    cells = re.findall(r"^\| (`hj212.*?) \| ", README, re.MULTILINE)
    named = set()
    for cell in cells:
        first, *others = re.findall(r"`(.*?)`", cell)
        if first.split()[0] == program:
            named |= {first.removeprefix(f"{program} "), *(other.removeprefix(f"{program} ") for other in others)}
    assert named == set(find_leaves(typer.main.get_command(app)))


def test_made_files():
    """The example settings and the tables of docs/ are what `make docs` would write."""
    for path, text in load_script("docs").make_all().items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path} is old: run make docs"
        assert text.count("<!-- made:") == text.count("<!-- end -->")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_page(page):
    """Every link inside the project leads to a file."""
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_files_of_script(script):
    """Every file of the project that a script names exists, and so does the interpreter's line of an executable."""
    path = ROOT / script
    text = path.read_text(encoding="utf-8")
    names = set(re.findall(r"(?<![\w./-])(?:\./)?((?:scripts|bench|src|simulators|docs)/[\w./-]*\w|[\w-]+\.sh)", text))
    assert [name for name in names if not (ROOT / name).exists()] == []
    if path.suffix == ".sh" or script == ".ci/run":
        assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
        assert os.access(path, os.X_OK) == text.startswith("#!")
        assert "set -euo pipefail" in text or not text.startswith("#!")


def test_ci_runs_the_test_command_of_the_readme():
    """Continuous integration ends with the command that the README gives for the tests."""
    section = README.partition("\n## Test it\n")[2].partition("\n## ")[0]
    command = find_blocks("console", section)[0].strip()
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == command


def test_threats_name_tests_that_there_are():
    """Each threat of SECURITY.md is stopped by something that a test of that name tries."""
    rows = re.findall(r"^\| (?:anybody|impostor|polluter|insider|host|operator) \|.*$", SECURITY, re.MULTILINE)
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row.rpartition(" | ")[2])
        assert named, row
        for file, test in named:
            text = (ROOT / file).read_text(encoding="utf-8")
            assert not test or re.search(rf"^(async )?def {test}\(", text, re.MULTILINE), f"{file}::{test}"


def test_options_that_security_names():
    """Every option that SECURITY.md names is one."""
    names = set(re.findall(r"`((?:gateway|tls|limits)\.\w+)`", SECURITY))
    assert len(names) > 8
    assert names <= set(options())


def test_changelog_has_this_version():
    """The newest section of the changelog is the version of the code."""
    assert re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == hj212gw.__version__


def test_decisions():
    """Every decision page is in the index, is numbered on, and says why, what, at what cost and until when."""
    folder = ROOT / "docs" / "decisions"
    pages = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text()) == pages
    for number, name in enumerate(pages, 1):
        text = (folder / name).read_text(encoding="utf-8")
        assert re.match(rf"# {number:04d}: .+\n\n\d{{4}}-\d\d-\d\d\n", text), name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Choice", "Cost", "When to revisit"], name


def test_dockerfile():
    """The image is built in stages, runs without root, and speaks of ports, settings and commands that exist."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    found = {}
    for word, rest in lines:
        found.setdefault(word, []).append(rest)
    assert [stage.endswith(" AS build") for stage in found["FROM"]] == [True, False]
    assert found["USER"] == ["hj212gw"]
    known = options()
    ports = [str(known[name].default) for name in ("gateway.port", "http.port")]
    assert found["EXPOSE"] == [" ".join(ports)]
    assert all(f"'{text}'" in found["HEALTHCHECK"][0] for text in (ports[1], "/healthz"))
    names = set(re.findall(r"HJ212GW_\w+", text))
    assert names <= {option.env for option in known.values()}
    values = dict(pair.split("=", 1) for rest in found["ENV"] for pair in rest.split())
    assert [values["HJ212GW_DATA_DIR"]] == found["VOLUME"] == found["WORKDIR"][1:]
    assert find_command([*json.loads(found["ENTRYPOINT"][0]), *json.loads(found["CMD"][0])])[0] is not None
    copied = [name for rest in found["COPY"] if "--from" not in rest for name in rest.split()[:-1]]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)


def test_variables_that_are_written_down():
    """Every HJ212 variable a page names is a setting or is read by a test or by check.sh."""
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py"))
    scripts = (ROOT / "check.sh").read_text(encoding="utf-8")
    settings = {option.env for option in options().values()}
    for page in PAGES:
        for name in re.findall(r"HJ212[A-Z_]*[A-Z]\b(?!_)", page.read_text(encoding="utf-8")):
            is_read = f'"{name}"' in sources or f"${{{name}" in scripts
            assert name in settings or is_read, f"{page.name}: {name}"


def make_hour(mn, moment, average):
    """An hour's upload whose mean can be told from another one's."""
    values = f"w01018-Cou=80.1,w01018-Min=1.0,w01018-Avg={average},w01018-Max=90.0,w01018-Flag=N"
    hour = format_data_time(moment.replace(minute=0, second=0))
    segment = (
        f"QN={format_qn(datetime.now(UTC))};ST=32;CN=2061;PW=123456;MN={mn};Flag=5;CP=&&DataTime={hour};{values}&&"
    )
    return encode_frame(segment.encode())


def make_frames(now):
    """Real-time data, an hour sent twice with different values, an impossible time, and what an odd logger sends."""
    real_time = [make_frame(MN, number, moment=now - timedelta(seconds=60 * number)) for number in range(5)]
    hours = [make_hour(MN, now - timedelta(hours=2), average) for average in (21.5, 22.5)]
    odd = make_frame(MN, 7, moment=now + timedelta(days=5000))
    return [*real_time, *hours, odd, *load_script("odd_logger").make_odd_frames(now)]


@pytest.fixture(scope="module")
def filled_dsn(tmp_path_factory):
    """A database that a gateway has filled with the registry's examples and what a data logger sent."""
    folder = tmp_path_factory.mktemp("docs")
    with GatewayProcess(folder) as gateway:
        files = [str(path) for path in sorted((ROOT / "config" / "registry").glob("*.csv"))]
        command = [sys.executable, "-m", "hj212gw", "registry", "import", *files, "--dsn", gateway.ready["dsn"]]
        subprocess.run(command, check=True, capture_output=True, timeout=secs(60))
        *good, broken = make_frames(datetime.now(UTC).replace(microsecond=0))
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=secs(30)) as line:
            for frame in good:
                line.sendall(frame)
                assert b"CN=9014" in line.recv(4096)
            line.sendall(broken)
        counts = "SELECT (SELECT count(*) FROM hj212.v_packets), (SELECT count(*) FROM hj212.v_rejects)"
        wait_for(lambda: tuple(asyncio.run(ask(gateway.ready["dsn"], counts))[0]) == (len(good), 1))
        wait_for(lambda: asyncio.run(ask(gateway.ready["dsn"], "SELECT FROM hj212.v_loggers WHERE connected")))
        yield gateway.ready["dsn"]


async def ask(dsn, statement):
    """The rows of one statement."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


def test_every_view_has_an_example():
    """The README asks each of the views that analysts may read."""
    files = sorted((ROOT / "src/hj212gw/store/sql/migrations").glob("*.sql"))
    made = re.findall(r"CREATE (?:OR REPLACE )?VIEW hj212\.(v_\w+)", " ".join(file.read_text() for file in files))
    # They have no rows on a demo of a few minutes: no limits, no past day, nothing assessed or marked.
    empty = {"v_limits", "v_day_digests", "v_rates", "v_rate_versions", "v_marks", "v_due", "v_upstream_differences"}
    empty |= {"v_lost_hours", "v_hourly", "v_daily", "v_monthly"}
    assert set(re.findall(r"hj212\.(v_\w+)", " ".join(SQL_EXAMPLES))) == set(made) - empty


@pytest.mark.parametrize("statement", SQL_EXAMPLES, ids=lambda text: " ".join(text.split())[:60])
def test_sql_example(filled_dsn, statement):
    """Every SQL example of the README returns rows on a database that a gateway has filled."""
    assert asyncio.run(ask(filled_dsn, statement))


PAGE_EXAMPLES = [
    statement
    for page in ("hours", "assessment", "marks", "upstream")
    for block in re.findall(r"```sql\n(.*?)```", (ROOT / f"docs/{page}.md").read_text(), re.DOTALL)
    for statement in block.split(";")
    if statement.strip()
]


@pytest.mark.parametrize("statement", PAGE_EXAMPLES, ids=lambda text: " ".join(text.split())[:60])
def test_sql_of_the_assessment(filled_dsn, statement):
    """Every SQL example of its pages is one the database answers."""
    asyncio.run(ask(filled_dsn, statement))


@pytest.mark.slow
def test_demo(tmp_path):
    """The demo acknowledges packets, its database answers the README's examples, and it ends by itself."""
    data_dir = tmp_path / "demo"
    command = [str(ROOT / "demo.sh"), "--seconds", str(secs(DEMO_SECS)), "--every", "1", "--monitors", "40"]
    command += ["--port", "0", "--http-port", "0", "--data-dir", str(data_dir)]
    env = {**os.environ, "VENV": sys.prefix}
    with (tmp_path / "demo.out").open("wb") as out:
        demo = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=tmp_path)
    try:
        ready = data_dir / "ready.json"
        wait_for(lambda: ready.exists() or demo.poll() is not None, 60)
        assert demo.poll() is None, (tmp_path / "demo.out").read_text()
        dsn = json.loads(ready.read_text())["dsn"]
        for statement in SQL_EXAMPLES:
            wait_for(lambda statement=statement: asyncio.run(ask(dsn, statement)))
        assert demo.wait(secs(DEMO_SECS + 60)) == 0, (tmp_path / "demo.out").read_text()
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(secs(60))
    output = (tmp_path / "demo.out").read_text()
    sent, acked, unacked = re.search(r"sent ([\d,]+), acknowledged ([\d,]+), unacknowledged ([\d,]+)", output).groups()
    assert sent == acked != "0"
    assert unacked == "0"
