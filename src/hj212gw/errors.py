"""Every error the project raises on purpose.

::

    Hj212Error                  reason: fixed slug = metric label = log key
      ConfigError               a setting or an input file is wrong: names it, the value, what is accepted
        DirectoryInUse          another process serves it, or an upgrade of it is under way
      ProtocolError             + qn_rtn (HJ 212-2017 table 7) for when an answer is due, + offset in the input
        FrameError              crc, length, header, trailer, too_long, incomplete, noise
        PacketError             a header field is missing, repeated or malformed
        DataAreaError           the data area cannot be written as asked
      JournalError
        JournalFull             wait: no room; goes on by itself
        JournalCorrupt          stop: kept aside, never deleted
        JournalUnwritable       stop: an fsync or write failed and must not be retried
      StoreError
        StoreUnavailable        retry: the database is away, full, read-only or busy
        RowsRefused             quarantine: these rows will never be stored
        SchemaMismatch          stop the drain: migrate first
        PositionMoved           stop the drain: somebody else drained this journal
      MarkError                 a mark cannot be declared or changed so: says why
      EvidenceError             evidence cannot be made or read: says what is missing
"""


class Hj212Error(Exception):
    """Base of the tree; `reason` is a fixed slug fit for a metric label."""

    reason = "error"


class ConfigError(Hj212Error):
    """A setting or an input file is wrong; the message names it, its value and what is accepted."""

    reason = "config"


class DirectoryInUse(ConfigError):
    """A directory is served by another process, or is being upgraded by one."""


class ProtocolError(Hj212Error):
    """Bytes that are not what HJ 212 says; `offset` counts from the start of the input given."""

    reason = "protocol"

    def __init__(self, message: str, *, reason: str, qn_rtn: int = 100, offset: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.qn_rtn = qn_rtn
        self.offset = offset


class FrameError(ProtocolError):
    """A span of bytes is no frame (HJ 212-2017, 6.3.1)."""


class PacketError(ProtocolError):
    """A data segment's header cannot be read (HJ 212-2017, 6.3.2)."""


class DataAreaError(ProtocolError):
    """A data area cannot be written as asked (HJ 212-2017, 6.3.3)."""


class JournalError(Hj212Error):
    """The journal cannot do what was asked."""

    reason = "journal"


class JournalFull(JournalError):
    """No room for now: stop reading and acknowledging, and go on when there is room."""

    reason = "journal_full"


class JournalCorrupt(JournalError):
    """A segment is damaged: keep it aside, report it, never delete it."""

    reason = "journal_corrupt"


class JournalUnwritable(JournalError):
    """A write or fsync failed: what the disk holds is unknown, so the process stops."""

    reason = "journal_unwritable"


class StoreError(Hj212Error):
    """The database did not do what was asked."""

    reason = "store"


class StoreUnavailable(StoreError):
    """The database is away, full, read-only or busy: try again."""

    reason = "store_unavailable"


class RowsRefused(StoreError):
    """The database will never take these rows: keep them in quarantine."""

    reason = "rows_refused"


class SchemaMismatch(StoreError):
    """The schema is not the one this version writes: migrate, then start again."""

    reason = "schema_mismatch"


class PositionMoved(StoreError):
    """The journal's position in the database is not where this drain left it."""

    reason = "position_moved"


class MarkError(Hj212Error):
    """A mark cannot be declared or changed as asked; nothing was written."""

    reason = "mark"


class EvidenceError(Hj212Error):
    """Evidence cannot be made of what was asked for, or a file is no evidence."""

    reason = "evidence"
