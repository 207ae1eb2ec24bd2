//! The rules that fields share. Each takes the field's path and returns the first thing wrong with the value.

use super::{Checked, ELEMENTS_MAX, ID_MAX, Reason, STRING_MAX, TEXT_MAX, TIME_MAX_US, violation};
use crate::event::{Pairs, Sealed, Text};

type Field = &'static str;

/// AES-256-GCM: length of the nonce, and of the tag that ends the ciphertext, bytes.
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

fn bytes(field: Field, text: &str, max: usize) -> Checked {
    if text.len() > max {
        return violation(field, Reason::TooLong { len: text.len(), max });
    }
    if text.as_bytes().contains(&0) {
        return violation(field, Reason::Nul);
    }
    Ok(())
}

/// A required id or word: 1 to [`ID_MAX`] bytes.
pub(super) fn id(field: Field, text: &str) -> Checked {
    if text.is_empty() {
        return violation(field, Reason::Empty);
    }
    bytes(field, text, ID_MAX)
}

/// A nullable id or word.
pub(super) fn opt_id(field: Field, text: Option<&str>) -> Checked {
    text.map_or(Ok(()), |text| id(field, text))
}

/// A required plain string: 1 to [`STRING_MAX`] bytes.
pub(super) fn string(field: Field, text: &str) -> Checked {
    if text.is_empty() {
        return violation(field, Reason::Empty);
    }
    bytes(field, text, STRING_MAX)
}

/// A nullable plain string, which may be empty.
pub(super) fn opt_string(field: Field, text: Option<&str>) -> Checked {
    text.map_or(Ok(()), |text| bytes(field, text, STRING_MAX))
}

/// Nullable JSON or long text, which may be empty.
pub(super) fn opt_long(field: Field, text: Option<&str>) -> Checked {
    text.map_or(Ok(()), |text| bytes(field, text, TEXT_MAX))
}

pub(super) fn text(field: Field, text: &Text<'_>) -> Checked {
    match text {
        Text::Plain(plain) => bytes(field, plain, TEXT_MAX),
        Text::Sealed(value) => sealed(field, value),
    }
}

pub(super) fn opt_text(field: Field, value: Option<&Text<'_>>) -> Checked {
    value.map_or(Ok(()), |value| text(field, value))
}

pub(super) fn sealed(field: Field, value: &Sealed<'_>) -> Checked {
    id(field, value.key_ref)?;
    if value.nonce.len() != NONCE_LEN {
        return violation(field, Reason::Malformed { expected: "sealed with a nonce of 12 bytes" });
    }
    match value.ciphertext.len() {
        0..TAG_LEN => violation(field, Reason::Malformed { expected: "sealed with a tag of 16 bytes" }),
        len if len > TEXT_MAX + TAG_LEN => violation(field, Reason::TooLong { len, max: TEXT_MAX + TAG_LEN }),
        _ => Ok(()),
    }
}

pub(super) fn number(field: Field, value: f64, min: f64, max: f64) -> Checked {
    if !value.is_finite() {
        return violation(field, Reason::NotFinite);
    }
    if value < min || value > max {
        return violation(field, Reason::OutOfRange { value, min, max });
    }
    Ok(())
}

pub(super) fn opt_number(field: Field, value: Option<f64>, min: f64, max: f64) -> Checked {
    value.map_or(Ok(()), |value| number(field, value, min, max))
}

/// Any finite number.
pub(super) fn finite(field: Field, value: f64) -> Checked {
    number(field, value, f64::MIN, f64::MAX)
}

pub(super) fn int(field: Field, value: i64, min: i64, max: i64) -> Checked {
    if value < min || value > max {
        return violation(field, Reason::IntOutOfRange { value, min, max });
    }
    Ok(())
}

pub(super) fn opt_int(field: Field, value: Option<i64>, min: i64, max: i64) -> Checked {
    value.map_or(Ok(()), |value| int(field, value, min, max))
}

/// A time, microseconds since the Unix epoch.
pub(super) fn time(field: Field, value: i64) -> Checked {
    int(field, value, 0, TIME_MAX_US)
}

pub(super) fn opt_time(field: Field, value: Option<i64>) -> Checked {
    value.map_or(Ok(()), |value| time(field, value))
}

pub(super) fn count(field: Field, len: usize, max: usize) -> Checked {
    if len > max {
        return violation(field, Reason::TooMany { len, max });
    }
    Ok(())
}

/// An array of strings, each 1 to [`STRING_MAX`] bytes.
pub(super) fn strings(field: Field, values: &[&str]) -> Checked {
    count(field, values.len(), ELEMENTS_MAX)?;
    values.iter().try_for_each(|value| string(field, value))
}

/// Names of fields to set to null.
pub(super) fn cleared(values: &[&str]) -> Checked {
    count("cleared", values.len(), 64)?;
    values.iter().try_for_each(|value| id("cleared", value))
}

/// A map of strings.
pub(super) fn map(field: Field, pairs: &Pairs<'_, &str>) -> Checked {
    count(field, pairs.len(), ELEMENTS_MAX)?;
    pairs.iter().try_for_each(|(name, value)| {
        id(field, name)?;
        bytes(field, value, TEXT_MAX)
    })
}

/// A map of numbers.
pub(super) fn numbers(field: Field, pairs: &Pairs<'_, f64>) -> Checked {
    count(field, pairs.len(), ELEMENTS_MAX)?;
    pairs.iter().try_for_each(|(name, value)| {
        id(field, name)?;
        finite(field, *value)
    })
}

/// A word of a closed vocabulary.
pub(super) fn word(field: Field, value: &str, expected: &'static [&'static str]) -> Checked {
    if expected.contains(&value) { Ok(()) } else { violation(field, Reason::Unknown { expected }) }
}

/// An H3 cell index in text form.
pub(super) fn opt_h3(field: Field, value: Option<&str>) -> Checked {
    match value {
        Some(cell) if !matches!(cell.len(), 15 | 16) || !cell.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            violation(field, Reason::Malformed { expected: "an H3 cell index of 15 or 16 hexadecimal digits" })
        }
        _ => Ok(()),
    }
}

/// A local time, HH:MM.
pub(super) fn clock(field: Field, value: &str) -> Checked {
    let digits = |byte: u8, max: u8| byte.is_ascii_digit() && byte <= max;
    match value.as_bytes() {
        [h1, h2, b':', m1, m2]
            if digits(*h1, b'2')
                && digits(*h2, if *h1 == b'2' { b'3' } else { b'9' })
                && digits(*m1, b'5')
                && digits(*m2, b'9') =>
        {
            Ok(())
        }
        _ => violation(field, Reason::Malformed { expected: "a local time HH:MM" }),
    }
}

/// A decimal number as text: at most 28 digits, 6 of them after the point; its absolute value at most `bound`.
pub(super) fn opt_decimal(field: Field, value: Option<&str>, bound: i64) -> Checked {
    let Some(value) = value else { return Ok(()) };
    let unsigned = value.strip_prefix('-').unwrap_or(value);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let formed = digits(whole) && digits(fraction) && fraction.len() <= 6;
    if !formed || whole.len() + fraction.len() > 28 {
        let expected = "a decimal number of at most 28 digits, 6 after the point";
        return violation(field, Reason::Malformed { expected });
    }
    // At most 27 digits: they fit.
    let whole: i128 = whole.parse().unwrap_or(i128::MAX);
    let bound = i128::from(bound);
    if whole > bound || (whole == bound && fraction.bytes().any(|digit| digit != b'0')) {
        return violation(field, Reason::DecimalOutOfRange { bound });
    }
    Ok(())
}
