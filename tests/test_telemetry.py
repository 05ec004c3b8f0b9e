"""Every metric and event: counted, told, documented, bounded, and called by names that exist."""

import ast
import inspect
import io
import json
import logging
import math
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from hj212gw import (
    events,
    logs,
    telemetry,
    telemetry_access,
    telemetry_assessment,
    telemetry_gateway,
    telemetry_store,
)
from hj212gw.config import LogSettings
from hj212gw.errors import ConfigError, JournalUnwritable, SchemaMismatch, StoreUnavailable
from hj212gw.logs import configure
from hj212gw.telemetry_docs import metric_table

SRC = Path(telemetry.__file__).parent
WILD = "\r\n\x1b[31m{}\u2028 昆明"

# One call of every function, with the event it tells, if any.
CALLS = [
    ("gateway_started", ("0.0.0.0", 9212), "gateway.started"),
    ("gateway_ready", (), "gateway.readied"),
    ("gateway_stopping", ("SIGTERM",), "gateway.stopping"),
    ("gateway_stopped", (), "gateway.stopped"),
    ("worker_started", (0, 4711), "worker.started"),
    ("worker_lost", (0, 4711, "ended by SIGKILL", 0.5), "worker.lost"),
    ("session_opened", (1, "10.0.0.1:5000"), "session.opened"),
    ("session_closed", (1, "10.0.0.1:5000", "idle"), "session.closed"),
    ("session_rested", ("10.0.0.1:5000", 2.5), "session.rested"),
    ("tls_failed", ("10.0.0.1:5000", WILD), "tls.failed"),
    ("proxy_refused", ("10.0.0.1", WILD), "proxy.refused"),
    ("suspicion_noted", ("wrong_pw", WILD, "10.0.0.1", WILD), "suspicion.noted"),
    ("conflicts_noted", (2,), None),
    ("suspicions_dropped", (1,), None),
    ("config_reloaded", (["log.level"],), "config.reloaded"),
    ("config_postponed", (["gateway.port"],), "config.postponed"),
    ("config_refused", (ConfigError(WILD),), "config.refused"),
    ("sessions_measured", (3, 2000), None),
    ("certificates_loaded", (datetime(2030, 1, 1, tzinfo=UTC),), None),
    ("certificate_ending", (WILD, datetime(2030, 1, 1, tzinfo=UTC), -0.5), "certificate.ending"),
    ("frames_received", (3,), None),
    ("frames_accepted", (2,), None),
    ("frame_rejected", ("crc", "10.0.0.1:5000", WILD), "frame.rejected"),
    ("noise_discarded", (100, 1), None),
    ("acks_sent", ("9014", 2), None),
    ("acks_observed", ([0.001, 0.002],), None),
    ("logger_seen", (WILD, "unknown_mn"), "logger.questioned"),
    ("loggers_found", (2, WILD), "loggers.found"),
    ("keys_refused", (ConfigError("no such file"),), "keys.refused"),
    ("packets_stored", (2,), None),
    ("packets_repeated", (1,), None),
    ("packets_quarantined", (1, "rows_refused"), "packets.quarantined"),
    ("fault_contained", ("rows", KeyError(WILD)), "fault.contained"),
    ("packets_held", (1,), None),
    ("packets_released", (1,), "packets.released"),
    ("rejects_stored", (1,), None),
    ("reject_dropped", ("crc", 100), "reject.dropped"),
    ("readings_stored", (16,), None),
    ("readings_odd", (1,), None),
    ("readings_replaced", (1,), None),
    ("proposals_dropped", (1,), None),
    ("journal_committed", (10, 4000, 0.002), None),
    ("journal_measured", (5, 2000, 1.7e9, 64_000), None),
    ("room_measured", (2**34, 2**33, 2**35), None),
    ("journal_filled", ("the disk is full",), "journal.filled"),
    ("journal_freed", (), "journal.freed"),
    ("journal_damaged", ("/data/journal/0001.sqlite",), "journal.damaged"),
    ("journal_failed", (JournalUnwritable("fsync failed"),), "journal.failed"),
    ("journal_adopted", ("/data/journal/worker-2", "uuid"), "journal.adopted"),
    ("journal_emptied", ("/data/journal/worker-2", "uuid"), "journal.emptied"),
    ("journal_left", ("/data/journal/worker-2", JournalUnwritable("in use")), "journal.left"),
    ("batch_stored", (0.05, 1000, 8000, "copy"), "batch.stored"),
    ("store_failed", (StoreUnavailable("away"),), "store.lost"),
    ("store_failed", (SchemaMismatch("old"),), "store.refused"),
    ("store_missed", (), None),
    ("store_reached", (), None),
    ("store_recovered", (61.5,), "store.recovered"),
    ("day_sealed", (date(2030, 1, 1), "packets", 1000, 0, "00ff"), "day.sealed"),
    ("seal_failed", (StoreUnavailable("away"),), "seal.failed"),
    ("assessment_failed", (StoreUnavailable("away"),), "assessment.failed"),
    ("assessment_passed", (datetime(2026, 3, 1, tzinfo=UTC),), None),
    ("days_assessed", (date(2026, 3, 1), 3, 0.5), "days.assessed"),
    ("gauges_read", (telemetry_assessment.Gauges(0, 600, 3, 2, {("day", "completed"): 0.99}, 0.95),), None),
    ("store_warned", ("columnstore_missing", WILD), "store.warned"),
    ("partitions_ensured", (3, 1, datetime(2030, 1, 1, tzinfo=UTC)), "partitions.ensured"),
]


