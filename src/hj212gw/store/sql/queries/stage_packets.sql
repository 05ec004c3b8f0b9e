-- Purpose: a session's staging table for packets.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_packets (LIKE hj212.packets) ON COMMIT DELETE ROWS
