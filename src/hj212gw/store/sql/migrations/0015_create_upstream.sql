-- Purpose: rates as a higher platform recorded them, every version, and how far ours are from them.

CREATE TABLE hj212.upstream_rates (
    source text COLLATE "C" NOT NULL,
    outlet text COLLATE "C" NOT NULL,
    day date NOT NULL,
    stage text NOT NULL CHECK (stage IN ('immediate', 'completed')),
    transmission_pct numeric(5, 2) CHECK (transmission_pct BETWEEN 0 AND 100),
    validity_pct numeric(5, 2) CHECK (validity_pct BETWEEN 0 AND 100),
    effective_pct numeric(5, 2) CHECK (effective_pct BETWEEN 0 AND 100),
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (source, outlet, day, stage, recorded_at),
    CHECK (num_nonnulls(transmission_pct, validity_pct, effective_pct) > 0)
);
COMMENT ON TABLE hj212.upstream_rates IS 'percent as shown there; the version recorded last stands, none is overwritten';
COMMENT ON COLUMN hj212.upstream_rates.recorded_at IS 'when it was imported';

CREATE VIEW hj212.standing_upstream_rates AS
SELECT DISTINCT ON (source, outlet, day, stage) * FROM hj212.upstream_rates
ORDER BY source, outlet, day, stage, recorded_at DESC;

-- Whole hundredths of a percent are divided as whole numbers: a fraction as double may lie just below its truncation.
CREATE VIEW hj212.v_upstream_differences AS
SELECT u.outlet, u.day, u.stage, u.source, o.ours, u.effective_pct AS theirs, o.ours - u.effective_pct AS difference,
       o.computed_at, u.recorded_at
FROM hj212.standing_upstream_rates u
LEFT JOIN LATERAL (
    SELECT round(div(c.reported_values::numeric * c.valid_groups * 10000,
                     nullif(c.expected_values::numeric * c.expected_groups, 0)) / 100, 2) AS ours, c.computed_at
    FROM hj212.rate_counts c
    WHERE c.level = 'outlet' AND c.id = u.outlet AND c.period = 'day' AND c.period_start = u.day AND c.stage = u.stage
      AND c.basis = 'all' AND c.replaced_at IS NULL) AS o ON true;
COMMENT ON VIEW hj212.v_upstream_differences IS
    'our effective rates of outlets and days by national_platform_v2 beside those of a higher platform; percent, truncated';
COMMENT ON COLUMN hj212.v_upstream_differences.difference IS 'ours less theirs; NULL where either is not there';

GRANT SELECT ON hj212.v_upstream_differences TO hj212_analyst, hj212_gateway, hj212_aggregator, hj212_owner;
GRANT SELECT ON hj212.upstream_rates, hj212.standing_upstream_rates TO hj212_aggregator;
GRANT ALL ON hj212.upstream_rates, hj212.standing_upstream_rates TO hj212_owner;
