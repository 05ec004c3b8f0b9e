"""Mutations of seeds without coverage: the same for a number, quick, and aware of what HJ 212 is written with."""

import random
from collections.abc import Iterator, Sequence

# What frames, headers, data areas, registry files and evidence are made of, and what breaks readers of text.
WORDS = (
    b"##", b"&&", b"\r\n", b"\n", b"\r", b";", b",", b"=", b"-", b"//", b"CP=", b"CP=&&", b"QN=", b"MN=", b"PW=", b"ST=",
    b"CN=", b"Flag=", b"PNUM=", b"PNO=", b"RF=1", b"DataTime=", b"PolId=", b"-Rtd", b"-Flag", b"-Info", b"NewSK=", b"##0000",
    b"##9999AA", b"##0101AA", b"##4096QN", b"FFFF", b"1C80", b"{0x", b"0xE4,", b"}", b"N", b"NaN", b"inf", b"1e999", b"-0",
    b"9" * 30, b"9" * 400, b"20260301080000", b"00000000000000", b"\0", b"\x1b[31m", b"\xff", b"\xef\xbb\xbf", b"'", b'"',
    b"=cmd|'/c calc'!A1", b"%s", b"{}", "\u2028".encode(), "\U0001f4a9".encode(), b"\xed\xa0\x80", b"\xa3\xbb", b"[" * 50,
    "清".encode(), b"2026-01-01", b"+14:00", b"0001-01-01", b"9999-12-31", b"\x1d", b"\x1e", b"null", b"true",
)  # fmt: skip


def mutate(seeds: Sequence[bytes], number: int, *, most_bytes: int = 8192) -> bytes:
    """Return the mutation of that number: one seed, changed in one to eight places."""
    chance = random.Random(number)
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 3, 5, 8))):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(8)
        if kind == 0:
            data[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            data[at:at] = chance.choice(WORDS)
        elif kind == 3:
            word = chance.choice(WORDS)
            data[at : at + len(word)] = word
        elif kind == 4:
            del data[at : at + chance.randrange(1, 20)]
        elif kind == 5:
            start = chance.randrange(len(data) + 1)
            data[at:at] = data[start : start + chance.randrange(1, 60)]
        elif kind == 6:
            other = chance.choice(seeds)
            start = chance.randrange(len(other) + 1)
            data[at:] = other[start:]
        else:
            del data[at + chance.randrange(1, 200) :]
    return bytes(data[:most_bytes])


def mutations(seeds: Sequence[bytes], first: int, count: int) -> Iterator[bytes]:
    """Yield mutations by their numbers."""
    return (mutate(seeds, number) for number in range(first, first + count))
