"""The journal against a model: random appends, reads, confirms, reopens and crashes."""

import asyncio
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.journal.support import BASE_US, MIB, make_record, numbers_in, quiet, read_all, settings_for

from hj212gw.journal import ACCEPTED, REJECT, Journal, verify

KEEP_US = 1_000_000


class JournalModel(RuleBasedStateMachine):
    """Holds what must be there: all durable records in order, and under which sequence number each was seen.

    A crash is a copy of the directory as it is on the disk, opened instead of the original.
    """

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="journal-model-"))
        self.loop = asyncio.new_event_loop()
        self.generation = 0
        self.next_number = 0
        self.durable = []
        self.waiting = []
        self.known = {}
        self.confirmed = 0
        self.furthest = 0
        self.now_us = BASE_US

    @property
    def directory(self):
        """Where the journal is now."""
        return self.root / str(self.generation)

    def run(self, function, *arguments):
        """Call a function on the event loop."""

        async def call():
            result = function(*arguments)
            return await result if asyncio.iscoroutine(result) else result

        return self.loop.run_until_complete(call())

    def open(self):
        """Open the journal with segments of a few groups."""
        chosen = settings_for(
            self.directory,
            segment_bytes=MIB // 8,
            group_records=16,
            keep_secs=KEEP_US / 1_000_000,
            low_priority_share=1.0,
            reject_share=1.0,
        )
        self.journal = self.run(partial(Journal.open, chosen))
        self.confirmed = 0

    @initialize()
    def begin(self):
        """Start with an empty directory."""
        self.open()

    @rule(sizes=st.lists(st.integers(12, 6000), min_size=1, max_size=40), is_reject=st.booleans())
    def append(self, sizes, is_reject):
        """Submit records without waiting for them."""
        for size in sizes:
            number = self.next_number
            record = make_record(number, size, kind=REJECT if is_reject else ACCEPTED)
            self.waiting.append(number)
            self.next_number += 1
            assert self.run(partial(self.journal.submit, record, partial(self.settle, number)))

    def settle(self, number):
        """A record is durable: callbacks come in the order of submission."""
        assert self.waiting.pop(0) == number
        self.durable.append(number)

    @rule()
    def wait(self):
        """Wait until all that was submitted is durable."""
        self.run(quiet, self.journal)
        self.run(asyncio.sleep, 0)
        assert not self.waiting

    @rule(share=st.floats(0, 1), pass_us=st.sampled_from([0, KEEP_US // 2, KEEP_US]))
    def confirm(self, share, pass_us):
        """Tell how far the database is; the position may go back to any group that is still there."""
        self.now_us += pass_us
        stats = self.run(self.journal.stats)
        lowest = stats.first_seq - 1
        choices = [lowest, *(seq for seq in sorted(self.known) if seq >= lowest)]
        self.confirmed = choices[int(share * (len(choices) - 1))]
        self.furthest = max(self.furthest, self.confirmed)
        self.run(self.journal.confirm, self.confirmed, self.now_us)

    @rule()
    def reopen(self):
        """Close in order and open again: what was submitted is durable."""
        self.run(self.journal.close)
        assert not self.waiting
        self.open()

    @rule()
    def crash(self):
        """Go on from the files as they are, the newest groups in the write-ahead log."""
        self.wait()
        previous = self.directory
        old = self.journal
        self.generation += 1
        subprocess.run(["cp", "-r", previous, self.directory], check=True)
        self.run(old.close)
        shutil.rmtree(previous)
        self.open()

    @rule(most=st.integers(1, 50), share=st.floats(0, 1))
    def read(self, most, share):
        """Read a few groups from some position."""
        seqs = [0, *sorted(self.known)]
        after = seqs[int(share * (len(seqs) - 1))]
        groups = self.run(self.journal.read, after, most)
        count = 0
        for group in groups:
            assert count < most
            assert group.seq > after
            after = group.seq
            count += len(group.records)

    @invariant()
    def everything_durable_is_there_once_in_order(self):
        """What is read is what was acknowledged; a sequence number means the same group for ever."""
        if hasattr(self, "journal"):
            self.run(self.compare)

    def compare(self):
        """Compare journal and model at one moment of the event loop."""
        groups = read_all(self.journal)
        for group in groups:
            numbers = numbers_in([group])
            assert group.seq in self.known or group.seq > max(self.known, default=0)
            assert self.known.setdefault(group.seq, numbers) == numbers
        numbers = numbers_in(groups)
        assert numbers == self.durable[len(self.durable) - len(numbers) :]
        stats = self.journal.stats()
        removed = {seq for seq in self.known if seq < stats.first_seq}
        assert max(removed, default=0) <= self.furthest
        left = [seq for seq in sorted(self.known) if seq > self.confirmed and seq not in removed]
        unread = [number for seq in left for number in self.known[seq]]
        assert numbers_in(group for group in groups if group.seq > self.confirmed) == unread
        assert stats.pending_records == len(unread)
        assert stats.oldest_pending_us == (BASE_US + unread[0] if unread else None)
        assert stats.queued_records == len(self.waiting)
        assert not self.journal.damages

    def teardown(self):
        """The journal verifies at the end of every story."""
        if hasattr(self, "journal"):
            self.run(self.journal.close)
            assert verify(self.directory) == []
        self.loop.close()
        shutil.rmtree(self.root)


TestJournalModel = JournalModel.TestCase
TestJournalModel.settings = settings(
    max_examples=400,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