MODULES = (telemetry_access, telemetry_assessment, telemetry_gateway, telemetry_store)


def function_of(name):
    """One function of the table."""
    return next(getattr(module, name) for module in MODULES if hasattr(module, name))


@pytest.fixture
def log(monkeypatch):
    """A JSON log of all levels in memory."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setattr(logs, "_event_log", None)
    stream = io.StringIO()
    configure(LogSettings(level="debug", format="json"), stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def samples():
    """Every series of ours with its value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in telemetry.REGISTRY.collect()
        for sample in family.samples
        if family.name.startswith("hj212gw_") and not sample.name.endswith("_created")
    }


def value(name, **labels):
    """One series' value."""
    return telemetry.REGISTRY.get_sample_value(f"hj212gw_{name}", labels)


def changed(call):
    """What a call changed: series -> by how much."""
    before = samples()
    call()
    after = samples()
    return {
        key[0]: after[key] - before[key] for key in after if key in before and after[key] != before[key] == before[key]
    }


@pytest.mark.parametrize(("name", "arguments", "event"), CALLS)
def test_function_tells_its_one_event(log, name, arguments, event):
    """A function writes at most one line, its own, and text of a packet cannot make a second."""
    function_of(name)(*arguments)
    lines = log.getvalue().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ([event] if event else [])
    assert "\x1b" not in log.getvalue()


@pytest.mark.parametrize(("name", "arguments", "event"), CALLS)
def test_event_of_warning_or_worse_moves_its_counter(log, name, arguments, event):
    """What the table says is counted is counted, and every warning or worse is."""
    moved = changed(lambda: function_of(name)(*arguments))
    entry = events.EVENTS.get(event, events.Event(logging.NOTSET, ""))
    if entry.metric:
        assert any(metric.startswith(f"hj212gw_{entry.metric}") for metric in moved)
    assert entry.metric or entry.level < logging.WARNING


def test_table_of_calls_is_complete():
    """Every public function and every event stands in this file's table."""
    functions = {
        name
        for module in MODULES
        for name, member in inspect.getmembers(module, inspect.isfunction)
        if member.__module__ == module.__name__ and not name.startswith("_")
    }
    assert {name for name, _, _ in CALLS} == functions
    assert {event for _, _, event in CALLS if event} == set(events.EVENTS)


def test_every_call_in_the_package_is_to_a_function_that_exists():
    """`telemetry.name` anywhere in the package is a public name of the module."""
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "telemetry":
                assert callable(getattr(telemetry, node.attr, None)), f"{path}: telemetry.{node.attr}"


def test_all_series_are_there_from_the_start_and_are_few():
    """Every label value is exported before it happened, and all of them stay under 300."""
    series = samples()
    assert len(series) < 300
    for reason in telemetry.REJECT_REASONS:
        assert ("hj212gw_frames_rejected_total", (("reason", reason),)) in series
    for reason in telemetry.SESSION_ENDS:
        assert ("hj212gw_sessions_closed_total", (("reason", reason),)) in series


def test_names_follow_the_house_rules():
    """Counters end in _total, durations are seconds, and no label is open."""
    for family in telemetry.REGISTRY.collect():
        if not family.name.startswith("hj212gw_"):
            continue
        assert re.fullmatch(r"[a-z0-9_]+", family.name)
        assert family.documentation
        assert family.type != "histogram" or family.name.endswith("_duration_seconds")
        labels = {label for sample in family.samples for label in sample.labels}
        assert labels <= {
            "reason",
            "verdict",
            "cn",
            "path",
            "le",
            "what",
            "outcome",
            "period",
            "stage",
            "version",
            "python",
        }


@pytest.mark.parametrize(
    ("call", "series", "label"),
    [
        (lambda: telemetry_gateway.session_closed(1, "p:1", "gremlins"), "sessions_closed_total", "reason"),
        (lambda: telemetry_gateway.frame_rejected("gremlins", "p:1", ""), "frames_rejected_total", "reason"),
        (lambda: telemetry_gateway.reject_dropped("gremlins", 1), "rejects_dropped_total", "reason"),
        (lambda: telemetry_gateway.logger_seen("mn", "gremlins"), "loggers_questioned_total", "verdict"),
        (lambda: telemetry_gateway.packets_quarantined(1, "gremlins"), "packets_quarantined_total", "reason"),
        (lambda: telemetry_gateway.fault_contained("gremlins", KeyError()), "faults_contained_total", "what"),
        (lambda: telemetry_gateway.acks_sent("3020", 1), "acks_sent_total", "cn"),
        (lambda: telemetry_store.batch_stored(1.0, 1, 1, "gremlins"), "store_batch_duration_seconds_count", "path"),
        (lambda: telemetry_store.store_failed(OSError("gremlins")), "store_failures_total", "reason"),
    ],
)
def test_unknown_label_value_counts_as_other(call, series, label):
    """A value outside the closed set makes no new series."""
    before, count = value(series, **{label: "other"}), len(samples())
    call()
    assert value(series, **{label: "other"}) == before + 1
    assert len(samples()) == count


