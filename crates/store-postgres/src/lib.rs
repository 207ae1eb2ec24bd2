//! Views and series in Postgres, with TimescaleDB where it is there.
