-- Purpose: drop what is older than a moment. Parameters: $1 table, $2 the moment.
SELECT hj212.drop_partitions($1, $2)
