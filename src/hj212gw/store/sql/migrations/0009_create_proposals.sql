-- Purpose: what the gateway would set or have mended, for a person to decide. It never sets anything itself.

CREATE TABLE hj212.proposals (
    mn text COLLATE "C" NOT NULL,
    st text COLLATE "C" NOT NULL,
    cn text COLLATE "C" NOT NULL,
    what text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    times bigint NOT NULL CHECK (times > 0),
    evidence text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'dismissed')),
    decided_at timestamptz,
    decided_by text,
    PRIMARY KEY (mn, st, cn, what, value),
    CHECK ((state = 'open') = (decided_at IS NULL))
);
COMMENT ON COLUMN hj212.proposals.mn IS 'data logger as sent; empty where the bytes name none';
COMMENT ON COLUMN hj212.proposals.st IS 'empty: it is the same for every ST, as an empty cn is for every CN';
COMMENT ON COLUMN hj212.proposals.what IS
    'dialect, time_label, unit, rename: a setting; key, clock, register, repair: done elsewhere, never by a row';
COMMENT ON COLUMN hj212.proposals.times IS 'how often it was seen; a decided one keeps counting';
COMMENT ON COLUMN hj212.proposals.evidence IS 'of the last time, at most 200 characters, passwords masked';

-- An open proposal that the registry answers already counts as accepted: rows also come by files.
CREATE VIEW hj212.v_proposals AS
SELECT p.mn, p.st, p.cn, d.outlet, p.what, p.value, p.evidence, p.times, p.first_seen_at, p.last_seen_at,
       CASE WHEN p.state <> 'open' THEN p.state
            WHEN p.what IN ('unit', 'rename') AND EXISTS (
                SELECT FROM hj212.units u WHERE u.superseded_at IS NULL AND u.valid_to IS NULL
                    AND u.mn = p.mn AND u.code = split_part(p.value, ' ', 1)) THEN 'accepted'
            WHEN p.what = 'time_label' AND EXISTS (
                SELECT FROM hj212.time_labels t WHERE t.superseded_at IS NULL AND t.valid_to IS NULL
                    AND t.mn = p.mn AND t.cn = p.cn AND t.st IN (p.st, '') AND t.label = p.value) THEN 'accepted'
            WHEN p.what = 'register' AND d.origin = 'registry' THEN 'accepted'
            ELSE p.state END AS state
FROM hj212.proposals p
LEFT JOIN LATERAL (
    SELECT c.outlet, c.origin FROM hj212.current_data_loggers c WHERE c.mn = p.mn ORDER BY c.valid_from DESC LIMIT 1
) d ON true;
COMMENT ON VIEW hj212.v_proposals IS
    'settings the gateway proposes for a data logger, or a fault of it that no setting helps; state: open, accepted, dismissed';

GRANT SELECT ON hj212.v_proposals TO hj212_analyst, hj212_gateway, hj212_aggregator;
GRANT SELECT, INSERT, UPDATE ON hj212.proposals TO hj212_gateway;
GRANT SELECT ON hj212.proposals TO hj212_aggregator;
GRANT ALL ON hj212.proposals, hj212.v_proposals TO hj212_owner;
