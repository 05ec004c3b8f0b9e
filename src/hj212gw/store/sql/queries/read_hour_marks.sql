-- Purpose: marks that touch an hour of a factor of an outlet, with what became of each; vouchers as they are due for the hour.
-- Parameters: $1 outlet, $2 factor, $3 hour, $4 origin. Index: marks_outlet, mark_events_mark.
SELECT m.mark_id, m.factor, m.kind, k.name_zh, m.effect, m.from_at, m.to_at, m.value, m.note, m.source, m.author,
       m.recorded_at, m.state, m.decided_at, m.decided_by, m.proof_at, encode(m.proof_sha256, 'hex') AS proof_sha256,
       CASE WHEN m.voucher_due IS NOT NULL THEN hj212.voucher_end(hj212.local_day($3)) END AS voucher_due, coalesce((
           SELECT jsonb_agg(jsonb_build_object('event', v.event, 'by_whom', v.by_whom, 'at', v.at, 'note', v.note)
                            ORDER BY v.event_id)
           FROM hj212.mark_events v WHERE v.mark_id = m.mark_id), '[]')::text AS events
FROM hj212.standing_marks m JOIN hj212.mark_kinds k USING (kind)
WHERE m.outlet = $1 AND m.factor IN ($2, '*') AND m.origin = $4
  AND m.from_at < $3::timestamptz + interval '1 hour' AND (m.to_at IS NULL OR m.to_at > $3)
ORDER BY m.from_at, m.mark_id
