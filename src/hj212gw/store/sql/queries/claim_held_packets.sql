-- Purpose: packets kept apart whose data logger is registered now, oldest first.
-- Parameters: $1 the moment, $2 how many. Index: packets_apart; rows another drain holds are passed over.
SELECT p.qn_at, p.digest, p.received_at, p.mn, p.st, p.cn, p.qn, p.pnum, p.pno, p.flag, p.edition, p.peer,
       p.state, p.warnings, p.key_id, p.raw
FROM hj212.packets p
WHERE p.state = 'unregistered' AND p.mn IN (
    SELECT d.mn FROM hj212.current_data_loggers d
    WHERE d.valid_from <= $1 AND (d.valid_to IS NULL OR $1 < d.valid_to))
ORDER BY p.received_at LIMIT $2 FOR UPDATE OF p SKIP LOCKED
