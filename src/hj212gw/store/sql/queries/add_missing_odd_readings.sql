-- Purpose: readings with an impossible DataTime that are not there yet, out of the staged ones.
-- Index: odd_readings_logger.
INSERT INTO hj212.odd_readings
SELECT s.* FROM staged_odd_readings s
WHERE NOT EXISTS (SELECT FROM hj212.odd_readings o
    WHERE o.logger_id = s.logger_id AND o.received_at = s.received_at AND o.cn = s.cn AND o.st = s.st
      AND o.factor = s.factor AND o.nth = s.nth AND o.qn IS NOT DISTINCT FROM s.qn
      AND o.data_time_text = s.data_time_text)
