-- Purpose: what time alone makes stale since the last look: hours that are over, vouchers that are late.
-- Parameters: $1 now, $2 rules as JSON: other ones make everything stale.
WITH before AS (
    SELECT passed_at, rules FROM hj212.assessment_state  -- not locked: rows this statement updates would be left out
), noted AS (
    INSERT INTO hj212.stale_days (outlet, first_day, last_day, reason)
    SELECT NULL, hj212.local_day(b.passed_at - interval '1 hour'), hj212.local_day($1), 'an hour is over' FROM before b
    WHERE date_trunc('hour', b.passed_at) < date_trunc('hour', $1::timestamptz)
    UNION ALL
    SELECT NULL, '1990-01-01', '2199-01-01', CASE WHEN b.rules IS NULL THEN 'first look' ELSE 'settings changed' END
    FROM before b WHERE b.rules IS DISTINCT FROM $2::jsonb
    UNION ALL
    SELECT m.outlet, hj212.local_day(m.from_at), coalesce(hj212.local_day(m.to_at), '2199-01-01'),
           'voucher of mark ' || m.mark_id || ' is not there'
    FROM hj212.standing_marks m CROSS JOIN before b
    WHERE m.voucher_due > b.passed_at AND m.voucher_due <= $1 AND m.proof_at IS NULL
)
UPDATE hj212.assessment_state SET passed_at = $1, rules = $2::jsonb
