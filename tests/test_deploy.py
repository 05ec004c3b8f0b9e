"""Files that cannot be run here say what is so: paths, ports, settings, commands and images of compose, units and bundle."""

import asyncio
import hashlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from configparser import RawConfigParser
from pathlib import Path

import asyncpg
import pytest
import typer
import yaml
from tests.conftest import with_database, with_user
from tests.support import Database, GatewayProcess, make_frame, mounted, run_cli, secs, wait_for

import hj212gw
from hj212gw.cli import build_app
from hj212gw.config import options
from hj212gw.store.binaries import find_binaries
from hj212sim.cli import app as simulator_app

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("hj212gw:")]
UNITS = sorted((ROOT / "config" / "systemd").glob("*.service"))
SERVICE_KEYS = {
    "image", "build", "command", "entrypoint", "environment", "secrets", "volumes", "ports", "healthcheck", "restart",
    "depends_on", "profiles", "read_only", "cap_drop", "security_opt", "tmpfs", "ulimits", "stop_grace_period", "shm_size",
}  # fmt: skip


def find_command(program, words):
    """The command that words call; None where there is none."""
    command = typer.main.get_command(build_app(words) if program == "hj212gw" else simulator_app)
    for word in words:
        if hasattr(command, "commands"):
            command = command.commands.get(word)
    return command


def check_call(program, words):
    """A call names a command and options that exist."""
    command = find_command(program, words)
    assert command is not None, words
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known, words


