-- Purpose: a chain of digests over the raw archive, a link a day of arrival (UTC+8), so that a row that was changed,
-- removed or added afterwards is noticed. A day's rows are in three parts: packets whose QN lies near their arrival,
-- strays whose QN does not (they fall to retention at another time), and rejects.

-- What each journal wrote; counted in the transaction that stores the rows.
CREATE TABLE hj212.archive_days (
    day date NOT NULL,
    journal uuid NOT NULL,
    packets bigint NOT NULL DEFAULT 0,
    strays bigint NOT NULL DEFAULT 0,
    rejects bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (day, journal)
) WITH (fillfactor = 50);
COMMENT ON TABLE hj212.archive_days IS 'rows written to packets and rejects by day of arrival, for the daily digests';
COMMENT ON COLUMN hj212.archive_days.day IS 'day of arrival in UTC+8';
COMMENT ON COLUMN hj212.archive_days.journal IS 'all zeros: what was there before days were counted';
COMMENT ON COLUMN hj212.archive_days.strays IS 'packets whose qn_at is over a day before or after the day';

CREATE TABLE hj212.day_digests (
    seq bigint PRIMARY KEY CHECK (seq > 0),
    day date NOT NULL,
    part text NOT NULL CHECK (part IN ('packets', 'strays', 'rejects')),
    rows bigint NOT NULL,
    written bigint NOT NULL,
    oldest_qn_at timestamptz,
    digest bytea NOT NULL,
    previous bytea NOT NULL,
    chained bytea NOT NULL UNIQUE,
    sealed_at timestamptz NOT NULL
);
CREATE INDEX day_digests_day ON hj212.day_digests (day, part, seq);
COMMENT ON TABLE hj212.day_digests IS
    'sealed days, only ever added to; the newest entry of a day and part counts, older ones stay';
COMMENT ON COLUMN hj212.day_digests.seq IS 'without gaps: one that is missing was taken out';
COMMENT ON COLUMN hj212.day_digests.rows IS 'rows the digest covers';
COMMENT ON COLUMN hj212.day_digests.written IS 'rows the journals had written by then; more than rows: some were gone';
COMMENT ON COLUMN hj212.day_digests.oldest_qn_at IS 'of the part''s packets: from when on retention can drop some';
COMMENT ON COLUMN hj212.day_digests.digest IS
    'SHA-256 over the part''s minutes: for each that has rows its number in the day (4 bytes), rows (8), and SHA-256 of the'
    ' rows'' fingerprints in ascending order. state and warnings are not covered: they may change when a packet is released';
COMMENT ON COLUMN hj212.day_digests.chained IS
    'SHA-256 of the text previous, day, part, rows, written, oldest_qn_at (2026-03-01T04:00:05.000000Z or nothing), digest,'
    ' each ended by a line feed; bytes as hexadecimal digits';
COMMENT ON COLUMN hj212.day_digests.previous IS 'chained of the entry before; zeros for the first';
COMMENT ON COLUMN hj212.day_digests.sealed_at IS 'not covered by the chain, so that a restored database comes to the same one';

-- The fingerprint of a packet: what is evidence of it and never changes. Each text with its length in front.
-- STABLE, not IMMUTABLE, because convert_to is: only then it is inlined.
CREATE FUNCTION hj212.packet_fingerprint(
    received_at timestamptz, peer text, key_id text, mn text, cn text, qn text, raw bytea
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT sha256(timestamptz_send(received_at)
        || int4send(octet_length(peer)) || convert_to(peer, 'UTF8')
        || int4send(octet_length(coalesce(key_id, ''))) || convert_to(coalesce(key_id, ''), 'UTF8')
        || int4send(octet_length(mn)) || convert_to(mn, 'UTF8')
        || int4send(octet_length(cn)) || convert_to(cn, 'UTF8')
        || int4send(octet_length(coalesce(qn, ''))) || convert_to(coalesce(qn, ''), 'UTF8')
        || raw)
$$;

CREATE FUNCTION hj212.reject_fingerprint(received_at timestamptz, peer text, reason text, detail text, raw bytea)
RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT sha256(timestamptz_send(received_at)
        || int4send(octet_length(peer)) || convert_to(peer, 'UTF8')
        || int4send(octet_length(reason)) || convert_to(reason, 'UTF8')
        || int4send(octet_length(detail)) || convert_to(detail, 'UTF8')
        || raw)
$$;

-- The day of arrival in UTC+8.
CREATE FUNCTION hj212.local_day(moment timestamptz) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (moment AT TIME ZONE interval '08:00')::date
$$;

-- A gateway of the version before does not count what it writes: it waits, and then refuses this schema.
LOCK TABLE hj212.packets, hj212.rejects IN SHARE MODE;
INSERT INTO hj212.archive_days (day, journal, packets, strays, rejects)
SELECT day, '00000000-0000-0000-0000-000000000000', sum(packets), sum(strays), sum(rejects) FROM (
    SELECT day, count(*) FILTER (WHERE NOT is_stray) AS packets, count(*) FILTER (WHERE is_stray) AS strays, 0 AS rejects
    FROM (
        SELECT hj212.local_day(received_at) AS day,
               hj212.local_day(qn_at) NOT BETWEEN hj212.local_day(received_at) - 1 AND hj212.local_day(received_at) + 1
                   AS is_stray
        FROM hj212.packets
    ) AS p GROUP BY day
    UNION ALL
    SELECT hj212.local_day(received_at), 0, 0, count(*) FROM hj212.rejects GROUP BY 1
) AS counted GROUP BY day;

CREATE VIEW hj212.v_day_digests AS
SELECT d.seq, d.day, d.part, d.rows, d.written, encode(d.digest, 'hex') AS digest, encode(d.chained, 'hex') AS chained,
       d.sealed_at, NOT EXISTS (
           SELECT FROM hj212.day_digests n WHERE n.day = d.day AND n.part = d.part AND n.seq > d.seq) AS is_newest
FROM hj212.day_digests d;
COMMENT ON VIEW hj212.v_day_digests IS
    'the chain over the raw archive, by day of arrival (UTC+8) and part; hj212gw db verify checks it';

GRANT SELECT ON hj212.v_day_digests TO hj212_analyst, hj212_gateway, hj212_aggregator;
GRANT SELECT, INSERT, UPDATE ON hj212.archive_days TO hj212_gateway;
GRANT SELECT, INSERT ON hj212.day_digests TO hj212_gateway;
GRANT SELECT ON hj212.archive_days, hj212.day_digests TO hj212_aggregator;
GRANT ALL ON hj212.archive_days, hj212.day_digests, hj212.v_day_digests TO hj212_owner;
GRANT EXECUTE ON FUNCTION hj212.local_day TO PUBLIC;
