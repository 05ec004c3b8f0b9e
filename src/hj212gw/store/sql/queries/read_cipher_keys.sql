-- Purpose: every key that is not superseded, in force or not: packets kept earlier must still be read.
-- Parameters: none. Sequential scan of the current rows, read once a change.
SELECT mn, key_id, secret, nullif(valid_from, '-infinity') AS valid_from, valid_to
FROM hj212.cipher_keys WHERE superseded_at IS NULL ORDER BY row_id
