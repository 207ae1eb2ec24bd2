//! Records in ScyllaDB or Cassandra.