@pytest.mark.parametrize(
    ("peer", "host"), [("10.1.2.3:5000", "10.1.2.3"), ("2001:db8::1:5000", "2001:db8::1"), ("unknown", "unknown")]
)
def test_host_is_what_stands_before_the_last_colon(peer, host):
    """Lines about one peer are one, whatever its port."""
    assert telemetry.host_of(peer) == host


def test_contained_fault_is_told_without_its_text(log):
    """Its text may quote the packet, a password included; where it arose is told."""
    try:
        int("PW=secret")
    except ValueError as error:
        telemetry_gateway.fault_contained("rows", error)
    line = log.getvalue()
    assert "secret" not in line
    assert "test_telemetry.py:" in line
    assert "ValueError" in line


def test_counts_are_added_in_one_step():
    """Batch-wise functions add their count, not one."""
    assert changed(lambda: telemetry_gateway.packets_stored(250)) == {"hj212gw_packets_stored_total": 250}
    assert changed(lambda: telemetry_gateway.noise_discarded(70, 3)) == {
        "hj212gw_noise_discarded_bytes_total": 70,
        "hj212gw_noise_discarded_spans_total": 3,
    }
    assert (
        changed(lambda: telemetry_store.journal_committed(10, 4000, 0.002))["hj212gw_journal_committed_bytes_total"]
        == 4000
    )


def test_ack_times_are_observed_one_by_one():
    """Three times given together are three observations."""
    before = value("ack_duration_seconds_count"), value("ack_duration_seconds_bucket", le="0.002")
    telemetry_gateway.acks_observed([0.0015, 0.5, 40.0])
    assert value("ack_duration_seconds_count") == before[0] + 3
    assert value("ack_duration_seconds_bucket", le="0.002") == before[1] + 1


def test_nothing_quarantined_or_released_tells_nothing(log):
    """A count of zero is no event."""
    telemetry_gateway.packets_quarantined(0, "rows_refused")
    telemetry_gateway.packets_released(0)
    assert log.getvalue() == ""


def test_journal_gauges_show_the_last_measurement():
    """The age of nothing is NaN, with which no alert compares true."""
    telemetry_store.journal_measured(5, 2000, 1.7e9, 64_000)
    assert value("journal_pending_packets") == 5
    assert value("journal_oldest_pending_timestamp_seconds") == 1.7e9
    telemetry_store.journal_measured(0, 0, None, 64_000)
    assert math.isnan(value("journal_oldest_pending_timestamp_seconds"))
    assert value("journal_size_bytes") == 64_000


def test_full_journal_is_a_gauge_and_a_counter():
    """The gauge says whether loggers wait now, the counter how often they had to."""
    before = value("journal_filled_total")
    telemetry_store.journal_filled("max_bytes")
    assert (value("journal_full"), value("journal_filled_total")) == (1, before + 1)
    telemetry_store.journal_freed()
    assert value("journal_full") == 0


def test_partitions_that_are_not_needed_have_no_end():
    """With hypertables there is nothing to run out of."""
    telemetry_store.partitions_ensured(0, 0, None)
    assert math.isnan(value("partitions_ahead_timestamp_seconds"))
    telemetry_store.partitions_ensured(0, 0, datetime(2030, 1, 1, tzinfo=UTC))
    assert value("partitions_ahead_timestamp_seconds") == datetime(2030, 1, 1, tzinfo=UTC).timestamp()


def test_repeats_of_a_host_are_counted_as_suppressed(log):
    """Another port of the same host is the same peer to the filter."""
    before = value("log_lines_suppressed_total")
    for port in range(5):
        telemetry_gateway.frame_rejected("crc", f"10.9.9.9:{port}", "bad")
    assert len(log.getvalue().splitlines()) == 1
    assert value("log_lines_suppressed_total") == before + 4


def test_tables_name_every_event_and_metric():
    """The rendered documentation leaves nothing out, and names no metric that is not there."""
    table, metrics = events.event_table(), metric_table()
    for name, event in events.EVENTS.items():
        assert f"`{name}`" in table
        assert not event.metric or f"`hj212gw_{event.metric}`" in metrics
    names = {name for name, _ in samples()}
    for name in re.findall(r"`(hj212gw_\w+)`", metrics):
        assert name in names or f"{name}_count" in names
