//! A numbered migration of a store, up and down, as every store declares its own.

/// A reviewed change of a schema.
#[derive(Debug)]
pub struct Migration {
    /// From 1, without gaps.
    pub number: i32,
    /// The name of its file, which begins with its number.
    pub name: &'static str,
    /// The statements that make the change.
    pub up: &'static str,
    /// The statements that take it back.
    pub down: &'static str,
}

impl Migration {
    /// The hash of its text, kept beside its number: what was applied must not be edited afterwards.
    #[must_use]
    pub fn checksum(&self) -> String {
        blake3::hash(self.up.as_bytes()).to_hex().to_string()
    }
}

/// The migrations of the crate that names them, from the files in its folder `migrations` that end like this.
#[macro_export]
macro_rules! migrations {
    ($ending:literal: $($number:literal $name:literal;)*) => {
        &[$($crate::migration::Migration {
            number: $number,
            name: $name,
            up: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $name, ".up.", $ending)),
            down: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $name, ".down.", $ending)),
        },)*]
    };
}
