-- Purpose: whether the registry ever held an outlet. Parameters: $1 outlet. Sequential scan: a registry is small.
SELECT EXISTS (SELECT FROM hj212.outlets WHERE outlet = $1)
