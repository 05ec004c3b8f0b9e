-- Purpose: what time alone makes stale since the last look: hours that are over, and of marks whose vouchers are not there
-- the days they have in months whose vouchers had to be there in between.
-- Parameters: $1 now, $2 rules as JSON: other ones make everything stale.
WITH before AS (
    SELECT passed_at, rules FROM hj212.assessment_state  -- not locked: rows this statement updates would be left out
), late AS (
    SELECT g.month::date AS month FROM before b
    CROSS JOIN generate_series(date_trunc('month', hj212.local_day(b.passed_at)::timestamp) - interval '2 months',
                               date_trunc('month', hj212.local_day($1)::timestamp), interval '1 month') AS g (month)
    WHERE hj212.voucher_end(g.month::date) > b.passed_at AND hj212.voucher_end(g.month::date) <= $1
), noted AS (
    INSERT INTO hj212.stale_days (outlet, first_day, last_day, reason)
    SELECT NULL, hj212.local_day(b.passed_at - interval '1 hour'), hj212.local_day($1), 'an hour is over' FROM before b
    WHERE date_trunc('hour', b.passed_at) < date_trunc('hour', $1::timestamptz)
    UNION ALL
    SELECT NULL, '1990-01-01', '2199-01-01', CASE WHEN b.rules IS NULL THEN 'first look' ELSE 'settings changed' END
    FROM before b WHERE b.rules IS DISTINCT FROM $2::jsonb
    UNION ALL
    SELECT m.outlet, greatest(hj212.local_day(m.from_at), l.month),
           least(hj212.local_day(m.to_at - interval '1 us'), hj212.period_end('month', l.month) - 1),
           'voucher of mark ' || m.mark_id || ' is not there'
    FROM late l CROSS JOIN LATERAL (
        SELECT s.mark_id, s.outlet, s.from_at, s.to_at FROM hj212.standing_marks s
        WHERE s.from_at < hj212.day_start(hj212.period_end('month', l.month))
          AND (s.to_at IS NULL OR s.to_at > hj212.day_start(l.month))
          AND s.voucher_due IS NOT NULL AND s.origin = 'local' AND s.state NOT IN ('rejected', 'void')
          AND (s.proof_at IS NULL OR s.proof_at >= hj212.voucher_end(l.month))
        OFFSET 0  -- most looks have no such month, and then no mark is read
    ) m WHERE $2::jsonb ->> 'vouchers' = 'required'
)
UPDATE hj212.assessment_state SET passed_at = $1, rules = $2::jsonb
