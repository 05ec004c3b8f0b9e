-- Purpose: hours of files that came more than once with the same arrival, where no key forbids it. Up to 10,000.
SELECT outlet, factor, hour_at, arrived_at FROM hj212.upstream_hours
GROUP BY outlet, factor, hour_at, arrived_at HAVING count(*) > 1 LIMIT 10000
