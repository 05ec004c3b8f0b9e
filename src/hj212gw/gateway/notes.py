"""What the journal notes of an accepted frame beside its bytes: the key that opened it, and marks.

A note is the key's id, and behind a tab the marks separated by spaces; nothing for an ordinary frame. Marks are the
slugs of the dialect the frame is written in, without which it could not be read again, and `rival`.
"""

from typing import Final, NamedTuple

RIVAL: Final = "rival"  # another live connection spoke for the MN before


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
