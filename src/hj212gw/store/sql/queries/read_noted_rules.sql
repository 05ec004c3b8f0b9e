-- Purpose: the settings the aggregator works by, as it noted them; NULL where none ever looked.
SELECT rules FROM hj212.assessment_state
