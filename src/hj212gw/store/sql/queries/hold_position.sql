-- Purpose: keep others from moving a journal's position; no row comes back when somebody moved it already.
-- Parameters: $1 journal, $2 position it must be at. Index: primary key.
SELECT position FROM hj212.journals WHERE journal = $1 AND position = $2 FOR UPDATE
