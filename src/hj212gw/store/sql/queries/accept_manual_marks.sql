-- Purpose: manual values of files stand accepted: there is nobody else to accept them.
-- Parameter: $1 by whom.
INSERT INTO hj212.mark_events (mark_id, event, by_whom, at)
SELECT m.mark_id, 'accepted', $1, m.recorded_at FROM hj212.marks m JOIN hj212.mark_kinds k USING (kind)
WHERE k.effect = 'manual' ORDER BY m.mark_id
