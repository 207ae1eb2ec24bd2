//! Hashes of a spore's text: of the text as it is, and of the text as it reads.

use std::fmt::Write;

/// The content hash: BLAKE3 of the text, 64 hexadecimal digits.
#[must_use]
pub fn content_hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// The signature: BLAKE3 of the text in lower case with every run of white space as one blank and none at the
/// ends, 64 hexadecimal digits. Texts that differ only in case and white space share it.
#[must_use]
pub fn signature(text: &str) -> String {
    content_hash(&normalised(text))
}

/// The text in lower case, its words separated by single blanks.
#[must_use]
pub fn normalised(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        for letter in word.chars() {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}", letter.to_lowercase());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_white_space_do_not_change_the_signature() {
        assert_eq!(normalised("  The  Rose\n\tÄ "), "the rose ä");
        assert_eq!(signature("The Rose"), signature(" the\nrose"));
        assert_ne!(signature("therose"), signature("the rose"));
        assert_ne!(content_hash("The Rose"), content_hash("the rose"));
    }
}
