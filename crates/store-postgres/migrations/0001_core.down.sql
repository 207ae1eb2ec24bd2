DROP FUNCTION ensure_month;
DROP FUNCTION store_by_month;
DROP FUNCTION hypertable_statements;
DROP FUNCTION now_us;
DROP FUNCTION or_bits;
DROP TABLE producer;
DROP TABLE position;
