-- Purpose: keep the gateway from registering a found data logger between reading and writing; readers go on.
-- Parameters: none. Index: none.
LOCK TABLE hj212.data_loggers IN SHARE ROW EXCLUSIVE MODE
