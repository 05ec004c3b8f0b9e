-- Purpose: the voucher of a mark is due by days, each by the month it is in, as stages are frozen by them: a proof that is too
-- late for the month a mark begins in saves the days of the months after.

-- The moment before which the vouchers of a day's marks are due: the end of the 10th of the month after the day.
CREATE FUNCTION hj212.voucher_end(day date) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hj212.day_start((date_trunc('month', day::timestamp) + interval '1 month 10 days')::date)
$$;
COMMENT ON COLUMN hj212.standing_marks.voucher_due IS
    'before it the voucher (凭证) has to be there for all of the mark: voucher_end of its first day; NULL: none is needed';

CREATE OR REPLACE VIEW hj212.v_marks AS
SELECT s.mark_id, s.outlet, s.factor, s.kind, k.name_zh, s.effect, s.from_at, s.to_at, s.value, s.note, s.source,
       s.origin, s.author, s.recorded_at, s.state, s.decided_by, s.decided_at, CASE WHEN s.origin = 'local' THEN s.voucher_due END AS voucher_due,
       encode(s.proof_sha256, 'hex') AS proof_sha256, s.proof_name, s.proof_at, m.entered_at,
       CASE WHEN s.origin = 'local' AND s.voucher_due IS NOT NULL THEN hj212.voucher_end(hj212.local_day(s.to_at - interval '1 us'))
       END AS voucher_last_due
FROM hj212.standing_marks s
JOIN hj212.mark_kinds k USING (kind)
JOIN hj212.marks m USING (mark_id);
COMMENT ON COLUMN hj212.v_marks.voucher_due IS
    'the proof has to be there before for all of the mark to stand; each day lapses by the month it is in; NULL: none is needed';
COMMENT ON COLUMN hj212.v_marks.voucher_last_due IS
    'a proof after that saves no day any more; NULL: none is needed, or the mark runs on';

-- What is due at a moment, as before; a voucher by each month its mark touches: those missed, and the next that is not.
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
    SELECT 'voucher', m.outlet, m.factor, greatest(d.first_day, v.month::date), NULL, m.mark_id, v.ends_at,
           v.ends_at <= moment,
           m.kind || CASE WHEN v.ends_at <= moment THEN ' lapsed for want of a voucher'
                              || CASE WHEN v.first_month < v.last_month THEN to_char(v.month, '" on its days of "YYYY-MM')
                                      ELSE '' END || ': what was sent stands again'
                          ELSE ' needs a voucher: hj212gw mark prove ' || m.mark_id || ' FILE'
                              || CASE WHEN v.first_month < v.month THEN to_char(v.month, '"; it saves the days from "YYYY-MM-DD" on"')
                                      ELSE '' END END
    FROM hj212.standing_marks m CROSS JOIN noted n
    CROSS JOIN LATERAL (SELECT hj212.local_day(m.from_at) AS first_day, hj212.local_day(m.to_at - interval '1 us') AS last_day,
        date_trunc('month', hj212.local_day(moment)::timestamp) AS month) d
    CROSS JOIN LATERAL (SELECT f.first_month, f.last_month, month, hj212.voucher_end(month::date) AS ends_at
        FROM (SELECT date_trunc('month', d.first_day::timestamp) AS first_month,
                     date_trunc('month', coalesce(d.last_day::timestamp, 'infinity')) AS last_month) f
        -- no month before those has its voucher within the last 60 days
        CROSS JOIN generate_series(greatest(f.first_month, d.month - interval '4 months'),
            greatest(f.first_month, least(f.last_month, d.month)), interval '1 month') AS g (month)) v
    WHERE m.origin = 'local' AND m.state NOT IN ('rejected', 'void') AND m.recorded_at <= moment
      AND n.rules ->> 'vouchers' IS DISTINCT FROM 'ignored' AND m.voucher_due IS NOT NULL
      AND v.ends_at > moment - interval '60 days' AND (m.proof_at IS NULL OR m.proof_at > moment OR m.proof_at >= v.ends_at)
      AND (v.ends_at <= moment OR v.month = v.first_month
           OR hj212.voucher_end((v.month - interval '1 month')::date) <= moment)
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
    'mark: the immediate stage''s cut-off; voucher: the end of the 10th of the month after the days it is for; review: the'
    ' closing, the completed stage''s cut-off. What was missed stays for 60 days';
