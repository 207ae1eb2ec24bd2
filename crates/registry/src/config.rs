//! Where the registry is, and how long it may take.

use std::fmt;

/// The options of a [`Registry`](crate::Registry). Units are in the names.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// The address under which `/subjects` lies.
    pub url: String,
    /// The user, where the registry wants one.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// How long one request may take, connecting included.
    pub timeout_ms: u64,
    /// Goes before the name of every topic, and so of every subject.
    pub topic_prefix: String,
    /// How long the registry's word that it has no such id is believed.
    pub absent_ttl_ms: u64,
    /// The most memory for what the registry said, in bytes.
    pub cache_bytes: u64,
}

impl RegistryConfig {
    /// The registry at this address, without a user.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
            timeout_ms: 5_000,
            topic_prefix: String::new(),
            absent_ttl_ms: 10_000,
            cache_bytes: 8 << 20,
        }
    }
}

/// Without the password.
impl fmt::Debug for RegistryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, user, password, timeout_ms, topic_prefix, absent_ttl_ms, cache_bytes } = self;
        f.debug_struct("RegistryConfig")
            .field("url", url)
            .field("user", user)
            .field("password", &password.as_ref().map(|_| "***"))
            .field("timeout_ms", timeout_ms)
            .field("topic_prefix", topic_prefix)
            .field("absent_ttl_ms", absent_ttl_ms)
            .field("cache_bytes", cache_bytes)
            .finish()
    }
}
