"""Settings of a journal."""

import pytest

from hj212gw.errors import ConfigError
from hj212gw.journal import JournalSettings


def test_settings_are_refused_when_a_segment_is_large_for_the_journal(tmp_path):
    """Only whole segments are removed, so one must be a small part of the whole."""
    with pytest.raises(ConfigError, match=r"journal.max_bytes is 100: expected at least 4 times"):
        JournalSettings(directory=tmp_path, max_bytes=100, segment_bytes=50)


def test_settings_default_to_ten_days_of_a_city(tmp_path):
    """The defaults are those of the design page."""
    settings = JournalSettings(directory=tmp_path)
    assert (settings.max_bytes, settings.segment_bytes, settings.keep_secs) == (20 << 30, 64 << 20, 604_800)
