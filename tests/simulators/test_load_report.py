"""What a load run's report says, and what makes it fail."""

from collections import Counter

import pytest
from tests.simulators.load_support import make_plan

from hj212sim.load.report import describe_progress, find_faults, make_report, summarise
from hj212sim.load.tally import Issued, Progress, Tally


def make_tally(**changes):
    """Counts of a run without a fault."""
    tally = Tally(sent=100, acked=100, connects=3, began_at=10.0, ended_at=12.0, cpu_secs=0.01, memory_bytes=1 << 20)
    for ms in range(1, 101):
        tally.latencies.add(ms / 1000)
    for name, value in changes.items():
        setattr(tally, name, value)
    return tally


def report_of(tally, **changes):
    """The report of a run."""
    return make_report(make_plan(**changes), tally, seconds=3.0, own_bytes=1 << 20)


def test_a_good_run_has_no_fault():
    """Rates are of the time under load, memory is of all processes."""
    report = report_of(make_tally())
    assert find_faults(report) == []
    assert (report["sent_per_sec"], report["acked_per_sec"], report["seconds"]) == (50.0, 50.0, 3.0)
    assert report["ack_p99_ms"] == pytest.approx(99, rel=0.001)
    assert report["generator"]["memory_bytes"] == 2 << 20
    assert report["generator"]["cpu_us_a_packet"] == 100.0
    assert report["plan"]["seed"] == 1


def test_the_ramp_is_not_load():
    """What was sent while connections were being opened does not count for the rates."""
    report = report_of(make_tally(ramp_sent=40, ramp_acked=20))
    assert (report["sent_per_sec"], report["acked_per_sec"]) == (30.0, 40.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"acked": 97}, "3 packets stayed without an answer", id="unacked"),
        pytest.param({"repeated_acks": 5, "resent": 3}, "2 answers came twice", id="twice"),
        pytest.param({"strange_answers": 1}, "1 answers were to nothing", id="strange"),
        pytest.param({"sent": 0, "acked": 0, "is_given_up": True}, "nothing could be sent", id="nothing"),
        pytest.param({"is_given_up": True}, "before everything was sent", id="stuck"),
    ],
)
def test_a_fault_is_said(changes, words):
    """Each fault is one sentence, in the words too."""
    report = report_of(make_tally(**changes))
    (fault,) = find_faults(report)
    assert words in fault
    assert f"FAULT: {fault}" in list(summarise(report))


def test_answers_to_repeats_are_no_fault():
    """A packet sent twice may be answered twice."""
    assert find_faults(report_of(make_tally(repeated_acks=3, resent=3))) == []


def test_faults_of_the_check_count():
    """What the database lacks fails the run."""
    report = report_of(make_tally())
    report["check"] = {"faults": ["1 acknowledged packets are not stored"]}
    assert find_faults(report) == ["1 acknowledged packets are not stored"]


def test_words_name_what_was_not_reached():
    """A rate that was not reached, a generator that was late and errors are all said."""
    tally = make_tally(unsent=7, errors=Counter({"connection reset": 2}))
    tally.lags.add(1.0)
    text = "\n".join(summarise(report_of(tally, rate=5000.0)))
    assert "7 packets fell due and were not sent: the rate of 5000/s was not reached" in text
    assert "2 x connection reset" in text
    assert "the generator itself was late" in text
    assert "ack p50" in text


def test_processes_are_merged():
    """Counts add up, the time is from the first to the last, and each connection is told."""
    one = make_tally(began_at=9.0, storms=2, issued=[Issued(0, 60, ())], errors=Counter(a=1))
    other = make_tally(ended_at=13.0, storms=1, acked=99, issued=[Issued(1, 60, (3,))], errors=Counter(a=1, b=1))
    total = Tally()
    total.merge(one)
    total.merge(other)
    assert (total.sent, total.acked, total.storms, total.began_at, total.ended_at) == (200, 199, 2, 9.0, 13.0)
    assert total.errors == {"a": 2, "b": 1}
    assert [issued.connection for issued in total.issued] == [0, 1]
    assert sum(total.latencies.counts) == 200


def test_progress_is_one_line():
    """Counts, and the rates of late."""
    line = describe_progress(Progress(1000, 900, 3, 2, 20), (50.4, 45.0), 12.3)
    assert line == "12 s, 20 connected, sent 1000 (50/s) acked 900 (45/s) resent 3 errors 2"
