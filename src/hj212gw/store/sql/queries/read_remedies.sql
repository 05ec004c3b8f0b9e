-- Purpose: what can be done about a lost hour while its stage is open, in Chinese, as v_lost_hours says it.
-- Parameters: $1 stages, $2 states.
SELECT stage, state, is_dry, hj212.remedy_zh_of(stage, state, is_dry) AS remedy
FROM unnest($1::text[]) AS s (stage)
CROSS JOIN unnest($2::text[]) AS t (state)
CROSS JOIN (VALUES (false), (true)) AS d (is_dry)
