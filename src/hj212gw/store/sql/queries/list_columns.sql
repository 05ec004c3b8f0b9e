-- Purpose: the columns of a table of ours, none where it does not exist. Parameters: $1 its name with the schema.
SELECT attname::text FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
