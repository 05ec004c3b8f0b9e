"""SM4 on the data area (HJ 212-2025, 6.4, secondary; spec 16.1).

ECB without padding: every full block of 16 bytes is encrypted, the 0 to 15 bytes behind them stay as they are.
Length and CRC of the frame are those of the plain text, so a frame is written whole first and encrypted last,
and is decrypted before its CRC can be checked. Nothing in a frame says that it is encrypted.
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from hj212gw.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

BLOCK_BYTES = 16
SECRET_BYTES = 16
OPENING = b"CP=&&"

_HEX_DIGITS = 2 * SECRET_BYTES
_CHARACTERS = re.compile("[!-~]{16}")
_HEX = re.compile("[0-9A-Fa-f]{32}")
_ENCRYPTED_CNS = re.compile("2[0-9]{3}|1014|3020")
_PRINTED = re.compile(rb"\{(0x[0-9A-Fa-f]{2}(?:,0x[0-9A-Fa-f]{2})*)\}(.{0,15})", re.DOTALL)
PRINTED_START = b"{0x"
_TEXT_BYTES = 12  # i11001-Info= is text, and Chinese may follow
_TEXT = re.compile(rb"[ -~]*")
_TEXT_AND_END = re.compile(rb"[ -~\t\r\n]*")  # a short area is followed by the frame's end


def parse_key(text: str) -> bytes:
    """Read a key as people write it.

    Args:
        text: sixteen printable characters, or 32 hex digits of any letter case.

    Returns:
        The secret, 16 bytes.

    Raises:
        ConfigError: it is neither; the message says how long it is and never what it is.
    """
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    if _CHARACTERS.fullmatch(text):
        return text.encode("ascii")
    if len(text) not in (SECRET_BYTES, _HEX_DIGITS):
        raise ConfigError(f"an SM4 key has 16 characters or 32 hex digits, got {len(text)} characters")
    if len(text) == SECRET_BYTES:
        raise ConfigError("an SM4 key of 16 characters has printable ASCII ones without blanks, got another")
    raise ConfigError("an SM4 key of 32 characters has hex digits only, got another character")


def is_encrypted_command(cn: str) -> bool:
    """Tell whether a data logger encrypts what it sends under a CN: 2000 to 2999, 1014 and 3020."""
    return _ENCRYPTED_CNS.fullmatch(cn) is not None


@lru_cache(maxsize=1024)
def _load(secret: bytes) -> "Cipher[modes.ECB]":
    # Not at the head: it costs as much as all else that `decode` imports, and few frames are encrypted.
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415

    return Cipher(algorithms.SM4(secret), modes.ECB())  # noqa: S305 - the standard's choice, a weakness of its own


def encrypt_area(area: bytes, secret: bytes) -> bytes:
    """Encrypt a data area of any length; the last 0 to 15 bytes stay plain."""
    whole = len(area) // BLOCK_BYTES * BLOCK_BYTES
    return _load(secret).encryptor().update(area[:whole]) + area[whole:]


def decrypt_area(area: bytes, secret: bytes) -> bytes:
    """Decrypt a data area of any length, raw bytes; a wrong secret gives other bytes and no error."""
    whole = len(area) // BLOCK_BYTES * BLOCK_BYTES
    return _load(secret).decryptor().update(area[:whole]) + area[whole:]


def print_cipher(area: bytes) -> bytes:
    """Write an encrypted data area as the standard prints it: ``{0xE4,0x3E,...}`` and the plain rest."""
    whole = len(area) // BLOCK_BYTES * BLOCK_BYTES
    printed = ",".join(f"0x{byte:02X}" for byte in area[:whole]).encode()
    return b"{%b}%b" % (printed, area[whole:]) if printed else area


def is_printed(area: bytes) -> bool:
    """Tell whether a data area begins like a printed cipher."""
    return area.startswith(PRINTED_START)


def parse_printed(area: bytes) -> bytes | None:
    """Return the raw bytes of a printed data area, None where it is not whole blocks of hex bytes."""
    match = _PRINTED.fullmatch(area)
    if match is None:
        return None
    cipher = bytes.fromhex(match[1].replace(b"0x", b"").replace(b",", b"").decode())
    return None if len(cipher) % BLOCK_BYTES else cipher + match[2]


def printed_size(plain_size: int) -> int:
    """Return how many bytes a data area takes when printed; `plain_size` is at least a block."""
    rest = plain_size % BLOCK_BYTES
    return len("{}") + len("0x00,") * (plain_size - rest) - 1 + rest


def looks_plain(area: bytes) -> bool:
    """Tell whether a data area begins with text: twelve encrypted bytes do so once in 150000."""
    return not is_printed(area) and _TEXT.fullmatch(area[:_TEXT_BYTES]) is not None


def looks_encrypted(raw: bytes) -> bool:
    """Tell whether the data area in a frame, or in what is left of one, begins with a block that is no text."""
    start = raw.find(OPENING) + len(OPENING)
    head = raw[start : start + _TEXT_BYTES]
    if start < len(OPENING) or len(head) < _TEXT_BYTES:
        return False
    return is_printed(head) or _TEXT_AND_END.fullmatch(head) is None
