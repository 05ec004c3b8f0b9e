"""A gateway with all it needs, `hj212gw up`, for benchmarks that only talk to it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

_STOP_SECS = 120


@contextmanager
def running_gateway(dsn, settings, *, own_session=False):
    """Run `hj212gw up` in a folder of its own; give what its ready file says.

    Args:
        dsn: an empty database; None for an embedded one.
        settings: environment variables.
        own_session: Linux shares a machine's cores between sessions.
    """
    with tempfile.TemporaryDirectory(prefix="hj212-bench-") as name:
        process, ready = _start(Path(name), dsn, {**os.environ, **settings}, own_session)
        try:
            yield ready
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_SECS)


def _start(folder, dsn, env, own_session):
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "hj212gw", "up", "--data-dir", str(folder / "data"), "--port", "0"]
    command += ["--http", "127.0.0.1:0", "--ready-file", str(ready), "--host", "127.0.0.1"]
    command += ["--dsn", dsn] if dsn else []
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, env=env, start_new_session=own_session)
    deadline = time.monotonic() + 60
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"the gateway did not start:\n{(folder / 'log').read_text()}")
        time.sleep(0.05)  # a process that starts has no event
    return process, json.loads(ready.read_text())
