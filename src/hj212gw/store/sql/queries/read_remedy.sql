-- Purpose: what can be done about a lost hour while its stage is open. Parameters: $1 stage, $2 state, $3 no flow.
SELECT hj212.remedy_of($1, $2, $3)
