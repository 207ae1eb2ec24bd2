//! What every process of Sporelog shares: configuration, logs, metrics, health, HTTP and lifecycle.

pub mod config;
pub mod health;
pub mod http;
pub mod lifecycle;
pub mod metrics;
pub mod observe;
pub mod telemetry;
pub mod topics;
