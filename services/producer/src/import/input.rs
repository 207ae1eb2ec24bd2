//! The input: CSV or JSONL, plain or gzip, read twice: once for the hash of its content, once for
//! its rows.

use super::build::BadRow;
use super::error::{ImportError, MappingError};
use super::expr::{Cell, Cells, ColumnIx};
use super::mapping::{Column, FileSpec, Format, Mapping};
use super::tee::Tee;
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

type Bytes = Box<dyn Read>;

/// A file to import.
#[derive(Debug)]
pub struct Input {
    /// The file.
    pub path: PathBuf,
    /// BLAKE3 of the uncompressed content.
    pub hash: blake3::Hash,
    /// The length of the uncompressed content.
    pub bytes: u64,
    format: Format,
    delimiter: u8,
}

impl Input {
    /// Opens a file and hashes its content.
    ///
    /// # Errors
    /// The file cannot be read, or its format is not known.
    pub fn open(path: &Path, spec: &FileSpec) -> Result<Self, ImportError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let format = match (spec.format, name.rsplit('.').next()) {
            (Some(format), _) => format,
            (None, Some("csv" | "tsv")) => Format::Csv,
            (None, Some("jsonl" | "ndjson")) => Format::Jsonl,
            _ => {
                let reason = "the name tells no format: name it .csv, .tsv or .jsonl (and .gz), or give `[file] format` in the mapping".to_owned();
                return Err(ImportError::Format { path: path.to_path_buf(), line: 1, reason });
            }
        };
        let delimiter = spec.delimiter.unwrap_or(if name.ends_with(".tsv") { b'\t' } else { b',' });
        let (hash, bytes) = hash(path)?;
        Ok(Self { path: path.to_path_buf(), hash, bytes, format, delimiter })
    }

    /// What the numbers of the rows depend on besides the content: read in another way, row 5 is
    /// another row.
    #[must_use]
    pub fn reading(&self, mapping: &Mapping) -> String {
        let header = if mapping.file.columns.is_none() { "header" } else { "no header" };
        match self.format {
            Format::Csv => format!("csv, delimiter {:?}, {header}", char::from(self.delimiter)),
            Format::Jsonl => "jsonl".to_owned(),
        }
    }

    /// The rows, from the first.
    ///
    /// # Errors
    /// The file cannot be read, or lacks a column that the mapping needs.
    pub fn rows<'m>(&self, mapping: &'m Mapping) -> Result<Rows<'m>, RowsError> {
        let bytes = Tee::new(content(&self.path).map_err(RowsError::Import)?);
        let columns = &mapping.columns;
        let kind = match self.format {
            Format::Jsonl => Kind::Jsonl {
                reader: BufReader::with_capacity(1 << 16, bytes),
                buffer: Vec::new(),
                value: Value::Null,
                line: 0,
            },
            Format::Csv => {
                let mut reader = csv::ReaderBuilder::new()
                    .has_headers(mapping.file.columns.is_none())
                    .delimiter(self.delimiter)
                    .flexible(true)
                    .buffer_capacity(1 << 16)
                    .from_reader(bytes);
                let names = match &mapping.file.columns {
                    Some(names) => names.clone(),
                    None => header(&mut reader, &self.path)?,
                };
                let places = places(columns, &names).map_err(RowsError::Mapping)?;
                Kind::Csv { reader, record: csv::ByteRecord::new(), places, names }
            }
        };
        Ok(Rows { path: self.path.clone(), columns, kind, next: 0 })
    }
}

/// Why there are no rows.
#[derive(Debug)]
pub enum RowsError {
    /// The file is at fault.
    Import(ImportError),
    /// The mapping is at fault.
    Mapping(MappingError),
}

fn content(path: &Path) -> Result<Bytes, ImportError> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(ImportError::io("cannot open", path))?);
    let start = file.fill_buf().map_err(ImportError::io("cannot read", path))?;
    Ok(if start.starts_with(&[0x1f, 0x8b]) { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// BLAKE3 and length of the uncompressed content.
fn hash(path: &Path) -> Result<(blake3::Hash, u64), ImportError> {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = content(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match bytes.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finalize(), hasher.count())),
            Ok(read) => {
                hasher.update(&buffer[..read]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ImportError::io("cannot read", path)(error)),
        }
    }
}

fn header(reader: &mut csv::Reader<Tee<Bytes>>, path: &Path) -> Result<Vec<String>, RowsError> {
    let names = reader.headers().map_err(|error| RowsError::Import(unreadable(path, 1, error)))?;
    if names.is_empty() {
        let reason = "the file is empty: a header was expected".to_owned();
        return Err(RowsError::Import(ImportError::Format { path: path.to_path_buf(), line: 1, reason }));
    }
    Ok(names.iter().map(|name| name.trim().to_owned()).collect())
}

fn unreadable(path: &Path, line: u64, error: csv::Error) -> ImportError {
    let path = path.to_path_buf();
    match error.into_kind() {
        csv::ErrorKind::Io(cause) => ImportError::Io { action: "cannot read", path, cause },
        csv::ErrorKind::Utf8 { err, .. } => ImportError::Format { path, line, reason: format!("not UTF-8: {err}") },
        other => ImportError::Format { path, line, reason: format!("{other:?}") },
    }
}

