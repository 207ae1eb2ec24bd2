//! The symbols of writers' enums, kept for the life of the process.
//!
//! An event borrows its strings from its record, but a symbol stands in the schema only. Schemas that were learned are
//! kept for ever anyway; so are their symbols, each once.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The most memory for symbols, bytes (I8): a vocabulary has some hundred bytes, so this is thousands of enums.
const MAX_BYTES: usize = 1 << 20;

static SYMBOLS: LazyLock<Mutex<Symbols>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Symbols {
    held: HashSet<&'static str>,
    bytes: usize,
}

impl Symbols {
    fn keep(&mut self, symbol: &str, max_bytes: usize) -> Option<&'static str> {
        if let Some(held) = self.held.get(symbol) {
            return Some(held);
        }
        if self.bytes + symbol.len() > max_bytes {
            return None;
        }
        self.bytes += symbol.len();
        let kept: &'static str = Box::leak(symbol.into());
        self.held.insert(kept);
        Some(kept)
    }
}

/// The symbols of an enum; none where too many are kept already.
pub(super) fn keep(symbols: &[String]) -> Option<Box<[&'static str]>> {
    let mut all = SYMBOLS.lock().unwrap_or_else(PoisonError::into_inner);
    symbols.iter().map(|symbol| all.keep(symbol, MAX_BYTES)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I8: schemas of strangers do not fill the memory.
    #[test]
    fn symbols_are_kept_once_and_bounded() {
        let mut symbols = Symbols::default();
        assert_eq!(symbols.keep("JOY", 5), Some("JOY"));
        assert_eq!(symbols.keep("JOY", 5), Some("JOY"));
        assert_eq!(symbols.bytes, 3);
        assert_eq!(symbols.keep("SORROW", 5), None);
        assert_eq!(symbols.keep("JOY", 5), Some("JOY"), "what is kept stays");
    }
}
