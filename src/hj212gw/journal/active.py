"""The segment that groups are appended to; used by the writer's thread only, once it runs."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import Final

from hj212gw.journal.records import Record, Row, checksum, encode_group
from hj212gw.journal.segments import INSERT, PAGE_BYTES, SegmentInfo, open_to_read, open_to_write, size_of

_MOST_LOG_BYTES: Final = 4 * 1024 * 1024
_PAGES_BESIDE_BODY: Final = 3


class ActiveSegment:
    """Appends groups, one transaction and so one fsync each."""

    def __init__(self, info: SegmentInfo, segment_bytes: int) -> None:
        """Open a segment for appending.

        Args:
            info: the segment and what it holds.
            segment_bytes: size at which it is to be sealed; its log stays under a quarter of it, and under 4 MiB.
        """
        self.info = info
        self._connection = open_to_write(info.path)
        self._most_log_bytes = min(_MOST_LOG_BYTES, segment_bytes // 4)
        self._log_bytes = 0

    def append(self, records: Sequence[Record], reject_bytes: int) -> SegmentInfo:
        """Make records durable as the next group; return what the segment holds now."""
        info = self.info
        body = encode_group(records)
        row = Row(
            seq=info.last_seq + 1,
            oldest_us=records[0].received_at_us,
            newest_us=records[-1].received_at_us,
            records=len(records),
            records_total=info.records + len(records),
            bytes_total=info.byte_count + len(body),
            rejects_total=info.reject_bytes + reject_bytes,
            crc=0,
            body=body,
        )
        self._connection.execute(INSERT, row._replace(crc=checksum(row)))
        self._log_bytes += len(body) + _PAGES_BESIDE_BODY * PAGE_BYTES
        self.info = replace(
            info,
            last_seq=row.seq,
            records=row.records_total,
            byte_count=row.bytes_total,
            reject_bytes=row.rejects_total,
            oldest_us=info.oldest_us if info.records else row.oldest_us,
            newest_us=row.newest_us,
            file_bytes=size_of(info.path),
        )
        return self.info

    def checkpoint(self) -> None:
        """Move what the log holds into the file, if that is much.

        A statement of its own rather than SQLite's automatic one, which ignores a failed fsync and tries it again
        the next time, when the kernel has already forgotten the pages it could not write.
        """
        if self._log_bytes >= self._most_log_bytes:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._log_bytes = 0

    def seal(self) -> SegmentInfo:
        """Move everything into the file and empty the log; return what the segment holds for good."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return replace(self.info, file_bytes=size_of(self.info.path))

    def close(self) -> None:
        """Close the file; `seal` it first."""
        self._connection.close()

    def abandon(self) -> None:
        """Close the file without another write or fsync.

        SQLite checkpoints when the last connection closes, unless that one cannot write.
        """
        with closing(open_to_read(self.info.path)) as guard:
            with suppress(sqlite3.Error):
                guard.execute("SELECT 1 FROM about").fetchone()
            self._connection.close()
