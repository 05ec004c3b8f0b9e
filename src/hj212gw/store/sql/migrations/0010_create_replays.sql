-- Purpose: runs that derive readings again from the raw archive, so that one that was cut off goes on where it was.

CREATE TABLE hj212.replays (
    replay_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL CHECK (to_at > from_at),
    mn text COLLATE "C",
    position_at timestamptz NOT NULL,
    position_digest bytea NOT NULL DEFAULT '',
    packets bigint NOT NULL DEFAULT 0,
    written bigint NOT NULL DEFAULT 0,
    replaced bigint NOT NULL DEFAULT 0,
    restored bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
COMMENT ON TABLE hj212.replays IS 'runs of hj212gw replay; from_at to to_at is a range of arrivals';
COMMENT ON COLUMN hj212.replays.mn IS 'the one data logger that is replayed; NULL: all';
COMMENT ON COLUMN hj212.replays.position_at IS 'arrival and digest of the last packet that was derived again';
COMMENT ON COLUMN hj212.replays.written IS 'readings that were not there before';
COMMENT ON COLUMN hj212.replays.replaced IS 'values that changed; the old ones are in the history';
COMMENT ON COLUMN hj212.replays.restored IS 'quarantined packets that gave readings now';
COMMENT ON COLUMN hj212.replays.skipped IS 'packets kept apart that stay so: unregistered, conflicts, refused again';
CREATE UNIQUE INDEX replays_open ON hj212.replays (from_at, to_at, coalesce(mn, '')) WHERE finished_at IS NULL;

GRANT SELECT, INSERT, UPDATE ON hj212.replays TO hj212_gateway;
GRANT SELECT ON hj212.replays TO hj212_aggregator;
GRANT ALL ON hj212.replays TO hj212_owner;
