-- Purpose: where no group is due there is no rate at all, also where values are (not_responsible = validity), as the
-- program computes it.

CREATE OR REPLACE VIEW hj212.v_rate_versions AS
SELECT c.period, c.period_start, c.level, c.id,
       CASE c.level WHEN 'outlet' THEN (SELECT o.name FROM hj212.current_outlets o WHERE o.outlet = c.id
                                        ORDER BY o.valid_from DESC LIMIT 1)
                    WHEN 'enterprise' THEN (SELECT e.name FROM hj212.current_enterprises e WHERE e.enterprise = c.id
                                            ORDER BY e.valid_from DESC LIMIT 1)
                    ELSE c.id END AS name,
       c.stage, p.policy, c.expected_values, c.reported_values, c.expected_groups, c.groups_not_taking_part,
       c.groups_received, c.valid_groups,
       CASE WHEN p.t_unit <> 'none' THEN (t.over / t.under)::double precision END AS transmission,
       (v.over / v.under)::double precision AS validity,
       (e.over / e.under)::double precision AS effective,
       e.over * 100 >= e.under * p.threshold AS passed,
       c.provisional, c.computed_at, c.replaced_at, c.reason, p.threshold,
       CASE WHEN c.expected_groups > 0 THEN NULL WHEN c.groups_not_taking_part > 0 THEN 'stopped or excused all the time'
            ELSE 'nothing is due' END AS no_rate_reason
FROM hj212.rate_counts c
JOIN hj212.policies p ON p.basis = c.basis AND c.period = ANY (p.periods)
CROSS JOIN LATERAL (SELECT
    CASE p.t_unit WHEN 'value' THEN c.reported_values WHEN 'group' THEN c.groups_received ELSE 1 END::numeric AS over,
    CASE WHEN c.expected_groups > 0 THEN nullif(CASE p.t_unit WHEN 'value' THEN c.expected_values ELSE c.expected_groups END,
                                                0)::numeric END AS under) t
CROSS JOIN LATERAL (SELECT
    CASE WHEN p.v_denominator = 'none' THEN c.expected_groups ELSE c.valid_groups END::numeric AS over,
    nullif(CASE WHEN p.v_denominator = 'received' AND c.groups_received > 0 THEN c.groups_received
                ELSE c.expected_groups END, 0)::numeric AS under) v
CROSS JOIN LATERAL (SELECT
    CASE p.combine WHEN 'product' THEN t.over * v.over WHEN 'single' THEN c.valid_groups ELSE t.over END AS over,
    CASE p.combine WHEN 'product' THEN t.under * v.under WHEN 'single' THEN nullif(c.expected_groups, 0)
                   ELSE t.under END AS under) e;
