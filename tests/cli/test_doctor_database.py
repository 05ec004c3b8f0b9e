"""`hj212gw doctor` and `db status` at real databases: each fault with its cause and the next step."""

import asyncio
import json
import os
import secrets
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from tests.cli.test_doctor import free_port, run, states
from tests.conftest import execute, with_database, with_user

from hj212gw import cli
from hj212gw.cli import doctor_database
from hj212gw.cli.check import judge_days_left
from hj212gw.config_loading import load_settings
from hj212gw.store import migrate as migrations
from hj212gw.store.embedded import EmbeddedServer
from hj212gw.store.engine import Engine, foresee_versions, judge_versions, read_daily_growth
from hj212gw.store.lock import DirectoryLock, upgrade_folder, upgrade_lock
from hj212gw.store.migrate import migrate
from hj212gw.store.pool import connect

__all__ = ["run"]  # a fixture

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def prepare(dsn, *statements, now=None):
    """Migrate a database, and run statements in it."""

    async def _prepare():
        connection = await connect(dsn, name="test")
        try:
            await migrate(connection, now=now or datetime.now(UTC))
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(_prepare())


def test_database_that_is_away_fails(run):
    """The password is not in what is said."""
    code, checks = run("--dsn", f"postgresql://gateway:hunter2@127.0.0.1:{free_port()}/hj212")
    assert (code, states(checks)["database"]) == (1, "failed")
    assert "address is right" in checks["database"]["next_step"]
    assert "hunter2" not in str(checks)


def test_database_that_does_not_exist_fails(run, postgres_dsn):
    """The next step makes it."""
    code, checks = run("--dsn", with_database(postgres_dsn, "hj212_nowhere"))
    assert (code, states(checks)["database"]) == (1, "failed")
    assert "3D000" in checks["database"]["detail"]
    assert "createdb" in checks["database"]["next_step"]


def test_login_that_is_refused_fails(run, postgres_dsn):
    """A role without LOGIN: SQLSTATE 28000."""
    name = f"hj212_test_{secrets.token_hex(6)}"
    asyncio.run(execute(postgres_dsn, f"CREATE ROLE {name} NOLOGIN"))
    try:
        code, checks = run("--dsn", with_user(postgres_dsn, name))
    finally:
        asyncio.run(execute(postgres_dsn, f"DROP ROLE {name}"))
    assert (code, states(checks)["database"]) == (1, "failed")
    assert "28000" in checks["database"]["detail"]
    assert "pg_hba.conf" in checks["database"]["next_step"]


@pytest.fixture
def guarded_dsn(embedded_options):
    """A server of its own that asks one login for its password."""
    folder = Path(tempfile.mkdtemp(prefix="hj212-test-"))
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "pg", embedded_options)
    try:
        asyncio.run(server.start())
        asyncio.run(execute(server.dsn, "CREATE ROLE guarded LOGIN PASSWORD 'right'"))
        rules = server.data_dir / "pg_hba.conf"
        rules.write_text(f"local all guarded scram-sha-256\n{rules.read_text()}")
        asyncio.run(execute(server.dsn, "SELECT pg_reload_conf()"))
        yield f"{server.dsn.replace('user=' + server.dsn.rpartition('user=')[2], 'user=guarded')}&password="
    finally:
        asyncio.run(server.stop())
        shutil.rmtree(folder, ignore_errors=True)


def test_wrong_password_fails(run, guarded_dsn):
    """SQLSTATE 28P01; neither password is in what is said. The right one gets in."""
    code, checks = run("--dsn", f"{guarded_dsn}hunter2")
    assert (code, states(checks)["database"]) == (1, "failed")
    assert "28P01" in checks["database"]["detail"]
    assert "password is wrong" in checks["database"]["next_step"]
    assert "hunter2" not in str(checks)
    assert states(run("--dsn", f"{guarded_dsn}right")[1])["database"] == "ok"


def test_migrated_database_passes(run, postgres_dsn):
    """Server, clock, schema and partitions are well; the versions are told."""
    prepare(postgres_dsn)
    code, checks = run("--dsn", postgres_dsn)
    found = {
        name: state
        for name, state in states(checks).items()
        if name not in {"time service", "columnstore", "open files"}
    }
    assert (code, set(found.values())) == (0, {"ok"})
    assert checks["database"]["detail"].startswith("PostgreSQL ")
    assert {"schema", "partitions", "database clock"} <= set(found)


