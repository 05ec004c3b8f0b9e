-- Purpose: the national platform's marks lapse for want of nothing, since they are read-only and cannot be proved here; and
-- what is due goes by the settings the aggregator works by.

-- Days that such a mark lost are computed again.
INSERT INTO hj212.stale_days (outlet, first_day, last_day, reason)
SELECT m.outlet, hj212.local_day(m.from_at), coalesce(hj212.local_day(m.to_at), '2199-01-01'),
       'mark ' || m.mark_id || ' is national'
FROM hj212.standing_marks m
WHERE m.source = 'national' AND m.origin = 'local' AND m.voucher_due IS NOT NULL AND m.state NOT IN ('rejected', 'void');

-- Marks as they stand: with their end, state and voucher. What a higher platform recorded comes without vouchers, too;
-- whether those lapse is asked when its figures are compared.
CREATE OR REPLACE VIEW hj212.standing_marks AS
SELECT m.mark_id, m.outlet, m.factor, m.kind, k.effect, m.from_at, coalesce(e.to_at, m.to_at) AS to_at, m.value, m.note,
       m.source, m.origin, m.author, m.recorded_at, coalesce(s.event, 'declared') AS state, s.at AS decided_at,
       s.by_whom AS decided_by, p.proof_sha256, p.proof_name, p.at AS proof_at,
       CASE WHEN k.needs_voucher AND NOT (m.source = 'national' AND m.origin = 'local') THEN
           hj212.day_start((date_trunc('month', hj212.local_day(m.from_at)::timestamp) + interval '1 month 10 days')::date)
       END AS voucher_due
FROM hj212.marks m
JOIN hj212.mark_kinds k USING (kind)
LEFT JOIN LATERAL (SELECT v.event, v.at, v.by_whom FROM hj212.mark_events v
    WHERE v.mark_id = m.mark_id AND v.event IN ('accepted', 'rejected', 'void') ORDER BY v.event_id DESC LIMIT 1) s ON true
LEFT JOIN LATERAL (SELECT v.to_at FROM hj212.mark_events v
    WHERE v.mark_id = m.mark_id AND v.event = 'ended' ORDER BY v.event_id DESC LIMIT 1) e ON true
LEFT JOIN LATERAL (SELECT v.proof_sha256, v.proof_name, v.at FROM hj212.mark_events v
    WHERE v.mark_id = m.mark_id AND v.event = 'proof' ORDER BY v.event_id LIMIT 1) p ON true;

-- What is due at a moment, as before; a stage takes data and marks up to its last moment, that one included.
CREATE OR REPLACE FUNCTION hj212.due_at(moment timestamptz) RETURNS TABLE (
    what text, outlet text, factor text, day date, hours integer, mark_id bigint, due_at timestamptz, is_missed boolean,
    text text
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    WITH noted AS (SELECT rules FROM hj212.assessment_state)
    SELECT 'mark', a.outlet, a.factor, a.day, hj212.hour_count(x.lost), NULL::bigint, x.closes_at, false,
           concat_ws('; ', CASE WHEN x.missing <> 0 THEN 'nothing came for ' || hj212.show_hours(x.missing)
                || ': ask for it again, or mark a stop, a standard-sample check or a loss that is not the enterprise''s fault'
                END, CASE WHEN x.bad <> 0 THEN 'not valid by flag or mark ' || hj212.show_hours(x.bad)
                || ': mark a stop or a standard-sample check where it was one, or have values corrected' END)
    FROM hj212.assessed_days a CROSS JOIN noted n
    CROSS JOIN LATERAL (SELECT a.due & ~a.valid AS lost, a.due & ~a.valid & ~a.got AS missing,
        a.due & ~a.valid & a.got AS bad, hj212.stage_end(a.day, a.stage, n.rules) AS closes_at) x
    WHERE a.stage = 'immediate' AND x.lost <> 0
      -- no immediate stage takes longer than ten days
      AND a.day BETWEEN hj212.local_day(moment) - 11 AND hj212.local_day(moment) AND x.closes_at >= moment
    UNION ALL
    SELECT 'voucher', m.outlet, m.factor, hj212.local_day(m.from_at), NULL, m.mark_id, m.voucher_due,
           m.voucher_due <= moment,
           m.kind || CASE WHEN m.voucher_due <= moment THEN ' lapsed for want of a voucher: what was sent stands again'
                          ELSE ' needs a voucher: hj212gw mark prove ' || m.mark_id || ' FILE' END
    FROM hj212.standing_marks m CROSS JOIN noted n
    WHERE m.origin = 'local' AND m.state NOT IN ('rejected', 'void') AND m.recorded_at <= moment
      AND n.rules ->> 'vouchers' IS DISTINCT FROM 'ignored' AND m.voucher_due > moment - interval '60 days'
      AND (m.proof_at IS NULL OR m.proof_at > moment OR m.proof_at >= m.voucher_due)
    UNION ALL
    SELECT 'review', m.outlet, m.factor, hj212.local_day(m.from_at), NULL, m.mark_id, x.closes_at, x.closes_at < moment,
           m.kind || ' of ' || m.author || ' is not reviewed'
               || CASE WHEN m.effect = 'manual' THEN ' and does not count before it is accepted' ELSE '' END
    FROM hj212.standing_marks m CROSS JOIN noted n
    CROSS JOIN LATERAL (SELECT hj212.stage_end(hj212.local_day(m.from_at), 'completed', n.rules) AS closes_at) x
    WHERE m.origin = 'local' AND m.state = 'declared' AND m.source <> 'national' AND m.recorded_at <= moment
      AND x.closes_at > moment - interval '60 days'
    ORDER BY 7, 1, 2, 3
$$;
COMMENT ON COLUMN hj212.v_due.due_at IS
    'mark: the immediate stage''s cut-off; voucher: the end of the 10th of the next month; review: the closing, the'
    ' completed stage''s cut-off. What was missed stays for 60 days';
