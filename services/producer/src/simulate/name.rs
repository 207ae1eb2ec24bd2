//! Names made of a word and a number, on the stack.

use std::ops::Deref;

/// `word-123`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    bytes: [u8; 40],
    len: usize,
}

impl Name {
    /// Words above 16 bytes are cut.
    pub(super) fn new(word: &str, number: u64) -> Self {
        let mut name = Self { bytes: [0; 40], len: word.len().min(16) };
        name.bytes[..name.len].copy_from_slice(&word.as_bytes()[..name.len]);
        let (mut digits, mut at, mut rest) = ([0_u8; 20], 20, number);
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let end = name.len + 20 - at;
        name.bytes[name.len..end].copy_from_slice(&digits[at..]);
        name.len = end;
        name
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn names_read_as_word_and_number() {
        assert_eq!(&*Name::new("agent-", 0), "agent-0");
        assert_eq!(&*Name::new("loop-", u64::MAX), "loop-18446744073709551615");
    }
}
