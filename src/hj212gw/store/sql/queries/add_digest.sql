-- Purpose: one more entry of the chain. Parameters: its columns in order. Index: primary key.
INSERT INTO hj212.day_digests
    (seq, day, part, rows, written, oldest_qn_at, digest, previous, chained, sealed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
