//! Filling the tree, layer by layer.
//!
//! Each layer is read on its own first and its keys are compared with the known ones, so that a refusal can
//! name the file, variable or flag that holds the key. Then the layers are merged and the tree is built.

use super::options::{options, variable};
use super::{Config, ConfigError, check};
use ::config::{Environment, File, FileFormat, Map, Source, Value, ValueKind};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The file that is read where none is named and it exists.
pub const FILE_NAME: &str = "sporelog.toml";

/// Where the layers above the defaults come from.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The file named by the user; else [`FILE_NAME`] in `working_dir` if it exists.
    pub file: Option<PathBuf>,
    /// Where [`FILE_NAME`] is looked for.
    pub working_dir: PathBuf,
    /// The environment: every variable; those with another prefix are left alone.
    pub environment: HashMap<String, String>,
    /// Keys set on the command line: key, value, and the flag to name in a refusal.
    pub flags: Vec<(String, String, String)>,
}

impl Layers {
    /// The layers of this process: its working directory and environment.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self { working_dir: PathBuf::from("."), environment, ..Self::default() }
    }

    /// Sets a key above file and environment.
    pub fn set(&mut self, key: &str, value: impl Into<String>, flag: &str) {
        self.flags.push((key.to_owned(), value.into(), flag.to_owned()));
    }
}

/// Reads all layers into one configuration.
///
/// # Errors
/// Where a file is missing or malformed, a key is unknown, or a value has the wrong type or is out of range.
pub fn load(layers: &Layers) -> Result<Config, ConfigError> {
    let known: Vec<String> = options().into_iter().map(|option| option.key).collect();
    let mut origins = BTreeMap::new();
    let mut builder = ::config::Config::builder();

    if let Some(path) = file_of(layers)? {
        let values = read_file(&path)?;
        note(&values, &known, &mut origins, |_| path.display().to_string())?;
        builder = builder.add_source(layer(values)?);
    }
    let environment = Environment::with_prefix("SPORELOG").prefix_separator("__").separator("__");
    let values = environment.source(Some(layers.environment.clone())).collect().map_err(|error| broken(&error))?;
    note(&values, &known, &mut origins, variable)?;
    builder = builder.add_source(layer(values)?);
    for (key, value, flag) in &layers.flags {
        note_key(key, &known, &mut origins, flag.clone())?;
        builder = builder.set_override(key, value.as_str()).map_err(|error| broken(&error))?;
    }

    let origin = |key: &str| origins.get(key).cloned().unwrap_or_else(|| "the defaults".to_owned());
    let built = builder.build().map_err(|error| broken(&error))?;
    let config: Config = built.try_deserialize().map_err(|error| explain(error, &origin))?;
    check::check(&config, &origin)?;
    Ok(config)
}

fn file_of(layers: &Layers) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(path) = &layers.file {
        return if path.is_file() { Ok(Some(path.clone())) } else { Err(ConfigError::Missing(path.clone())) };
    }
    let path = layers.working_dir.join(FILE_NAME);
    Ok(path.is_file().then(|| layers.working_dir.join(FILE_NAME)))
}

fn read_file(path: &Path) -> Result<Map<String, Value>, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    File::from_str(&text, FileFormat::Toml).collect().map_err(|error| unreadable(error.to_string()))
}

/// One layer's values as a source again.
fn layer(values: Map<String, Value>) -> Result<::config::Config, ConfigError> {
    let mut builder = ::config::Config::builder();
    for (key, value) in values {
        builder = builder.set_override(key, value).map_err(|error| broken(&error))?;
    }
    builder.build().map_err(|error| broken(&error))
}

/// Notes where each key of a layer comes from, and refuses the unknown ones.
fn note(
    values: &Map<String, Value>,
    known: &[String],
    origins: &mut BTreeMap<String, String>,
    origin: impl Fn(&str) -> String,
) -> Result<(), ConfigError> {
    let mut keys = Vec::new();
    flatten(values, "", &mut keys);
    keys.sort();
    keys.into_iter().try_for_each(|key| {
        let origin = origin(&key);
        note_key(&key, known, origins, origin)
    })
}

fn note_key(
    key: &str,
    known: &[String],
    origins: &mut BTreeMap<String, String>,
    origin: String,
) -> Result<(), ConfigError> {
    if known.iter().any(|held| held == key) {
        origins.insert(key.to_owned(), origin);
        return Ok(());
    }
    if known.iter().any(|held| held.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))) {
        let reason = "this is a section, which holds keys; it cannot be set to a value".to_owned();
        return Err(ConfigError::Invalid { key: key.to_owned(), origin, reason });
    }
    let nearest = nearest(key, known)
        .map(|found| if origin.starts_with("SPORELOG__") { variable(found) } else { found.to_owned() });
    Err(ConfigError::Unknown { key: key.to_owned(), origin, nearest })
}

fn flatten(values: &Map<String, Value>, prefix: &str, keys: &mut Vec<String>) {
    for (name, value) in values {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match &value.kind {
            ValueKind::Table(inner) => flatten(inner, &key, keys),
            _ => keys.push(key),
        }
    }
}

/// The known key with the fewest edits to this one, where few enough to be meant; the key within the section
/// is compared too, so that a right name in the wrong section is found.
fn nearest<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let score = |held: &str| edits(key, held).min(edits(&last(key), &last(held)) + 1);
    let best = known.iter().min_by_key(|held| score(held))?;
    (score(best) <= key.len().div_ceil(3)).then_some(best.as_str())
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

fn explain(error: ::config::ConfigError, origin: &dyn Fn(&str) -> String) -> ConfigError {
    match error {
        ::config::ConfigError::Type { unexpected, expected, key: Some(key), .. } => {
            let reason = format!("found {unexpected}, expected {expected}");
            ConfigError::Invalid { origin: origin(&key), key, reason }
        }
        ::config::ConfigError::At { error, key: Some(key), .. } => match explain(*error, origin) {
            ConfigError::Invalid { reason, .. } => ConfigError::Invalid { origin: origin(&key), key, reason },
            other => other,
        },
        other => broken(&other),
    }
}

fn broken(error: &::config::ConfigError) -> ConfigError {
    ConfigError::Invalid {
        key: "a value".to_owned(),
        origin: "the configuration".to_owned(),
        reason: error.to_string(),
    }
}
