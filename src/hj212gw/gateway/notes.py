"""What the journal notes of an accepted frame beside its bytes: the key that opened it, and marks.

A note is the key's id, and behind a tab the marks separated by spaces; nothing for an ordinary frame. Marks are the
slugs of the dialect the frame is written in, without which it could not be read again, `rival`, and suspicions.
"""

from typing import Final, NamedTuple

RIVAL: Final = "rival"  # another live connection spoke for the MN before
FOREIGN_PEER: Final = "foreign_peer"  # that one is of another network; or the registry names others for the MN
FOREIGN_CERTIFICATE: Final = "foreign_certificate"  # the client's certificate names other MNs
SUSPICIONS: Final = frozenset((FOREIGN_PEER, FOREIGN_CERTIFICATE))  # they become warnings of the packet


class Note(NamedTuple):
    """What is noted of a frame; `key_id` is "" for plain text."""

    key_id: str = ""
    marks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.key_id}\t{' '.join(self.marks)}" if self.marks else self.key_id


def read_note(text: str) -> Note:
    """Read a note as it stands in a record; notes of older versions are a key's id alone."""
    key_id, _, marks = text.partition("\t")
    return Note(key_id, tuple(marks.split()))