def half_way(monkeypatch, dsn):
    """Migrate as an older program did, which had fewer migrations."""
    all_of_them = migrations.load_migrations()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "load_migrations", lambda: all_of_them[:4])
        prepare(dsn)


SCHEMAS = [
    (lambda *_: None, "0001_create_schema", "run: hj212gw db migrate"),
    (half_way, "0005_extend_registry", "run: hj212gw db migrate"),
    (
        lambda _, dsn: prepare(dsn, "INSERT INTO hj212.migrations VALUES (9999, '9999_later', 'x')"),
        "9999",
        "install the hj212gw that migrated it, or a newer one",
    ),
    (
        lambda _, dsn: prepare(dsn, "UPDATE hj212.migrations SET checksum = 'other' WHERE version = 2"),
        "0002_create_partition_functions",
        "install the version that made this database, or restore it from a backup",
    ),
]


@pytest.mark.parametrize(("make", "named", "step"), SCHEMAS, ids=["empty", "old", "newer", "changed"])
def test_schema_of_another_version_fails(run, monkeypatch, empty_dsn, make, named, step):
    """The migration is named, and the next step fits."""
    make(monkeypatch, empty_dsn)
    code, checks = run("--dsn", empty_dsn)
    assert (code, states(checks)["schema"], states(checks)["database"]) == (1, "failed", "ok")
    assert named in checks["schema"]["detail"]
    assert checks["schema"]["next_step"] == step


AHEAD = [(timedelta(0), "ok"), (timedelta(days=18), "warning"), (timedelta(days=60), "failed")]


@pytest.mark.parametrize(("passed", "state"), AHEAD)
def test_partitions_that_run_out_are_told(run, postgres_dsn, passed, state):
    """Made a while ago and never since: under 14 days is a warning, none a failure."""
    prepare(postgres_dsn, now=datetime.now(UTC) - passed)
    checks = run("--dsn", postgres_dsn)[1]
    if "TimescaleDB makes" in checks["partitions"]["detail"]:
        pytest.skip("TimescaleDB makes chunks by itself")
    assert states(checks)["partitions"] == state
    assert ("db migrate" in checks["partitions"]["next_step"]) == (state != "ok")