def read_unit(path):
    """A unit's values by section and key; a key may stand several times."""
    parser = RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str
    parser.read(path)
    lines = re.findall(r"^(\w+)=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return parser, lines


def test_compose_has_the_services_of_the_page():
    """Database, gateway, aggregator, Prometheus, Grafana and a simulator; and nothing that Compose does not know."""
    assert {"database", "gateway", "aggregator", "prometheus", "grafana", "city"} <= set(SERVICES)
    assert set(COMPOSE) <= {"name", "services", "volumes", "secrets", "x-program"}
    for name, service in SERVICES.items():
        assert set(service) <= SERVICE_KEYS, name


@pytest.mark.parametrize("name", SERVICES)
def test_image_is_pinned(name):
    """Every image has a version of its own; ours has that of the code."""
    repository, _, tag = SERVICES[name]["image"].partition(":")
    assert re.search(r"\d+\.\d+\.\d+", tag), tag
    assert repository != "hj212gw" or tag == hj212gw.__version__


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_refers_to_is_there(name):
    """Files, volumes, secrets and other services."""
    service = SERVICES[name]
    for volume in service.get("volumes", []):
        source, target, *_ = volume.split(":")
        assert target.startswith("/")
        assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"], volume
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    text = str(service)
    assert set(re.findall(r"/run/secrets/(\w+)", text)) <= set(service.get("secrets", [])), "a secret that is not given"
    for other, wanted in service.get("depends_on", {}).items():
        assert other in SERVICES
        if wanted["condition"] == "service_healthy":
            assert SERVICES[other].get("healthcheck") or other in OURS, f"{other} has no health check"
    if "build" in service:
        assert (ROOT / service["build"] / "Dockerfile").exists()


def test_secrets_are_those_that_the_script_makes(tmp_path):
    """The script makes every secret that compose.yaml reads, twice the same, in a folder that is closed."""
    command = [ROOT / "config/compose/make-secrets.sh", tmp_path / "secrets"]
    subprocess.run(command, check=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    subprocess.run(command, check=True)
    assert made == {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert len(set(made.values())) == len(made)
    for login in ("owner", "gateway", "aggregator"):
        assert made[f"{login}_dsn"] == f"postgresql://{login}:{made[f'{login}_password']}@database:5432/hj212"


@pytest.mark.parametrize("name", OURS)
def test_our_services_call_what_there_is(name):
    """Commands, options and settings exist, and the root file system is read-only."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    variables = {variable for variable in service.get("environment", {}) if variable.startswith("HJ212GW_")}
    assert variables <= {option.env for option in options().values()}
    if service.get("entrypoint") == ["sh", "-c"]:
        calls = [shlex.split(call) for call in service["command"][0].split(" && ")]
        for program, *words in calls:
            check_call(program, words)
    else:
        check_call(service.get("entrypoint", ["hj212gw"])[0], service["command"])


def test_ports_are_those_of_the_settings():
    """What is published and scraped is what listens; only data loggers' port is open to the network."""
    known = {name: str(option.default) for name, option in options().items()}
    assert SERVICES["gateway"]["ports"] == [f"{known['gateway.port']}:{known['gateway.port']}"]
    for name in set(SERVICES) - {"gateway"}:
        assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", [])), name
    for name, option in (("gateway", "http.port"), ("aggregator", "aggregator.http_port")):
        targets = yaml.safe_load((ROOT / f"config/compose/targets/{name}.yml").read_text())
        assert targets == [{"targets": [f"{name}:{known[option]}"]}]
        assert name in SERVICES
    assert f":{known['aggregator.http_port']}/healthz" in SERVICES["aggregator"]["healthcheck"]["test"][-1]


def test_logins_get_the_roles_that_migrations_make():
    """The script beside the database gives each login one role, and none the owner's."""
    text = (ROOT / "config/compose/logins.sh").read_text()
    pairs = re.findall(r"(\w+):(hj212_\w+)", text)
    assert pairs == [("gateway", "hj212_gateway"), ("aggregator", "hj212_aggregator"), ("grafana", "hj212_analyst")]
    migrations = "".join(path.read_text() for path in (ROOT / "src/hj212gw/store/sql/migrations").glob("*.sql"))
    assert all(role in migrations for _, role in pairs)
    assert {login for login, _ in pairs} | {"owner", "grafana_admin"} == {
        name.removesuffix("_password") for name in COMPOSE["secrets"] if name.endswith("_password")
    }


def test_logins_script_runs(postgres_dsn, postgres_server_dsn, tmp_path, embedded_options):
    """It makes the logins, twice without a fault, on a real server."""
    psql = find_binaries(embedded_options.bin_dir).bin_dir / "psql"
    if not psql.exists() or "host=/" not in postgres_dsn:
        pytest.skip("the script is tried with psql on the embedded server")
    code, _, err = run_cli("db", "migrate", "--dsn", postgres_dsn)
    assert code == 0, err
    subprocess.run([ROOT / "config/compose/make-secrets.sh", tmp_path / "secrets"], check=True)
    script = (ROOT / "config/compose/logins.sh").read_text().replace("/run/secrets/", f"{tmp_path}/secrets/")
    host = re.search(r"host=([^&]+)", postgres_dsn)[1]
    env = {
        "PATH": f"{psql.parent}:{os.environ['PATH']}",
        "PGHOST": host,
        "PGUSER": "hj212",
        "PGDATABASE": re.search(r"///(\w+)", postgres_dsn)[1],
    }
    for _ in range(2):
        done = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    question = "SELECT string_agg(rolname || pg_has_role(rolname, 'hj212_analyst', 'member'), ' ' ORDER BY rolname) FROM pg_roles WHERE rolname IN ('gateway', 'aggregator', 'grafana')"
    answer = subprocess.run([psql, "-XAtc", question], env=env, capture_output=True, text=True, check=True).stdout
    assert answer.strip() == "aggregatorfalse gatewayfalse grafanatrue"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_unit(path):
    """A unit starts a command that exists, tells when it is ready, is watched, and is shut in."""
    parser, lines = read_unit(path)
    service = dict(parser["Service"])
    program, *words = shlex.split(service["ExecStart"])
    assert Path(program).name == "hj212gw"
    check_call("hj212gw", words)
    names = {value.partition("=")[0] for key, value in lines if key == "Environment"}
    assert names <= {option.env for option in options().values()}
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) >= 30
    assert service["Restart"] == "always"
    assert service["NoNewPrivileges"] == service["ProtectHome"] == service["PrivateTmp"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    named = dict(value.split("=", 1) for key, value in lines if key == "Environment")
    data_dir = named.get("HJ212GW_DATA_DIR", "/var/lib/hj212gw")  # the page writes that into the settings
    assert data_dir == f"/var/lib/{service['StateDirectory']}", "the only place it may write to"
    limits = options()["gateway.stop_timeout_secs"]
    assert int(service["TimeoutStopSec"]) > 2 * limits.default


def find_on_page(pattern):
    """What install.md has of a pattern, lines that go on joined."""
    text = (ROOT / "docs/install.md").read_text(encoding="utf-8").replace("\\\n    ", "")
    return re.findall(pattern, text, re.MULTILINE)


def test_settings_of_the_page_are_the_units(tmp_path):
    """What the page has written into the settings is where the gateway's unit may write, and no unit says it again."""
    (line,) = find_on_page(r"^sed .*$")
    (tmp_path / "hj212gw.toml").write_bytes((ROOT / "config/hj212gw.example.toml").read_bytes())
    subprocess.run(["sh", "-c", line.replace("/etc/hj212gw/hj212gw.toml", str(tmp_path / "hj212gw.toml"))], check=True)
    written = tomllib.loads((tmp_path / "hj212gw.toml").read_text(encoding="utf-8"))
    service = dict(read_unit(ROOT / "config/systemd/hj212gw.service")[0]["Service"])
    assert written["data_dir"] == f"/var/lib/{service['StateDirectory']}"
    assert written["database"]["dsn_file"] == "/etc/hj212gw/dsn"
    assert "Environment" not in service
    assert find_on_page(r"/dev/stdin (\S+)") == ["/etc/hj212gw/dsn", "/etc/hj212gw/aggregator-dsn"]


async def test_logins_of_the_page():
    """A superuser makes the owner and the database, the owner all the rest, and each login has its role and no more."""
    server = Database()
    await server.start()
    try:
        admin = await asyncpg.connect(server.dsn)
        (owner,) = find_on_page(r'psql -c "(CREATE ROLE owner [^"]+)"')
        await admin.execute(owner)
        await admin.execute("CREATE DATABASE page OWNER owner")
        dsn = with_user(with_database(server.dsn, "page"), "owner")
        code, _, err = await asyncio.to_thread(run_cli, "db", "migrate", "--dsn", dsn)
        assert code == 0, err
        connection = await asyncpg.connect(dsn)
        for statement in find_on_page(r"^CREATE ROLE \w+ LOGIN .*;$"):
            await connection.execute(statement)
        logins = {"gateway": "hj212_gateway", "aggregator": "hj212_aggregator", "anna": "hj212_analyst"}
        for login, role in logins.items():
            assert await connection.fetchval("SELECT pg_has_role($1, $2, 'member')", login, role)
            assert not await connection.fetchval("SELECT has_schema_privilege($1, 'hj212', 'CREATE')", login)
        await connection.close()
        await admin.close()
        files = [ROOT / "config/registry" / f"{name}.csv" for name in ("enterprises", "outlets", "data_loggers")]
        for login, expected in (("gateway", 4), ("owner", 0)):
            code, _, err = await asyncio.to_thread(
                run_cli, "registry", "import", *files, "--dsn", with_user(dsn, login)
            )
            assert code == expected, err
    finally:
        await server.remove()


def test_gateway_unit_holds_what_the_settings_allow():
    """As many files as connections and more, and a reload that is a SIGHUP."""
    service = dict(read_unit(ROOT / "config/systemd/hj212gw.service")[0]["Service"])
    assert int(service["LimitNOFILE"]) > 2 * options()["gateway.max_sessions"].default
    assert "-HUP" in service["ExecReload"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_unit(path, tmp_path):
    """Systemd's own check finds nothing; the program and the account of the unit are not on this machine."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed: only the unit's text is checked")
    text = (
        path.read_text()
        .replace("/opt/hj212gw/bin/hj212gw", "/bin/true")
        .replace("=hj212gw\nGroup=hj212gw", "=root\nGroup=root")
    )
    (tmp_path / path.name).write_text(text)
    done = subprocess.run([analyze, "verify", tmp_path / path.name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_gateway_on_a_read_only_root(tmp_path):
    """With everything but its own directory read-only, as in the container, the gateway takes packets."""
    with mounted(tmp_path / "state", "size=256m"):
        (tmp_path / "state" / "data").mkdir()
        gateway = GatewayProcess(tmp_path / "state", "serve", "--dsn", "postgresql://nobody@127.0.0.1:1/nothing")
        gateway.ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "hj212gw", "serve", "--dsn", "postgresql://nobody@127.0.0.1:1/nothing"]
        command += ["--host", "127.0.0.1", "--port", "0", "--http", "127.0.0.1:0"]
        command += ["--data-dir", str(tmp_path / "state" / "data"), "--ready-file", str(gateway.ready_file)]
        shut = f"mount --bind / / && mount -o remount,ro,bind / && ! touch {shlex.quote(str(tmp_path / 'x'))} 2>/dev/null && exec "
        env = {**gateway.env, "PYTHONDONTWRITEBYTECODE": "1"}
        with gateway.log_file.open("ab") as log:
            gateway.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", shut + shlex.join(command)], env=env, stdout=log, stderr=log
            )
        try:
            wait_for(lambda: gateway.ready_file.exists() or gateway.process.poll() is not None)
            if gateway.process.poll() is not None and "mount:" in gateway.log():
                pytest.skip("a root file system that is read-only needs the right to mount")
            assert gateway.process.poll() is None, gateway.log()
            port = int(json.loads(gateway.ready_file.read_text())["gateway"].rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=secs(10)) as line:
                line.sendall(make_frame("ROOT0000000001", 1))
                assert b"CN=9014" in line.recv(4096)
            assert gateway.stop() == 0, gateway.log()
        finally:
            if gateway.process.poll() is None:
                gateway.kill()


def make_tiny_wheel(folder, name="tiny_target"):
    """A package with nothing in it."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(file, text)


@pytest.mark.slow
def test_bundle(tmp_path):
    """The bundle has wheels, units, pages and checksums that hold, and its installer needs no network."""
    make_tiny_wheel(tmp_path / "wheels")
    command = [sys.executable, ROOT / "scripts/bundle.py", "--out", tmp_path / "dist", "--package", "tiny_target"]
    command += ["--no-index", "--find-links", tmp_path / "wheels"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=secs(300), check=False)
    assert done.returncode == 0, done.stderr
    (archive,) = (tmp_path / "dist").glob("*.tar.gz")
    assert archive.name == f"hj212gw-{hj212gw.__version__}-bundle.tar.gz"
    with tarfile.open(archive) as tar:
        assert all(member.uid == member.gid == 0 for member in tar.getmembers())
        tar.extractall(tmp_path / "there", filter="data")
    (folder,) = (tmp_path / "there").iterdir()
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    wanted = {
        "install.sh", "SHA256SUMS", "LICENSE", "config/systemd/hj212gw.service", "config/systemd/hj212gw-aggregate.service",
        "config/hj212gw.example.toml", "docs/index.html", "docs/install.html", "wheels/tiny_target-1.0-py3-none-any.whl",
    }  # fmt: skip
    assert wanted <= names
    built = [name for name in names if "compose" in name or "Dockerfile" in name]
    assert all(name.startswith("docs/") for name in built), "there is no source to build an image of"
    sums = dict(reversed(line.split("  ", 1)) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == names - {"SHA256SUMS"}
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    env = {**os.environ, "PYTHON": sys.executable, "PIP_NO_INDEX": "1"}
    done = subprocess.run(
        [folder / "install.sh", tmp_path / "installed"],
        env=env,
        capture_output=True,
        text=True,
        timeout=secs(120),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert subprocess.run([tmp_path / "installed/bin/python", "-c", "import tiny_target"], check=False).returncode == 0
    (folder / "LICENSE").write_text("changed")
    done = subprocess.run(
        [folder / "install.sh", tmp_path / "again"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "LICENSE" in done.stdout + done.stderr
