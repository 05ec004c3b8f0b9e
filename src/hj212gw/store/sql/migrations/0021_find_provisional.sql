-- Figures become final at every look of the aggregator: of years of figures it looks at those that are not yet.

CREATE INDEX rate_counts_provisional ON hj212.rate_counts (stage, period_start) WHERE replaced_at IS NULL AND provisional;
