-- Purpose: marks as people read them, and what is due of them: hours to be marked before noon, vouchers before the
-- 10th, reviews before the closing (data-validity.md section 5, assessment.md section 5).

-- A file may say when a mark was recorded. What the database itself saw of it, and whose login it was, stands here.
ALTER TABLE hj212.marks
    ADD COLUMN entered_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN entered_by text NOT NULL DEFAULT session_user;
ALTER TABLE hj212.mark_events
    ADD COLUMN entered_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN entered_by text NOT NULL DEFAULT session_user;
COMMENT ON COLUMN hj212.marks.entered_at IS 'by the database''s clock; recorded_at is what the author or a file says';
COMMENT ON COLUMN hj212.marks.entered_by IS 'the login; author is the person''s name';

CREATE VIEW hj212.v_marks AS
SELECT s.mark_id, s.outlet, s.factor, s.kind, k.name_zh, s.effect, s.from_at, s.to_at, s.value, s.note, s.source,
       s.origin, s.author, s.recorded_at, s.state, s.decided_by, s.decided_at, s.voucher_due,
       encode(s.proof_sha256, 'hex') AS proof_sha256, s.proof_name, s.proof_at, m.entered_at
FROM hj212.standing_marks s
JOIN hj212.mark_kinds k USING (kind)
JOIN hj212.marks m USING (mark_id);
COMMENT ON VIEW hj212.v_marks IS 'what was declared of outlets'' hours, with state, author, reviewer, voucher and proof';
COMMENT ON COLUMN hj212.v_marks.to_at IS 'exclusive; NULL: it runs on';
COMMENT ON COLUMN hj212.v_marks.voucher_due IS 'the proof has to be there before, else the mark lapses; NULL: none is needed';
COMMENT ON COLUMN hj212.v_marks.entered_at IS 'when the database got it; recorded_at may be a file''s word';

-- The hours of a mask by name, as 03 04 07.
CREATE FUNCTION hj212.show_hours(mask integer) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(string_agg(to_char(hour, 'FM00'), ' ' ORDER BY hour), '')
    FROM generate_series(0, 23) AS h (hour) WHERE mask & (1 << hour) <> 0
$$;

-- What is due at a moment, which may be a simulated one: v_due gives that of the real clock. It runs with its owner's
-- rights, for analysts read no tables.
CREATE FUNCTION hj212.due_at(moment timestamptz) RETURNS TABLE (
    what text, outlet text, factor text, day date, hours integer, mark_id bigint, due_at timestamptz, is_missed boolean,
    text text
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    -- Hours lost so far, of days whose marks are made until the next noon.
    SELECT 'mark', a.outlet, a.factor, a.day, hj212.hour_count(x.lost), NULL::bigint, x.noon, false,
           concat_ws('; ', CASE WHEN x.missing <> 0 THEN 'nothing came for ' || hj212.show_hours(x.missing)
                || ': ask for it again, or mark a stop, a standard-sample check or a loss that is not the enterprise''s fault'
                END, CASE WHEN x.bad <> 0 THEN 'not valid by flag or mark ' || hj212.show_hours(x.bad)
                || ': mark a stop or a standard-sample check where it was one, or have values corrected' END)
    FROM hj212.assessed_days a
    CROSS JOIN LATERAL (SELECT a.due & ~a.valid AS lost, a.due & ~a.valid & ~a.got AS missing,
        a.due & ~a.valid & a.got AS bad, hj212.day_start(a.day + 1) + interval '12 hours' AS noon) x
    WHERE a.stage = 'immediate' AND x.lost <> 0
      -- the days whose next noon is still ahead: today, and yesterday before noon
      AND a.day BETWEEN hj212.local_day(moment) - 1 AND hj212.local_day(moment) AND x.noon >= moment
    UNION ALL
    SELECT 'voucher', m.outlet, m.factor, hj212.local_day(m.from_at), NULL, m.mark_id, m.voucher_due,
           m.voucher_due <= moment,
           m.kind || CASE WHEN m.voucher_due <= moment THEN ' lapsed for want of a voucher: what was sent stands again'
                          ELSE ' needs a voucher: hj212gw mark prove ' || m.mark_id || ' FILE' END
    FROM hj212.standing_marks m
    WHERE m.origin = 'local' AND m.state NOT IN ('rejected', 'void') AND m.recorded_at <= moment
      AND m.voucher_due IS NOT NULL AND (m.proof_at IS NULL OR m.proof_at > moment OR m.proof_at >= m.voucher_due)
    UNION ALL
    SELECT 'review', m.outlet, m.factor, hj212.local_day(m.from_at), NULL, m.mark_id, x.closing, x.closing <= moment,
           m.kind || ' of ' || m.author || ' is not reviewed'
               || CASE WHEN m.effect = 'manual' THEN ' and does not count before it is accepted' ELSE '' END
    FROM hj212.standing_marks m
    CROSS JOIN LATERAL (SELECT hj212.day_start(hj212.local_day(m.from_at) + 11) AS closing) x
    WHERE m.origin = 'local' AND m.state = 'declared' AND m.source <> 'national' AND m.recorded_at <= moment
    ORDER BY 7, 1, 2, 3
$$;
COMMENT ON FUNCTION hj212.due_at IS 'rows of v_due at a moment, for trials with a simulated clock and for looking ahead';

CREATE VIEW hj212.v_due AS SELECT * FROM hj212.due_at(now());
COMMENT ON VIEW hj212.v_due IS 'what has to be done about lost hours and marks, and until when; what: mark, voucher, review';
COMMENT ON COLUMN hj212.v_due.hours IS 'how many are lost so far';
COMMENT ON COLUMN hj212.v_due.due_at IS
    'mark: noon of the next day; voucher: the end of the 10th of the next month; review: the closing, the end of day + 10';

GRANT SELECT ON hj212.v_marks, hj212.v_due TO hj212_analyst, hj212_gateway, hj212_aggregator, hj212_owner;
-- What was declared, and what became of it, is added to and never changed.
REVOKE UPDATE, DELETE, TRUNCATE ON hj212.marks, hj212.mark_events FROM hj212_owner;