/// Where each used column lies.
fn places(columns: &[Column], names: &[String]) -> Result<Vec<Option<usize>>, MappingError> {
    columns
        .iter()
        .map(|column| {
            let mut found = (0..names.len()).filter(|at| names[*at] == column.name);
            match (found.next(), found.next()) {
                (Some(_), Some(_)) => Err(MappingError {
                    line: column.line,
                    reason: format!("the file has more than one column `{}`", column.name),
                }),
                (None, _) if column.required => {
                    let reason = format!("the file has no column `{}`: it has {}", column.name, names.join(", "));
                    Err(MappingError { line: column.line, reason })
                }
                (place, _) => Ok(place),
            }
        })
        .collect()
}

/// Which row it is.
#[derive(Debug)]
pub struct Head {
    /// The row's number, from 0.
    pub row: u64,
    /// The line of the file where it begins, from 1.
    pub line: u64,
    /// Why it is no row, if it is none.
    pub bad: Option<BadRow>,
}

enum Kind {
    Csv { reader: csv::Reader<Tee<Bytes>>, record: csv::ByteRecord, places: Vec<Option<usize>>, names: Vec<String> },
    Jsonl { reader: BufReader<Tee<Bytes>>, buffer: Vec<u8>, value: Value, line: u64 },
}

/// The rows of an input; the current one is seen through [`Cells`].
pub struct Rows<'m> {
    path: PathBuf,
    columns: &'m [Column],
    kind: Kind,
    next: u64,
}

impl Rows<'_> {
    /// Goes to the next row.
    ///
    /// # Errors
    /// The file cannot be read any further.
    pub fn advance(&mut self) -> Result<Option<Head>, ImportError> {
        let row = self.next;
        let head = match &mut self.kind {
            Kind::Csv { reader, record, places, names } => {
                let line = reader.position().line();
                let from = reader.position().byte();
                reader.get_mut().forget_before(from);
                if !reader.read_byte_record(record).map_err(|error| unreadable(&self.path, line, error))? {
                    return Ok(None);
                }
                let line = record.position().map_or(line, csv::Position::line);
                Head { row, line, bad: csv_fault(record, places, names, self.columns) }
            }
            Kind::Jsonl { reader, buffer, value, line } => loop {
                buffer.clear();
                let read = reader.read_until(b'\n', buffer).map_err(ImportError::io("cannot read", &self.path))?;
                if read == 0 {
                    return Ok(None);
                }
                reader.get_mut().forget_read();
                *line += 1;
                if buffer.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let bad = match serde_json::from_slice::<Value>(buffer) {
                    Ok(object @ Value::Object(_)) => {
                        *value = object;
                        None
                    }
                    Ok(_) => Some(BadRow::whole("not a JSON object")),
                    Err(error) => Some(BadRow::whole(format!("not JSON, at column {}: {error}", error.column()))),
                };
                break Head { row, line: *line, bad };
            },
        };
        self.next += 1;
        Ok(Some(head))
    }

    /// How many bytes of the uncompressed content have been read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match &self.kind {
            Kind::Csv { reader, .. } => reader.get_ref().taken(),
            Kind::Jsonl { reader, .. } => reader.get_ref().taken(),
        }
    }

    /// The current row as it stands in the file, without its line end.
    #[must_use]
    pub fn raw(&self) -> String {
        let bytes = match &self.kind {
            Kind::Csv { reader, record, .. } => {
                let from = record.position().map_or(0, csv::Position::byte);
                reader.get_ref().between(from, reader.position().byte())
            }
            Kind::Jsonl { buffer, .. } => buffer,
        };
        String::from_utf8_lossy(bytes).trim_matches(['\r', '\n']).to_owned()
    }
}

fn csv_fault(
    record: &csv::ByteRecord,
    places: &[Option<usize>],
    names: &[String],
    columns: &[Column],
) -> Option<BadRow> {
    if record.len() != names.len() {
        return Some(BadRow::whole(format!("{} fields where {} are expected", record.len(), names.len())));
    }
    debug_assert_eq!(places.len(), columns.len());
    let broken = places
        .iter()
        .position(|place| place.and_then(|at| record.get(at)).is_some_and(|cell| std::str::from_utf8(cell).is_err()));
    broken.map(|column| BadRow { field: None, column: Some(column), reason: "is not UTF-8".to_owned() })
}

impl Cells for Rows<'_> {
    fn cell(&self, column: ColumnIx) -> Option<Cell<'_>> {
        match &self.kind {
            Kind::Csv { record, places, .. } => {
                let bytes = record.get((*places.get(column)?)?)?;
                std::str::from_utf8(bytes).ok().map(Cell::Text)
            }
            Kind::Jsonl { value, .. } => {
                let name = &self.columns.get(column)?.name;
                value
                    .get(name)
                    .or_else(|| name.split('.').try_fold(value, |value, part| value.get(part)))
                    .map(Cell::Json)
            }
        }
    }
}
