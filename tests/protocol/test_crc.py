"""Tests of the CRC; its vectors stand in test_golden.py, its oracle in test_properties.py."""

import sys

import pytest

from hj212gw.protocol import crc


def test_the_fold_is_taken_where_the_extension_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without crcmod's C routine the CRC still comes, from plain Python."""
    monkeypatch.setitem(sys.modules, "crcmod._crcfunext", None)
    monkeypatch.delattr("crcmod._crcfunext", raising=False)
    assert crc._load_state_function() is crc._fold_state


def test_the_extension_is_used_where_it_is_there() -> None:
    """The routine in C and the fold agree for every remainder of the fold, up to a data segment of the largest size."""
    segment = bytes(range(256)) * 4
    state = crc._load_state_function()
    assert state is not crc._fold_state
    for length in (*range(1, 18), 1023, 1024):
        assert state(segment[:length]) == crc._fold_state(segment[:length])


def test_only_256_values_exist() -> None:
    """Two bytes reach every CRC there is, so it is no identity."""
    values = {crc.crc16(bytes((high, low))) for high in range(256) for low in range(256)}
    assert len(values) == 256
    assert {value & 0xFF for value in values} == {0x00, 0x01, 0x40, 0x41, 0x80, 0x81, 0xC0, 0xC1}


def test_text_has_four_upper_case_digits_also_for_small_values() -> None:
    """0000 and 0140 are legitimate and are written in full."""
    texts = {crc.crc_text(bytes((high, low))) for high in range(256) for low in range(256)}
    assert {b"0000", b"0140"} <= texts
    assert all(len(text) == 4 and text == text.upper() for text in texts)
