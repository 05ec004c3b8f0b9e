"""Counts, latencies and the files that name each packet."""

import pytest
from tests.simulators.support import EPOCH_US, make_profile

from hj212sim.fleet import is_complete
from hj212sim.report import Tally, open_witnesses
from hj212sim.schedule import Schedule
from hj212sim.uploads import UploadWriter


def make_uploads(count):
    """Some uploads of one data logger."""
    schedule = Schedule(("2011", "2051"), make_profile().rhythm, start_us=EPOCH_US)
    return [schedule.take() for _ in range(count)]


def test_empty_report_is_complete():
    """A run that made nothing missed nothing."""
    report = Tally().report(unsent=0, secs=1.0)
    assert is_complete(report)
    assert report["by_cn"] == {}
    assert report["ack_max_ms"] is None


def test_transmissions_are_counted_apart_from_packets():
    """A second transmission is a resend and not a packet; the latest packet gives the lag."""
    tally = Tally()
    first, second = make_uploads(2)
    tally.note_sent(first, first.due_us + 1_500_000)
    first.transmissions = 1
    tally.note_sent(first, first.due_us + 9_000_000)
    tally.note_sent(second, second.due_us)
    tally.note_acked(first, 0.01)
    report = tally.report(unsent=3, secs=1.0)
    assert [report[name] for name in ("sent", "acked", "unacked", "unsent", "resent")] == [2, 1, 1, 3, 1]
    assert report["by_cn"] == {
        "2011": {"sent": 1, "acked": 1, "unacked": 0},
        "2051": {"sent": 1, "acked": 0, "unacked": 1},
    }
    assert report["lag_max_secs"] == 1.5
    assert not is_complete(report)


def test_latencies_are_of_ranks():
    """Of 1 to 100 ms the 50th and the 99th are the median and the 99th percentile."""
    tally = Tally()
    (upload,) = make_uploads(1)
    for ms in range(100, 0, -1):
        tally.note_acked(upload, ms / 1000)
    report = tally.report(unsent=0, secs=1.0)
    assert [report[name] for name in ("ack_p50_ms", "ack_p99_ms", "ack_max_ms")] == [50.0, 99.0, 100.0]


def test_latencies_take_bounded_memory():
    """Ten thousand different latencies are kept as fewer than a thousand."""
    tally = Tally()
    (upload,) = make_uploads(1)
    for number in range(10_000):
        tally.note_acked(upload, 0.001 + number / 1e7)
    assert len(tally._latencies) < 1000
    assert tally.latency_ms(1.0) == pytest.approx(2.0, rel=0.01)


def test_witness_lines(tmp_path):
    """A line has MN, CN, QN, DataTime, digest and number of factors; old content goes, each line is on disk at once."""
    path = tmp_path / "acked"
    path.write_text("of an older run\n")
    profile = make_profile()
    (upload,) = make_uploads(1)
    written = UploadWriter(profile, seed=1).write(upload)
    with open_witnesses(None, path) as witnesses:
        assert witnesses.sent is None
        witnesses.acked.note(profile, upload, written)
        line = path.read_text()
    expected = (profile.mn, upload.cn, "20260101080000000", "20260101080000", written.digest, "3")
    assert line == "\t".join(expected) + "\n"


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    """A wrong path ends the run before it begins."""
    with pytest.raises(FileNotFoundError), open_witnesses(tmp_path / "no" / "folder", None):
        pass
