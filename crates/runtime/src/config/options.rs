//! The table of options, read from the schema of [`Config`].

use super::Config;
use serde_json::Value;
use std::fmt::Write as _;

/// One option, as documented.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionDoc {
    /// The key, with dots: `worker.batch_max_bytes`.
    pub key: String,
    /// The default, as written in TOML; none where the option is unset by default.
    pub default: Option<String>,
    /// The unit, or "" where the value has none.
    pub unit: &'static str,
    /// The permitted values, in words.
    pub values: String,
    /// The smallest permitted number.
    pub min: Option<f64>,
    /// The largest permitted number.
    pub max: Option<f64>,
    /// What it does.
    pub doc: String,
}

impl OptionDoc {
    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        variable(&self.key)
    }
}

/// The environment variable that sets the option of that key.
pub(super) fn variable(key: &str) -> String {
    format!("SPORELOG__{}", key.replace('.', "__").to_uppercase())
}

/// Every option, in order of declaration by section.
#[must_use]
pub fn options() -> Vec<OptionDoc> {
    let schema = schemars::schema_for!(Config).to_value();
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut found = Vec::new();
    collect(&schema, &schema, &defaults, "", &mut found);
    found
}

/// The sections, with what each is about.
fn sections() -> Vec<(String, String)> {
    let schema = schemars::schema_for!(Config).to_value();
    properties(&schema).map(|(name, node)| (name.clone(), doc_of(node))).collect()
}

fn properties(node: &Value) -> impl Iterator<Item = (&String, &Value)> {
    node["properties"].as_object().into_iter().flatten()
}

fn collect(root: &Value, node: &Value, defaults: &Value, prefix: &str, found: &mut Vec<OptionDoc>) {
    for (name, child) in properties(node) {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let target = resolve(root, child);
        if target["properties"].is_object() {
            collect(root, target, &defaults[name], &key, found);
        } else {
            found.push(option(key, child, target, &defaults[name]));
        }
    }
}

fn resolve<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    let Some(reference) = node["$ref"].as_str() else {
        return node;
    };
    reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer)).unwrap_or(node)
}

fn option(key: String, node: &Value, target: &Value, default: &Value) -> OptionDoc {
    let (min, max) = (node["minimum"].as_f64(), node["maximum"].as_f64());
    OptionDoc {
        unit: unit(&key),
        values: values(target, min, max),
        default: (!default.is_null()).then(|| default.to_string()),
        doc: doc_of(node),
        key,
        min,
        max,
    }
}

fn doc_of(node: &Value) -> String {
    let text = node["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn unit(key: &str) -> &'static str {
    const UNITS: [(&str, &str); 4] =
        [("_ms", "milliseconds"), ("_bytes", "bytes"), ("_per_s", "per second"), ("_records", "records")];
    UNITS.iter().find(|(suffix, _)| key.ends_with(suffix)).map_or("", |(_, unit)| unit)
}

fn values(target: &Value, min: Option<f64>, max: Option<f64>) -> String {
    let choices: Vec<&str> =
        target["oneOf"].as_array().into_iter().flatten().filter_map(|one| one["const"].as_str()).collect();
    if !choices.is_empty() {
        return choices.join(", ");
    }
    let named = target["type"].as_str().or_else(|| target["type"][0].as_str()).unwrap_or_default();
    match (named, min, max) {
        ("boolean", ..) => "true, false".to_owned(),
        ("string", ..) => "text".to_owned(),
        (_, min, Some(max)) => format!("{} to {max}", min.unwrap_or_default()),
        (_, min, None) => format!("{} or more", min.unwrap_or_default()),
    }
}

/// `docs/configuration.md`.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(PREFACE);
    let all = options();
    for (section, doc) in sections() {
        let _ = writeln!(out, "\n## `{section}`\n\n{doc}\n");
        out.push_str("| key | default | unit | values | what it does |\n|---|---|---|---|---|\n");
        for option in all.iter().filter(|option| option.key.split('.').next() == Some(&section)) {
            let default = option.default.as_ref().map_or("unset".to_owned(), |default| format!("`{default}`"));
            let _ = writeln!(
                out,
                "| `{}` | {default} | {} | {} | {} |",
                option.key, option.unit, option.values, option.doc
            );
        }
    }
    out
}

const PREFACE: &str = "# Configuration

<!-- Made from the code by `sporelog docs configuration`; a test holds this file equal to it. -->

Every option has a default, so Sporelog starts without a file. Options are taken in layers, the later one winning:

1. the defaults below;
2. a TOML file: the one named with `--config` or in `SPORELOG_CONFIG`, else `sporelog.toml` in the working directory if there is one;
3. the environment: `SPORELOG__SECTION__KEY`, for example `SPORELOG__WORKER__BATCH_MAX_RECORDS=500`;
4. the command line: `--set worker.batch_max_records=500`, and the flags of each verb.

A key that is not in this page is refused, with the name of the nearest one that is.

```toml
[worker]
batch_max_records = 500

[http]
listen = \"127.0.0.1:9000\"
```
";
