//! Rows of answers as a table, CSV or JSON. CSV and JSON are streamed; a table is held until its widths are known.

use anyhow::Result;
use comfy_table::{Cell, CellAlignment, Table, presets};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns to read.
    #[default]
    Table,
    /// RFC 4180 with a header line; null is empty.
    Csv,
    /// An array with one object per row.
    Json,
}

/// One value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// An integer.
    Int(i64),
    /// A double.
    Real(f64),
    /// Text.
    Text(String),
}

impl Value {
    /// The value as plain text; null is empty.
    fn plain(&self) -> String {
        match self {
            Value::Null => String::new(),
            Value::Int(value) => value.to_string(),
            Value::Real(value) => value.to_string(),
            Value::Text(text) => text.clone(),
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Int(value) => (*value).into(),
            // JSON has no infinity: it becomes null.
            Value::Real(value) => (*value).into(),
            Value::Text(text) => text.as_str().into(),
        }
    }
}

/// Bytes as text: 16 of them are a UUID, any others hexadecimal.
pub fn bytes_text(bytes: &[u8]) -> String {
    match uuid::Uuid::from_slice(bytes) {
        Ok(uuid) => uuid.to_string(),
        Err(_) => bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}

/// Microseconds since 1970 as ISO 8601 in UTC; none where no calendar reaches it.
pub fn time_text(us: i64) -> Option<String> {
    jiff::Timestamp::from_microsecond(us).ok().map(|time| time.to_string())
}

/// Writes one answer.
pub struct Answer<W: Write> {
    names: Vec<String>,
    rows: usize,
    form: Form<W>,
}

enum Form<W: Write> {
    Table(Box<Table>, W),
    Csv(Box<csv::Writer<W>>),
    Json(W),
}

impl<W: Write> Answer<W> {
    /// Starts an answer with these columns; a name that comes again gets a number, so that JSON keeps both.
    pub fn new(format: Format, names: Vec<String>, mut out: W) -> Result<Self> {
        let names = distinct(names);
        let form = match format {
            Format::Table => {
                let mut table = Table::new();
                table.load_style(presets::ASCII_MARKDOWN).set_header(names.iter().map(|name| readable(name)));
                Form::Table(Box::new(table), out)
            }
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(&names)?;
                Form::Csv(Box::new(writer))
            }
            Format::Json => {
                out.write_all(b"[")?;
                Form::Json(out)
            }
        };
        Ok(Self { names, rows: 0, form })
    }

    /// Adds a row, with a value for each column.
    pub fn row(&mut self, values: &[Value]) -> Result<()> {
        match &mut self.form {
            Form::Table(table, _) => {
                table.add_row(values.iter().map(cell));
            }
            Form::Csv(writer) => writer.write_record(values.iter().map(Value::plain)).map_err(io_error)?,
            Form::Json(out) => {
                let mut line = String::from(if self.rows == 0 { "\n  {" } else { ",\n  {" });
                for (ix, (name, value)) in self.names.iter().zip(values).enumerate() {
                    let comma = if ix == 0 { "" } else { ", " };
                    let _ = write!(line, "{comma}{}: {}", serde_json::Value::from(name.as_str()), value.json());
                }
                line.push('}');
                out.write_all(line.as_bytes())?;
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Ends the answer.
    pub fn finish(self) -> Result<()> {
        match self.form {
            Form::Table(table, mut out) => {
                let rows = self.rows;
                writeln!(out, "{table}\n({rows} {})", if rows == 1 { "row" } else { "rows" })?;
                out.flush()?;
            }
            Form::Csv(mut writer) => writer.flush()?,
            Form::Json(mut out) => {
                out.write_all(if self.rows == 0 { b"]\n" } else { b"\n]\n" })?;
                out.flush()?;
            }
        }
        Ok(())
    }
}

/// The error of the writer below, so that a closed pipe is known as such.
fn io_error(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => anyhow::anyhow!("{other:?}"),
    }
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::new("null"),
        Value::Int(_) | Value::Real(_) => Cell::new(value.plain()).set_alignment(CellAlignment::Right),
        Value::Text(text) => Cell::new(readable(text)),
    }
}

/// Text for a terminal: control characters, which could steer it, are escaped.
fn readable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, char| {
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
        shown
    })
}

fn distinct(names: Vec<String>) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let number = |name: String| {
        let times = seen.entry(name.clone()).or_insert(0);
        *times += 1;
        if *times == 1 { name } else { format!("{name}_{times}") }
    };
    names.into_iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_text(format: Format, names: &[&str], rows: &[Vec<Value>]) -> Result<String> {
        let mut out = Vec::new();
        let mut answer = Answer::new(format, names.iter().map(|name| (*name).to_owned()).collect(), &mut out)?;
        rows.iter().try_for_each(|row| answer.row(row))?;
        answer.finish()?;
        Ok(String::from_utf8(out)?)
    }

    fn text(format: Format) -> String {
        let rows = [
            vec![Value::Int(-1), Value::Text("a \"quoted\", \u{1b}[31mred\nline".to_owned()), Value::Null],
            vec![Value::Real(0.5), Value::Text(String::new()), Value::Int(9)],
        ];
        answer_text(format, &["n", "text", "n"], &rows).unwrap()
    }

    #[test]
    fn a_table_aligns_numbers_and_escapes_control_characters() {
        let expected = "\
| n   | text                              | n_2  |
|-----|-----------------------------------|------|
|  -1 | a \"quoted\", \\u{1b}[31mred\\nline     | null |
| 0.5 |                                   |    9 |
(2 rows)
";
        let squeezed = |text: &str| text.replace([' ', '-'], "");
        assert_eq!(squeezed(&text(Format::Table)), squeezed(expected));
    }

    #[test]
    fn csv_quotes_what_must_be_quoted() {
        assert_eq!(text(Format::Csv), "n,text,n_2\n-1,\"a \"\"quoted\"\", \u{1b}[31mred\nline\",\n0.5,,9\n");
    }

    #[test]
    fn json_is_an_array_of_objects_in_column_order() {
        let text = text(Format::Json);
        let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(rows[0]["n_2"], serde_json::Value::Null);
        assert_eq!(rows[1]["n"], 0.5);
        assert!(text.find("\"n\"") < text.find("\"text\""), "{text}");
        assert_eq!(answer_text(Format::Json, &["n"], &[]).unwrap(), "[]\n");
    }

    #[test]
    fn bytes_and_times_are_readable() {
        assert_eq!(bytes_text(&[0xab; 16]), "abababab-abab-abab-abab-abababababab");
        assert_eq!(bytes_text(&[1, 255]), "01ff");
        assert_eq!(time_text(1_085_616_000_000_000).as_deref(), Some("2004-05-27T00:00:00Z"));
        assert_eq!(time_text(i64::MIN), None);
    }
}
