"""The catalogue of segments."""

from pathlib import Path

from hj212gw.journal.ledger import Ledger, Pending
from hj212gw.journal.reader import Behind
from hj212gw.journal.segments import SegmentInfo


def info(first, last, *, records=10, size=100):
    """A segment with groups first to last; its times are its numbers times ten."""
    return SegmentInfo(Path(f"s{first}"), first, last, records, records * 5, records, first * 10, last * 10, size)


def empty(first):
    """A segment without groups."""
    return SegmentInfo(Path(f"s{first}"), first, first - 1, file_bytes=1)


def make_ledger(**changes):
    """Three sealed segments and an active one: 1-10, 11-20, 101-110, 111-115."""
    return Ledger([info(1, 10), info(11, 20), info(101, 110), info(111, 115)], **({"drained_at_us": {}} | changes))


def firsts(ledger, seq):
    """The first numbers of the segments with groups after a position."""
    return [one.first_seq for one in ledger.after(seq)]


def test_segments_after_a_position_are_those_with_later_groups():
    """A position may lie in a segment, between two, at the head or behind it; empty segments hold nothing."""
    ledger = make_ledger()
    assert [firsts(ledger, seq) for seq in (0, 10, 15, 50, 114, 115, 900)] == [
        [1, 11, 101, 111],
        [11, 101, 111],
        [11, 101, 111],
        [101, 111],
        [111],
        [],
        [],
    ]
    ledger.rotated(info(111, 115), empty(500))
    assert firsts(ledger, 112) == [111]
    assert ledger.head_seq == 115


def test_everything_is_pending_before_the_first_confirm():
    """After a start nobody knows what was drained."""
    assert make_ledger().pending == Pending(40, 200, 40, 10)


def test_pending_is_what_lies_behind_the_confirmed_position():
    """In the midst of a segment the reader says how much of it is drained."""
    ledger = make_ledger()
    ledger.confirmed_seq = 15
    assert ledger.partly_behind() == info(11, 20)
    ledger.count_pending(Behind(4, 20, 4, 160))
    assert ledger.pending == Pending(26, 130, 26, 160)
    ledger.confirmed_seq = 20
    assert ledger.partly_behind() is None
    ledger.count_pending(None)
    assert ledger.pending == Pending(20, 100, 20, 1010)
    ledger.confirmed_seq = 115
    assert ledger.partly_behind() is None
    ledger.count_pending(None)
    assert ledger.pending == Pending(0, 0, 0, None)


def test_commit_adds_to_pending():
    """The first group after a pause gives the age of what is pending."""
    ledger = make_ledger()
    ledger.confirmed_seq = 115
    ledger.count_pending(None)
    ledger.committed(info(111, 116, records=12, size=150), 1234)
    ledger.committed(info(111, 117, records=13, size=160), 5678)
    assert ledger.pending == Pending(3, 15, 3, 1234)
    assert (ledger.head_seq, ledger.total_bytes) == (117, 460)


def test_repaired_segment_takes_the_place_of_the_damaged():
    """Its numbers count from then on; a segment of which nothing is left goes."""
    ledger = make_ledger()
    ledger.repaired(info(11, 20), info(11, 18, records=8, size=50))
    assert ledger.total_bytes == 350
    ledger.repaired(info(101, 110), None)
    assert firsts(ledger, 0) == [1, 11, 111]
    ledger.repaired(info(700, 800), None)
    assert ledger.segment_count == 3


def test_segments_are_drained_when_they_are_wholly_confirmed():
    """The time stays that of the first confirmation, and goes when the position goes back."""
    ledger = make_ledger()
    ledger.confirmed_seq = 19
    assert ledger.mark_drained(1000)
    ledger.confirmed_seq = 20
    assert ledger.mark_drained(2000)
    assert not ledger.mark_drained(3000)
    assert ledger.drained_at_us == {1: 1000, 11: 2000}
    ledger.confirmed_seq = 12
    assert ledger.mark_drained(4000)
    assert ledger.drained_at_us == {1: 1000}


def test_active_segment_is_never_drained():
    """The segment that is appended to stays, whatever is confirmed."""
    ledger = make_ledger()
    ledger.confirmed_seq = 115
    ledger.mark_drained(1000)
    while ledger.take_drained():
        pass
    assert firsts(ledger, 0) == [111]


def test_segment_expires_by_the_later_of_draining_and_arrival():
    """Seven days count from when a segment was drained: a backup may be as old as that."""
    ledger = make_ledger(drained_at_us={1: 500, 11: 100, 77: 1})
    ledger.confirmed_seq = 20
    assert 77 not in ledger.drained_at_us
    assert ledger.take_expired(499) is None
    assert ledger.take_expired(500) == info(1, 10)
    assert ledger.take_expired(199) is None
    assert ledger.take_expired(200) == info(11, 20)
    assert ledger.take_expired(10**9) is None
    assert ledger.total_bytes == 200


def test_segment_drained_in_an_earlier_run_waits_for_a_confirm():
    """While the gateway was down its database may have been restored."""
    ledger = make_ledger(drained_at_us={1: 500})
    assert ledger.take_expired(10**9) is None
    assert ledger.take_drained() is None
