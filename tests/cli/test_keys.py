"""Tests of key files."""

from pathlib import Path

import pytest

from hj212gw.cli.keys import KeyFile, read_key_file
from hj212gw.errors import ConfigError
from hj212gw.protocol import Key

SECRET = b"hunter2,hunter2,"


def write(folder: Path, text: str) -> Path:
    """Write a key file."""
    path = folder / "name.key"
    path.write_bytes(text.encode())
    return path


def test_no_file_has_no_keys() -> None:
    """As without the option."""
    assert read_key_file(None).find("1") == ()


@pytest.mark.parametrize("text", [SECRET.decode(), SECRET.hex(), f"\ufeff\r\n  {SECRET.hex().upper()} \r\n"])
def test_a_key_alone_is_for_every_data_logger(tmp_path: Path, text: str) -> None:
    """It is named after the file; commas do not make it a row."""
    assert read_key_file(write(tmp_path, text)) == KeyFile((Key("name", SECRET),))


def test_rows_are_for_single_data_loggers(tmp_path: Path) -> None:
    """With a header row or without, as the registry writes its keys."""
    rows = f"A1,new,{'31' * 16}\nB2,only,{'32' * 16}\nA1,old,{'33' * 16}\n"
    keys = read_key_file(write(tmp_path, rows))
    assert keys.find("A1") == (Key("new", b"1" * 16), Key("old", b"3" * 16))
    assert keys.find("C3") == ()
    assert read_key_file(write(tmp_path, "mn,key_id,secret\n" + rows)) == keys


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty: expected one key alone"),
        ("hunter2", "line 1: an SM4 key has 16 characters or 32 hex digits, got 7"),
        ("A1,hunter2hunter2,,", "line 1: expected one key alone, or lines of mn,key_id,secret, got 4 cells"),
        ("mn,key_id,secret\nA1,k,hunter2", "line 2: an SM4 key has"),
        ("hunter2hunter2hu\nhunter2hunter2hu", "line 1: expected one key alone"),
    ],
)
def test_what_is_wrong_is_told_without_the_key(tmp_path: Path, text: str, words: str) -> None:
    """File and line, and what is expected."""
    with pytest.raises(ConfigError) as caught:
        read_key_file(write(tmp_path, text))
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_binary_file_is_no_key_file(tmp_path: Path) -> None:
    """Such as a key of sixteen raw bytes."""
    path = tmp_path / "raw.key"
    path.write_bytes(bytes(range(240, 256)))
    with pytest.raises(ConfigError, match="as UTF-8"):
        read_key_file(path)
