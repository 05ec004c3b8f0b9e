"""Tests of SM4 on the data area (spec 16.1)."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hj212gw.errors import ConfigError
from hj212gw.protocol.cipher import (
    decrypt_area,
    encrypt_area,
    is_encrypted_command,
    is_printed,
    looks_encrypted,
    looks_plain,
    parse_key,
    parse_printed,
    print_cipher,
    printed_size,
)

SECRET = b"0" * 16
FIRST_BLOCK = bytes.fromhex("E43E159ACFAB242CB53155FB8B9281A1")


def test_sm4_vector_of_the_national_standard() -> None:
    """GB/T 32907, annex A: the key encrypted with itself."""
    key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    assert encrypt_area(key, key).hex() == "681edf34d206965e86b3e94f536e4246"
    assert decrypt_area(bytes.fromhex("681EDF34D206965E86B3E94F536E4246"), key) == key


def test_first_block_of_the_published_vectors() -> None:
    """Both examples of 2025 begin with the same sixteen characters, and ECB shows it."""
    assert encrypt_area(b"DataTime=2024052", SECRET) == FIRST_BLOCK


@given(st.binary(max_size=100), st.binary(min_size=16, max_size=16))
def test_an_area_is_decrypted_to_what_it_was(area: bytes, secret: bytes) -> None:
    """Without padding: the length stays, and what is behind the last full block stays plain."""
    cipher = encrypt_area(area, secret)
    assert decrypt_area(cipher, secret) == area
    assert len(cipher) == len(area)
    rest = len(area) % 16
    assert cipher[len(area) - rest :] == area[len(area) - rest :]


@given(st.binary(min_size=16, max_size=100))
def test_a_printed_cipher_is_read_back(area: bytes) -> None:
    """The form of the standard's examples."""
    printed = print_cipher(area)
    assert is_printed(printed)
    assert len(printed) == printed_size(len(area))
    assert parse_printed(printed) == area
    assert not looks_plain(printed)


@pytest.mark.parametrize(
    "area",
    [b"{0xE4,0x3E}", b"{}", b"{0xE4,}", b"E43E", print_cipher(b"x" * 16) + b"y" * 16, print_cipher(b"x" * 16)[:-1]],
)
def test_other_text_is_no_printed_cipher(area: bytes) -> None:
    """Whole blocks in braces, and less than a block behind them."""
    assert parse_printed(area) is None


@pytest.mark.parametrize("text", ["0" * 16, "30" * 16])
def test_a_key_is_sixteen_characters_or_32_hex_digits(text: str) -> None:
    """Both forms are met in the field."""
    assert parse_key(text) == SECRET


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "got 0 characters"),
        ("hunter2hunter2", "got 14 characters"),
        ("hunter2hunter2\u4e2d\u6587", "printable ASCII"),
        ("hunter2 hunter2 ", "without blanks"),
        ("hunter2hunter2hunter2hunter2hunt", "hex digits only"),
    ],
)
def test_a_wrong_key_is_refused_without_being_shown(text: str, words: str) -> None:
    """The message says what is accepted."""
    with pytest.raises(ConfigError, match=words) as caught:
        parse_key(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("cn", "expected"),
    [("2000", True), ("2999", True), ("2051", True), ("1014", True), ("3020", True),
     ("1013", False), ("3019", False), ("9015", False), ("20511", False), ("", False)],
)  # fmt: skip
def test_data_key_and_log_commands_are_encrypted(cn: str, expected: bool) -> None:
    """Answers, parameters and control commands stay plain."""
    assert is_encrypted_command(cn) is expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"##0100QN=1;CP=&&" + FIRST_BLOCK, True),
        (b"CP=&&{0xE4,0x3E,0x15", True),
        (b"CP=&&DataTime=2024052", False),
        (b"CP=&&&&1C80\r\n##0100QN=1", False),
        (b"CP=&&" + FIRST_BLOCK[:11], False),
        (b"CP=&&i11001-Info=//\xe6\xb8\x85", False),
        (FIRST_BLOCK, False),
    ],
)
def test_encrypted_areas_are_told_by_their_look(raw: bytes, expected: bool) -> None:
    """Nothing in a header says so."""
    assert looks_encrypted(raw) is expected


def test_the_cipher_is_loaded_only_for_who_uses_it() -> None:
    """The import costs more than decoding a file of frames does."""
    program = "import sys, hj212gw.cli.decode; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
