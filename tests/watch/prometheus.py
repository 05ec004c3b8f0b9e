"""A Prometheus of the test's own, on 127.0.0.1, with its data in the test's folder."""

import json
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from tests.support import secs, wait_for
from tests.watch import rules

INTERVAL, WAIT, SPAN = "250ms", "1s", "5s"


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class PrometheusProcess:
    """Scrapes targets, `{job: [host:port]}`, by a copy of our configuration with short times."""

    def __init__(self, program, folder, targets):
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        folder.mkdir()
        rules.copy_rules(folder, wait=WAIT, span=SPAN)
        rules.copy_config(folder, interval=INTERVAL, targets=targets)
        self.command = [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
        self.command += [f"--web.listen-address={self.address}", "--log.level=warn"]

    def __enter__(self):
        self.log = (self.folder / "prometheus.log").open("wb")
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
        wait_for(self.is_ready, 60)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(secs(30))
        self.log.close()

    def is_ready(self):
        """Whether it answers."""
        assert self.process.poll() is None, (self.folder / "prometheus.log").read_text()
        try:
            return self._get("/-/ready")
        except OSError:
            return False

    def query(self, expression):
        """The samples an expression has now: a list of labels with values."""
        answer = json.loads(self._get("/api/v1/query?" + urllib.parse.urlencode({"query": expression})))
        assert answer["status"] == "success", answer
        data = answer["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(sample["metric"], float(sample["value"][1])) for sample in data["result"]]

    def states(self, alert):
        """The states an alert has now."""
        alerts = json.loads(self._get("/api/v1/alerts"))["data"]["alerts"]
        return {each["state"] for each in alerts if each["labels"]["alertname"] == alert}

    def rules(self):
        """Every rule with its health, as Prometheus tells it."""
        groups = json.loads(self._get("/api/v1/rules"))["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=secs(10)) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise OSError(error.read().decode()) from error