def migrate_by_hand(monkeypatch, capsys, dsn, *arguments):
    """Run `db migrate`: exit code and what it says."""
    monkeypatch.setattr("sys.argv", ["hj212gw", "db", "migrate", "--dsn", dsn, *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code or 0, capsys.readouterr().err


def test_partitions_are_made_by_the_named_step(run, monkeypatch, capsys, postgres_dsn):
    """`db migrate` makes them, with no migration to apply, and says so."""
    prepare(postgres_dsn, now=datetime.now(UTC) - timedelta(days=60))
    check = run("--dsn", postgres_dsn)[1]["partitions"]
    if "TimescaleDB makes" in check["detail"]:
        pytest.skip("TimescaleDB makes chunks by itself")
    assert migrate_by_hand(monkeypatch, capsys, postgres_dsn)[0] == 0
    assert states(run("--dsn", postgres_dsn)[1])["partitions"] == "ok"


HANDS = ["DROP TABLE hj212.{}", "ALTER TABLE hj212.packets DETACH PARTITION hj212.{}"]


def test_migrating_says_where_nothing_is_to_do(monkeypatch, capsys, empty_dsn):
    """Dry or not; a dry run applies nothing and names what it would."""
    names = [migration.name for migration in migrations.load_migrations()]
    told = f"would apply {names[0]}\n"
    code, err = migrate_by_hand(monkeypatch, capsys, empty_dsn, "--dry-run")
    assert (code, told in err, "up to date" in err) == (0, True, False)
    assert f"applied {names[-1]}" in migrate_by_hand(monkeypatch, capsys, empty_dsn)[1]
    for arguments in ([], ["--dry-run"]):
        assert migrate_by_hand(monkeypatch, capsys, empty_dsn, *arguments) == (0, "the schema is up to date\n")


MISMATCHES = [
    "INSERT INTO hj212.migrations VALUES (9999, '9999_later', 'x')",
    "UPDATE hj212.migrations SET checksum = 'other' WHERE version = 2",
]


@pytest.mark.parametrize("statement", MISMATCHES, ids=["newer", "changed"])
def test_dry_run_refuses_what_a_real_one_does(monkeypatch, capsys, empty_dsn, statement):
    """With the same words and the same exit code."""
    prepare(empty_dsn, statement)
    refused = migrate_by_hand(monkeypatch, capsys, empty_dsn)
    assert (refused[0], "install the" in refused[1]) == (4, True)
    assert migrate_by_hand(monkeypatch, capsys, empty_dsn, "--dry-run") == refused


@pytest.mark.parametrize("statement", HANDS, ids=["dropped", "detached"])
def test_partition_that_is_only_noted_fails(run, postgres_dsn, statement):
    """Rows of its days would have no place, and `ensure_partitions` believes the note; the step brings it back."""
    name = f"packets_{datetime.now(UTC):%Y%m%d}"
    prepare(postgres_dsn)
    if "TimescaleDB makes" in run("--dsn", postgres_dsn)[1]["partitions"]["detail"]:
        pytest.skip("TimescaleDB makes chunks by itself")
    prepare(postgres_dsn, statement.format(name))
    code, checks = run("--dsn", postgres_dsn)
    assert (code, states(checks)["partitions"]) == (1, "failed")
    assert f"1 noted as made are not there, such as {name} of packets" in checks["partitions"]["detail"]
    prepare(postgres_dsn, checks["partitions"]["next_step"].partition(": ")[2])
    assert states(run("--dsn", postgres_dsn)[1])["partitions"] == "ok"


@pytest.mark.parametrize(("skew_secs", "state"), [(0.2, "ok"), (-4.0, "ok"), (6.0, "warning"), (-3600.0, "warning")])
def test_clock_off_from_the_databases_is_told(skew_secs, state):
    """Which way, too."""
    check = doctor_database._judge_clock(skew_secs)
    assert check.state == state
    assert state == "ok" or ("ahead of" if skew_secs > 0 else "behind") in check.detail


def engine(server="15.20", number=150020, timescaledb="2.28.3", obstacle="", after="45 days"):
    """An engine as it would be read."""
    warning, outlook = judge_versions(number, timescaledb), foresee_versions(number, timescaledb)
    return Engine(server, timescaledb, 0, {}, warning, outlook, obstacle, "" if obstacle else after)


def test_timescaledb_too_old_for_its_server_is_told():
    """With the version to install; before the server's update it is foreseen."""
    check = doctor_database.judge_timescaledb(engine())
    assert check.state == "warning"
    assert "2.28.4" in check.detail
    before = doctor_database.judge_timescaledb(engine("15.18", 150018))
    assert before.state == "ok"
    assert "install TimescaleDB 2.28.4 or later before PostgreSQL 15.20" in before.detail
    assert "install" not in doctor_database.judge_timescaledb(engine(timescaledb="2.28.4")).detail


OBSTACLES = [
    ("", "ok", "after 45 days", ""),
    ("apache_licence", "warning", "not available under the apache licence", "timescaledb.license"),
    ("native_partitions", "warning", "stay native partitions", "nothing has to be done"),
    ("owner_without_login", "warning", "not allowed to log in", "ALTER ROLE"),
    ("old_timescaledb", "warning", "too old", "update TimescaleDB"),
    ("no_job", "warning", "no job", "hj212gw db migrate"),
]


@pytest.mark.parametrize(("obstacle", "state", "detail", "step"), OBSTACLES)
def test_columnstore_that_is_not_there_is_told(obstacle, state, detail, step):
    """Why, and what to do."""
    check = doctor_database.judge_columnstore(engine(obstacle=obstacle))
    assert check.state == state
    assert detail in check.detail
    assert step in check.next_step


def test_columnstore_of_this_database_is_told(run, postgres_dsn, monkeypatch, capsys):
    """Doctor and `db status` say the same; the apache licence is a warning and nothing else fails by it."""
    prepare(postgres_dsn)
    code, checks = run("--dsn", postgres_dsn)
    monkeypatch.setattr("sys.argv", ["hj212gw", "db", "status", "--json", "--dsn", postgres_dsn])
    with pytest.raises(SystemExit):
        cli.main()
    status = json.loads(capsys.readouterr().out)
    assert code == 0
    if status["timescaledb"] == "not installed":
        assert status["columnstore"] == "there is none on plain PostgreSQL"
        assert "columnstore" not in checks
    else:
        is_apache = "apache" in status["columnstore"]
        assert states(checks)["columnstore"] == ("warning" if is_apache else "ok")
        assert status["columnstore"] == checks["columnstore"]["detail"]


def test_status_is_told_in_lines(postgres_dsn, monkeypatch, capsys):
    """A line a fact, a line a table, the assessment's among them; no notation of Python."""
    prepare(postgres_dsn)
    monkeypatch.setattr("sys.argv", ["hj212gw", "db", "status", "--dsn", postgres_dsn])
    with pytest.raises(SystemExit):
        cli.main()
    lines = capsys.readouterr().out.splitlines()
    told = dict(line.split(maxsplit=1) for line in lines if not line.startswith("bytes of"))
    assert (told["pending"], told["is_newer"]) == ("none", "no")
    sizes = {line.split()[2]: line.split()[3] for line in lines if line.startswith("bytes of")}
    assert {"packets", "readings_hour", "rate_counts", "assessed_days"} <= set(sizes)
    assert all(size.replace(",", "").isdecimal() for size in sizes.values())
    assert not any(char in "{}[]" for line in lines for char in line)


async def test_daily_growth_is_read_off_the_newest_partitions(postgres_dsn):
    """A day's packets and what they take, about."""
    connection = await asyncpg.connect(postgres_dsn)
    await migrate(connection, now=NOW)
    empty = await read_daily_growth(connection, NOW)
    await connection.execute(
        "INSERT INTO hj212.packets (qn_at, received_at, digest, mn, st, cn, edition, peer, state, raw)"
        " SELECT t, t, int8send(n), 'M', '32', '2011', '2017', 'p', 'stored', repeat('x', 400)::bytea"
        " FROM generate_series(1, 5000) n, LATERAL (SELECT $1::timestamptz + n * interval '1 second') AS a (t)",
        NOW - timedelta(hours=36),
    )
    grown = await read_daily_growth(connection, NOW) - empty
    is_native = await connection.fetchval("SELECT hj212.timescale_schema() IS NULL")
    await connection.close()
    assert 2e6 < grown < 6e6 if is_native else grown == 0


@pytest.mark.parametrize(("days", "state"), [(2.9, "warning"), (3.0, "ok"), (40_000.0, "ok")])
def test_days_left_are_judged(days, state):
    """Under the least there is a next step."""
    check = judge_days_left("disk", "it lasts", days, 3.0, "make room")
    assert (check.state, check.next_step) == (state, "make room" if state == "warning" else "")


def test_embedded_server_is_asked_while_it_runs(run, tmp_path, embedded_options):
    """Without a DSN the server that `up` started in the data directory is looked at, else it is left alone."""
    folder = tmp_path / "data" / "postgres"
    server = EmbeddedServer(folder, embedded_options)
    asyncio.run(server.start())
    try:
        prepare(server.dsn, now=datetime.now(UTC) - timedelta(days=2))
        checks = run()[1]
        assert checks["schema"]["state"] == "ok"
        assert checks["database days left"]["state"] == "ok"
    finally:
        asyncio.run(server.stop())
    assert "does not run" in run()[1]["database"]["detail"]
    assert load_settings(None, {"data_dir": tmp_path}).database.dsn is None


def test_leftover_of_an_upgrade_fails(run, tmp_path):
    """`up` runs without its database for as long as the folder is there; one with a plan is not to be removed."""
    folder = tmp_path / "data" / ".postgres.upgrade"
    (tmp_path / "data" / "postgres").mkdir(parents=True)
    folder.mkdir()
    code, checks = run()
    assert (code, states(checks)["database"]) == (1, "failed")
    assert f"{folder} is there: it was let go for an upgrade" in checks["database"]["detail"]
    assert checks["database"]["next_step"] == f"run: hj212gw db upgrade-embedded; or, as it is empty: rmdir {folder}"
    (folder / "plan.json").write_text("{}")
    (tmp_path / "data" / "postgres").rmdir()
    assert run()[1]["database"]["next_step"] == "run: hj212gw db upgrade-embedded, which goes on where it was"


def test_upgrade_at_work_is_a_warning(run, tmp_path):
    """It is left to end; the process that holds its lock is named."""
    directory = tmp_path / "data" / "postgres"
    upgrade_folder(directory).mkdir(parents=True)

    async def look():
        lock = await DirectoryLock.take(upgrade_lock(directory), directory, patience_secs=0)
        try:
            return await asyncio.to_thread(run)
        finally:
            lock.release()

    check = asyncio.run(look())[1]["database"]
    assert (check["state"], f"process {os.getpid()}" in check["detail"]) == ("warning", True)
    assert run()[1]["database"]["state"] == "failed"
