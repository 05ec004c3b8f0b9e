-- Purpose: marks as they stand, with the end they were declared with, in the order they were entered.
-- Parameters, each NULL for any: $1 mark_id, $2 origin, $3 outlet, $4 state, $5 and $6 a range of time that they touch.
-- Index: marks_pkey for one, marks_outlet for an outlet's.
SELECT s.mark_id, s.outlet, s.factor, s.kind, s.from_at, s.to_at, m.to_at AS declared_to, s.value, s.note, s.source,
       s.origin, s.author, s.recorded_at, s.state, s.decided_by, s.decided_at, encode(s.proof_sha256, 'hex') AS proof_sha256,
       s.proof_name, s.proof_at, CASE WHEN s.origin = 'local' THEN s.voucher_due END AS voucher_due
FROM hj212.standing_marks s JOIN hj212.marks m USING (mark_id)
WHERE ($1::bigint IS NULL OR s.mark_id = $1) AND ($2::text IS NULL OR s.origin = $2)
  AND ($3::text IS NULL OR s.outlet = $3) AND ($4::text IS NULL OR s.state = $4)
  AND ($5::timestamptz IS NULL OR s.to_at IS NULL OR s.to_at > $5) AND ($6::timestamptz IS NULL OR s.from_at < $6)
ORDER BY s.mark_id
