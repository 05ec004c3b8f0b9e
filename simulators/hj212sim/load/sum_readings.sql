-- Purpose: the readings of a load run, summed up a data logger.
-- Parameters: $1 MNs, $2 and $3 bounds of DataTime, $4 the first DataTime, $5 codes of the factors,
--   $6 and $7 MN and DataTime of packets left out of account.
-- A packet is whole when it has each factor once: as many rows as factors, whose powers of two sum up to all ones.
WITH packets AS (
    SELECT r.mn, r.cn, r.data_time, count(*) AS readings,
           (extract(epoch FROM r.data_time) - extract(epoch FROM $4::timestamptz))::bigint AS step,
           coalesce(sum(2::numeric ^ (array_position($5::text[], r.factor) - 1)), 0) AS factors,
           round(sum(coalesce(r.rtd, r.avg))::numeric * 1000) AS millis
    FROM hj212.v_readings r
    WHERE r.mn = ANY ($1::text[]) AND r.data_time >= $2 AND r.data_time < $3
      AND NOT EXISTS (SELECT FROM unnest($6::text[], $7::timestamptz[]) AS u (mn, data_time)
                      WHERE u.mn = r.mn AND u.data_time = r.data_time)
    GROUP BY r.mn, r.cn, r.data_time
)
SELECT mn, sum(readings)::bigint AS readings,
       count(*) FILTER (WHERE readings = cardinality($5::text[])
                        AND factors = 2::numeric ^ cardinality($5::text[]) - 1) AS whole,
       sum(step)::text AS steps, sum((step + 1) * millis)::text AS weight
FROM packets GROUP BY mn
