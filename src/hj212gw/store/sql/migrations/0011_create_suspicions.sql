-- Purpose: what makes one suspicious of who sends for an MN, and the networks its data logger is expected in.
-- Nothing is refused for it: the packets are acknowledged, stored and flagged.

CREATE TABLE hj212.suspicions (
    mn text COLLATE "C" NOT NULL,
    what text COLLATE "C" NOT NULL CHECK (what IN ('wrong_pw', 'foreign_peer', 'foreign_certificate', 'replayed_qn',
        'mn_conflict')),
    peer text COLLATE "C" NOT NULL,
    evidence text NOT NULL,
    times bigint NOT NULL CHECK (times > 0),
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    PRIMARY KEY (mn, what, peer)
);
COMMENT ON COLUMN hj212.suspicions.peer IS 'address without port, which differs with every connection';
COMMENT ON COLUMN hj212.suspicions.evidence IS 'of the last time, at most 200 characters, passwords masked';

CREATE TABLE hj212.networks (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mn text COLLATE "C" NOT NULL,
    network text COLLATE "C" NOT NULL CHECK (network::cidr IS NOT NULL),
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
COMMENT ON TABLE hj212.networks IS
    'networks a data logger is expected in, such as 10.1.0.0/16; packets from elsewhere are stored as foreign_peer';
CREATE UNIQUE INDEX networks_current ON hj212.networks (mn, network, valid_from) WHERE superseded_at IS NULL;
CREATE TRIGGER networks_changed AFTER INSERT OR UPDATE OR DELETE ON hj212.networks FOR EACH STATEMENT
    EXECUTE FUNCTION hj212.notify_registry();

CREATE VIEW hj212.v_suspicions AS
SELECT s.mn, d.outlet, s.what, s.peer, s.evidence, s.times, s.first_seen_at, s.last_seen_at
FROM hj212.suspicions s
LEFT JOIN LATERAL (
    SELECT c.outlet FROM hj212.current_data_loggers c WHERE c.mn = s.mn ORDER BY c.valid_from DESC LIMIT 1
) d ON true;
COMMENT ON VIEW hj212.v_suspicions IS
    'wrong PW, foreign peer or certificate, replayed QN, conflict: per MN and peer, how often and when';

-- A frame as it came is evidence: the gateway marks packets, it never changes what was sent.
REVOKE UPDATE ON hj212.packets FROM hj212_gateway;
GRANT UPDATE (state, warnings) ON hj212.packets TO hj212_gateway;

-- The aggregator needs who is watched, never the passwords.
REVOKE SELECT ON hj212.data_loggers, hj212.current_data_loggers FROM hj212_aggregator;
DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['data_loggers', 'current_data_loggers'] LOOP
        EXECUTE format('GRANT SELECT (row_id, mn, st, outlet, cns, rtd_interval_secs, min_interval_mins, factors, origin,'
            ' valid_from, valid_to, recorded_at, superseded_at, role) ON hj212.%I TO hj212_aggregator', relation);
    END LOOP;
END
$$;

GRANT SELECT ON hj212.v_suspicions TO hj212_analyst, hj212_gateway, hj212_aggregator;
GRANT SELECT, INSERT, UPDATE ON hj212.suspicions TO hj212_gateway;
GRANT SELECT ON hj212.networks TO hj212_gateway, hj212_aggregator;
GRANT SELECT ON hj212.suspicions TO hj212_aggregator;
GRANT ALL ON hj212.suspicions, hj212.v_suspicions, hj212.networks TO hj212_owner;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA hj212 TO hj212_owner;
