"""Tests of keys kept in a file beside the database."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hj212gw.errors import ConfigError
from hj212gw.registry.keysfile import KeysFile

EXAMPLE = Path(__file__).parents[2] / "config" / "keys.example.csv"
HEADER = "mn,key_id,secret,valid_from,valid_to"
GOOD = "MN000000000001,k1,sixteen-letters.,2026-01-01,2026-04-01"
# content of the file, what is said
WRONG = [
    (None, "cannot be read: No such file"),
    (b"", "came an empty file"),
    (f"{HEADER}\n{GOOD}\nMN000000000001,k2,too-short,,\n".encode(), ":3: secret: expected a key of 16"),
    (f"{HEADER}\n{GOOD}\n{GOOD}\n".encode(), "expected each row once"),
    (f"{HEADER}\n{GOOD}\nMN000000000001,k1,sixteen-letters!,2026-03-01,\n".encode(), "not to overlap"),
    (b"mn,dialect,valid_from,valid_to\nMN000000000001,crc_short,,\n", "expected keys, with the columns mn,key_id"),
    (b"MN000000000001,k1,sixteen-letters.,,\n", "came none of these names"),
    (f"{HEADER}\nMN000000000001,k1,sixteen-letters.,\n,,,,\nx y,,,,\n".encode(), "errors more"),
]


def test_read_the_example():
    """The example of the configuration is one."""
    keys = KeysFile(EXAMPLE).read()
    assert [dated.key.secret for dated in keys["530403A8900016F000169D06"]] == [b"0" * 16]


def test_read_gives_keys_by_mn(tmp_path):
    """Keys come with their periods, whatever MNs the registry knows."""
    path = tmp_path / "keys.csv"
    path.write_text(f"{HEADER}\n{GOOD}\nMN000000000001,k2,{'00' * 16},2026-04-01,\nMN2,k1,{'00' * 16},,\n")
    keys = KeysFile(path).read()
    assert [(dated.key.key_id, dated.valid_to) for dated in keys["MN000000000001"]] == [
        ("k1", datetime(2026, 3, 31, 16, tzinfo=UTC)),
        ("k2", None),
    ]
    assert keys["MN2"][0].holds_at(datetime(1970, 1, 1, tzinfo=UTC))
    assert "sixteen" not in repr(keys)


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_read_explains_a_wrong_file(content, message, tmp_path):
    """An unreadable or wrong file is a fault of the settings, and shows no key."""
    path = tmp_path / "keys.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"registry\.keys_file") as caught:
        KeysFile(path).read()
    assert message in str(caught.value)
    assert "sixteen" not in str(caught.value)


def test_file_changes_once(tmp_path):
    """A file counts as changed until it is read, when it is replaced and when it goes."""
    path = tmp_path / "keys.csv"
    path.write_text(f"{HEADER}\n")
    file = KeysFile(path)
    assert file.has_changed()
    assert file.read() == {}
    assert not file.has_changed()
    path.write_text(f"{HEADER}\n{GOOD}\n")
    assert file.has_changed()
    assert len(file.read()) == 1
    path.unlink()
    assert file.has_changed()
    with pytest.raises(ConfigError):
        file.read()
    assert not file.has_changed()
