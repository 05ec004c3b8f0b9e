-- Purpose: the columnstore takes what is older; tells why there is none, NULL where it is in force.
-- Parameters: $1 days.
SELECT hj212.apply_columnstore($1)
