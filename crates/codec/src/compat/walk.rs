//! The walk over two schemas, as JSON, that names the field at fault.

use serde_json::{Map, Value as Json};

use super::Finding;
use super::types::{Types, describe, expand, fields, join, kind, named_types, short, text};

/// Two schemas under comparison.
struct Pair<'s> {
    new_types: Types<'s>,
    old_types: Types<'s>,
    findings: Vec<Finding>,
    /// Records under comparison, so that a recursive type ends.
    open: Vec<String>,
}

pub(super) fn compare(newest: &Json, frozen: &Json) -> Vec<Finding> {
    let mut pair =
        Pair { new_types: named_types(newest), old_types: named_types(frozen), findings: Vec::new(), open: Vec::new() };
    pair.types(newest, frozen, "");
    pair.findings
}

impl<'s> Pair<'s> {
    fn report(&mut self, path: &str, problem: String, remedy: &str) {
        self.findings.push(Finding { field: path.to_owned(), problem, remedy: remedy.to_owned() });
    }

    fn types(&mut self, new: &'s Json, old: &'s Json, path: &str) {
        let (new, old) = (expand(new, &self.new_types), expand(old, &self.old_types));
        match (new, old) {
            (Json::Array(new_variants), Json::Array(old_variants)) => self.unions(new_variants, old_variants, path),
            (Json::Object(new_object), Json::Object(old_object)) if kind(new) == kind(old) => match kind(new) {
                "record" => self.records(new_object, old_object, path),
                "enum" => self.enums(new_object, old_object, path),
                "array" | "map" => {
                    let key = if kind(new) == "array" { "items" } else { "values" };
                    if let (Some(new), Some(old)) = (new_object.get(key), old_object.get(key)) {
                        self.types(new, old, path);
                    }
                }
                _ => self.leaves(new, old, path),
            },
            _ => self.leaves(new, old, path),
        }
    }

    fn leaves(&mut self, new: &Json, old: &Json, path: &str) {
        let (new, old) = (describe(new, &self.new_types), describe(old, &self.old_types));
        if new != old {
            self.report(
                path,
                format!("its type changed from {old} to {new}"),
                "restore the type, and add a new field with a default for the new one",
            );
        }
    }

    fn records(&mut self, new: &'s Map<String, Json>, old: &'s Map<String, Json>, path: &str) {
        let name = text(new, "name").unwrap_or_default();
        if short(name) != short(text(old, "name").unwrap_or_default()) {
            let problem = format!("the record was renamed to {name}");
            return self.report(path, problem, "restore the name");
        }
        if self.open.iter().any(|open| open == name) {
            return;
        }
        self.open.push(name.to_owned());
        let (new_fields, old_fields) = (fields(new), fields(old));
        for (name, new_field) in &new_fields {
            let path = join(path, name);
            match old_fields.iter().find(|(old_name, _)| old_name == name) {
                Some((_, old_field)) => {
                    if let (Some(new), Some(old)) = (new_field.get("type"), old_field.get("type")) {
                        self.types(new, old, &path);
                    }
                    self.lost_default(new_field, old_field, &path);
                }
                None if !new_field.contains_key("default") => self.report(
                    &path,
                    "it was added without a default, so older records cannot be read".to_owned(),
                    "give it a default: null in a union that starts with null, [] or {}",
                ),
                None => {}
            }
        }
        for (name, old_field) in &old_fields {
            if !new_fields.iter().any(|(new_name, _)| new_name == name) {
                self.removed(name, old_field, &new_fields, &old_fields, path);
            }
        }
        self.open.pop();
    }

    fn lost_default(&mut self, new: &Map<String, Json>, old: &Map<String, Json>, path: &str) {
        if old.contains_key("default") && !new.contains_key("default") {
            self.report(path, "it lost its default".to_owned(), "restore the default: versions may lack the field");
        }
    }

    fn removed(
        &mut self,
        name: &str,
        old_field: &Map<String, Json>,
        new_fields: &[(&str, &Map<String, Json>)],
        old_fields: &[(&str, &Map<String, Json>)],
        path: &str,
    ) {
        let renamed = new_fields.iter().find(|(new_name, new_field)| {
            let alias = new_field.get("aliases").and_then(Json::as_array);
            let aliased = alias.is_some_and(|names| names.iter().any(|alias| alias == name));
            let added = !old_fields.iter().any(|(old_name, _)| old_name == new_name);
            aliased || (added && new_field.get("type") == old_field.get("type"))
        });
        let path = join(path, name);
        match renamed {
            Some((new_name, _)) if !old_field.contains_key("default") => self.report(
                &path,
                format!("it was renamed to {new_name}, which older readers do not know"),
                "restore the name; to rename, add the new field with a default and keep writing both",
            ),
            None if !old_field.contains_key("default") => self.report(
                &path,
                "it was removed, but has no default, so older readers cannot do without it".to_owned(),
                "restore it, and mark it as deprecated in its doc",
            ),
            // A field with a default may go; aliases are no evidence of a rename then.
            _ => {}
        }
    }

    fn enums(&mut self, new: &Map<String, Json>, old: &Map<String, Json>, path: &str) {
        let symbols = |object: &Map<String, Json>| -> Vec<String> {
            let symbols = object.get("symbols").and_then(Json::as_array).into_iter().flatten();
            symbols.filter_map(Json::as_str).map(str::to_owned).collect()
        };
        let (new, old) = (symbols(new), symbols(old));
        let remedy = "restore the symbols; use a string with a word in vocabulary.json instead of an enum";
        if let Some(symbol) = new.iter().find(|symbol| !old.contains(symbol)) {
            self.report(path, format!("symbol {symbol} was added, which older readers do not know"), remedy);
        }
        if let Some(symbol) = old.iter().find(|symbol| !new.contains(symbol)) {
            self.report(path, format!("symbol {symbol} was removed, which older records hold"), remedy);
        }
    }

    fn unions(&mut self, new: &'s [Json], old: &'s [Json], path: &str) {
        let label = |variant: &Json, types: &Types<'_>| match expand(variant, types) {
            Json::Object(object) if object.contains_key("name") => {
                short(text(object, "name").unwrap_or_default()).to_owned()
            }
            // Variants of one kind are compared with each other, so that what differs inside is named.
            other => kind(other).to_owned(),
        };
        let old_labels: Vec<_> = old.iter().map(|variant| label(variant, &self.old_types)).collect();
        let new_labels: Vec<_> = new.iter().map(|variant| label(variant, &self.new_types)).collect();
        for (at, variant) in new_labels.iter().enumerate() {
            match old_labels.iter().position(|old| old == variant) {
                Some(was) => self.types(&new[at], &old[was], path),
                None => self.report(
                    path,
                    format!("the union took in {variant}, which older readers do not know"),
                    "restore the union, and add a new field with a default",
                ),
            }
        }
        for variant in old_labels.iter().filter(|variant| !new_labels.contains(variant)) {
            let problem = format!("the union gave up {variant}, which older records hold");
            self.report(path, problem, "restore the union's types");
        }
    }
}
