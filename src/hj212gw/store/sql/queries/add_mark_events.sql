-- Purpose: add what became of marks.
-- Parameters: an array a column, as long as each other; $6 SHA-256 in hexadecimal. Index: none.
INSERT INTO hj212.mark_events (mark_id, event, by_whom, at, to_at, proof_sha256, proof_name, note)
SELECT mark_id, event, by_whom, at, to_at, decode(proof_sha256, 'hex'), proof_name, note
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[], $8::text[])
    WITH ORDINALITY AS given (mark_id, event, by_whom, at, to_at, proof_sha256, proof_name, note, nth)
ORDER BY nth
