//! Statements apart, at each `;` that stands by itself. Where this errs the server refuses: it is given one statement
//! at a time.

/// The statements of a text, without those that hold nothing but blanks and comments.
pub(super) fn statements(sql: &str) -> Vec<&str> {
    let (mut found, mut start, mut at, mut empty) = (Vec::new(), 0, 0, true);
    while at < sql.len() {
        let rest = &sql[at..];
        if rest.starts_with(';') {
            if !empty {
                found.push(sql[start..at].trim());
            }
            (start, empty) = (at + 1, true);
            at += 1;
        } else if let Some(length) = comment(rest) {
            at += length;
        } else {
            let escapes = sql[..at].ends_with(['e', 'E']);
            let length = quoted(rest, escapes).unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
            empty &= rest[..length].trim().is_empty();
            at += length;
        }
    }
    if !empty {
        found.push(sql[start..].trim());
    }
    found
}

/// The length of the comment that a text begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("--") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    // Comments nest.
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    Some(text.len())
}

/// The length of the quoted string or name that a text begins with. A doubled quote begins another one at once.
fn quoted(text: &str, escapes: bool) -> Option<usize> {
    let quote = text.as_bytes()[0];
    if quote == b'$' {
        let tag_end = text[1..].find('$')? + 2;
        let tag = &text[..tag_end];
        let is_tag = tag[1..tag_end - 1].chars().all(|c| c.is_alphanumeric() || c == '_');
        return is_tag.then(|| text[tag_end..].find(tag).map_or(text.len(), |end| end + 2 * tag_end));
    }
    if quote != b'\'' && quote != b'"' {
        return None;
    }
    let mut skip = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        if skip {
            skip = false;
        } else if byte == b'\\' && escapes && quote == b'\'' {
            skip = true;
        } else if byte == quote {
            return Some(at + 1);
        }
    }
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn a_semicolon_inside_of_something_ends_nothing() {
        let sql = "SELECT ';', \"a;b\" -- c;\n; ;; /* ; /* ; */ ; */ SELECT $x$;$x$, E'\\';', 'it''s;' ; -- end;";
        let expected = ["SELECT ';', \"a;b\" -- c;", "/* ; /* ; */ ; */ SELECT $x$;$x$, E'\\';', 'it''s;'"];
        assert_eq!(statements(sql), expected);
        assert_eq!(statements("SELECT 'é;' WHERE $1 = 'x"), ["SELECT 'é;' WHERE $1 = 'x"]);
        assert_eq!(statements(" ; -- nothing\n /* at all"), [""; 0]);
    }
}
