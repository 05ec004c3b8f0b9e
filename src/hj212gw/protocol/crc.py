"""The CRC of HJ 212 (HJ/T 212-2005 and HJ 212-2017, annex A), at C speed.

The standard's register loses its low byte before each byte goes in, so only eight bits of state pass
from byte to byte. With ``T[x]`` the eight-step result for x and ``H[x] = T[x] >> 8``::

    state_0 = 0xFF    state_k = H[state_(k-1) ^ byte_k]    CRC = T[state_(n-1) ^ byte_n]

That is a table-driven 8-bit CRC with the table H, which crcmod runs in C. Where its extension is
missing, H is linear over GF(2) and its eighth power is the identity, so bytes whose positions agree
modulo 8 are XOR-folded with big integers first; eight table steps are left.
"""

from collections.abc import Callable

import crcmod.predefined

_POLYNOMIAL = 0xA001
_EMPTY = 0xFFFF


def _eight_steps(register: int) -> int:
    for _ in range(8):
        register = register >> 1 ^ (_POLYNOMIAL if register & 1 else 0)
    return register


_T = tuple(_eight_steps(value) for value in range(256))
_H = bytes(value >> 8 for value in _T)
# H is one to one, so the state after the last byte tells the whole CRC and no slice is needed.
_CRC_AFTER = tuple(crc for _, crc in sorted(zip(_H, _T, strict=True)))
_TEXT_AFTER = tuple(b"%04X" % crc for crc in _CRC_AFTER)
_PERIOD = 8  # H applied eight times is the identity

_modbus: Callable[[bytes], int] = crcmod.predefined.mkCrcFun("modbus")


def _fold_state(data: bytes) -> int:
    """Return the state after all of `data` (one byte or more) without the C extension."""
    padding = -len(data) % _PERIOD
    # Zero bytes in front of the first byte only turn the start value; H^8 = 1 makes a full turn of it.
    folded = int.from_bytes(b"\0" * padding + data, "big")
    bits = 8 * (len(data) + padding)
    while bits > 8 * _PERIOD:
        half = -(-bits // (16 * _PERIOD)) * 8 * _PERIOD
        folded = (folded >> half) ^ (folded & ((1 << half) - 1))
        bits = half
    state = 0
    for byte in folded.to_bytes(_PERIOD, "big"):
        state = _H[state ^ byte]
    start = 0xFF
    for _ in range(len(data) % _PERIOD):
        start = _H[start]
    return state ^ start


def _load_state_function() -> Callable[[bytes], int]:
    try:
        from crcmod import _crcfunext  # noqa: PLC0415 - optional: pure Python builds lack it
    except ImportError:
        return _fold_state
    run: Callable[[bytes, int, bytes], int] = _crcfunext._crc8  # noqa: SLF001 - mkCrcFun only makes tables of its own
    return lambda data: run(data, 0xFF, _H)


_state = _load_state_function()


def crc16(segment: bytes) -> int:
    """Compute the CRC of a data segment.

    Args:
        segment: the bytes between length and CRC; empty gives 0xFFFF.

    Returns:
        0 to 0xFFFF; only 256 different values exist, so it is never an identity.
    Source: HJ 212-2017, annex A; the prose there prints 1C08 where the packet has 1C80, which is right.
    """
    return _CRC_AFTER[_state(segment)] if segment else _EMPTY


def crc_text(segment: bytes) -> bytes:
    """Compute the CRC of a data segment as the frame writes it: four upper-case hex digits."""
    return _TEXT_AFTER[_state(segment)] if segment else b"FFFF"


def modbus_crc16(segment: bytes) -> int:
    """Compute CRC-16/MODBUS, which many data loggers send by mistake (diagnosis only)."""
    return _modbus(segment)


def check_crc(segment: bytes, crc: bytes) -> bool:
    """Tell whether `crc`, four characters of any letter case, is the segment's (annex A)."""
    expected = crc_text(segment)
    return crc == expected or crc.upper() == expected


def explain_crc(segment: bytes, crc: bytes, where: int) -> str:
    """Say what is wrong with a CRC: the right one, and a known other algorithm that gives it.

    Args:
        segment: the data segment.
        crc: the four characters that came.
        where: their byte in the stream.
    """
    text = f"CRC at byte {where} is {ascii(crc)[1:]}, the right one is {crc_text(segment).decode()}"
    modbus = b"%04X" % modbus_crc16(segment)
    if crc.upper() == modbus:
        return f"{text}; it equals CRC-16/MODBUS"
    if crc.upper() == modbus[2:] + modbus[:2]:
        return f"{text}; it equals CRC-16/MODBUS with its bytes swapped"
    return text
