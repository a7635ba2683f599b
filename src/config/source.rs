//! Where values come from: the bootstrap file, then the environment over it, then flags over both.
//!
//! Nothing here knows which settings there are; it finds what was said about a key and where.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::problem::{ConfigError, Origin, Problem};

/// The head of every environment variable that is a setting.
pub const ENV_PREFIX: &str = "POSTRIDER_";

/// A longer bootstrap file is a mistake, such as a log given for it.
const FILE_OCTETS_MAX: u64 = 1 << 20;

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// A string of the file.
    Text(String),
    /// A whole number of the file.
    Number(i64),
    /// `true` or `false` in the file.
    Flag(bool),
    /// An array of the file.
    List(Vec<Raw>),
    /// Text from the environment or a flag, which has no types.
    Loose(String),
    /// Something that no setting takes, by its name.
    Other(&'static str),
}

/// What was said about a key, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub raw: Raw,
    /// Where it stands.
    pub origin: Origin,
}

/// A table of an array of tables, such as one `[[listener]]`: its place and its keys.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// Its keys.
    pub values: BTreeMap<String, Found>,
    /// Where it begins.
    pub origin: Option<Origin>,
}

/// All that was said.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The bootstrap file, if there is one.
    pub path: Option<PathBuf>,
    /// By key: where the key stands, and its value.
    file: BTreeMap<String, (Origin, Found)>,
    arrays: BTreeMap<String, Vec<Entry>>,
    sections: BTreeMap<String, Origin>,
    env: BTreeMap<String, String>,
    flags: BTreeMap<String, (String, String)>,
}

impl Sources {
    /// Reads the bootstrap file.
    pub fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let whole = |text: String| {
            let origin = Origin::File { path: Arc::new(path.to_owned()), line: 1, column: 1 };
            ConfigError::one(Problem { origin, key: String::new(), text })
        };
        let unreadable = |error: std::io::Error| {
            whole(format!(
                "cannot be read ({error}); check the path and that this user may read the file"
            ))
        };
        let len = std::fs::metadata(path).map_err(unreadable)?.len();
        if len > FILE_OCTETS_MAX {
            return Err(whole(format!("is {len} octets long; a bootstrap file has at most 1 MiB")));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        self.read_text(path, &text)
    }

    /// Reads a bootstrap file's text as if it stood at `path`.
    pub fn read_text(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let places = Places { path: Arc::new(path.to_owned()), text };
        let table = DeTable::parse(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            ConfigError::one(Problem {
                origin: places.at(start),
                key: String::new(),
                text: format!("is not TOML: {}", one_line(error.message())),
            })
        })?;
        self.path = Some(path.to_owned());
        self.take_table("", table.get_ref(), &places);
        Ok(())
    }

    /// Lays the environment over the file; what does not begin with [`ENV_PREFIX`] is not ours.
    pub fn with_env(&mut self, vars: impl Iterator<Item = (String, String)>) {
        self.env.extend(vars.filter(|(name, _)| name.starts_with(ENV_PREFIX)));
    }

    /// Lays a flag over everything.
    pub fn with_flag(&mut self, key: &str, value: String, flag: &str) {
        self.flags.insert(key.to_owned(), (value, flag.to_owned()));
    }

    /// What holds for a key.
    pub fn find(&self, key: &str) -> Option<Found> {
        if let Some((value, flag)) = self.flags.get(key) {
            let origin = Origin::Flag(flag.clone());
            return Some(Found { raw: Raw::Loose(value.clone()), origin });
        }
        let name = env_name(key);
        if let Some(value) = self.env.get(&name) {
            return Some(Found { raw: Raw::Loose(value.clone()), origin: Origin::Env(name) });
        }
        self.file.get(key).map(|(_, found)| found.clone())
    }

    /// The tables of an array of tables, such as `listener`.
    pub fn entries(&self, key: &str) -> &[Entry] {
        self.arrays.get(key).map_or(&[], Vec::as_slice)
    }

    /// Every key that was said, with its place, so that those that nobody asked for can be refused.
    pub fn said(&self) -> impl Iterator<Item = (String, Origin)> + '_ {
        let file = self.file.iter().map(|(key, (at, _))| (key.clone(), at.clone()));
        let flags =
            self.flags.iter().map(|(key, (_, flag))| (key.clone(), Origin::Flag(flag.clone())));
        file.chain(flags)
    }

    /// Sections and arrays of the file by name.
    pub fn headings(&self) -> impl Iterator<Item = (&str, Origin)> + '_ {
        let arrays = self.arrays.iter().filter_map(|(name, entries)| {
            let origin = entries.first().and_then(|entry| entry.origin.clone())?;
            Some((name.as_str(), origin))
        });
        self.sections.iter().map(|(name, origin)| (name.as_str(), origin.clone())).chain(arrays)
    }

    /// Environment variables that look like settings.
    pub fn env_names(&self) -> impl Iterator<Item = &str> {
        self.env.keys().map(String::as_str)
    }

    fn take_table(&mut self, prefix: &str, table: &DeTable<'_>, places: &Places<'_>) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}.{}", name.get_ref())
            };
            let origin = places.at(name.span().start);
            match value.get_ref() {
                DeValue::Table(inner) => {
                    self.sections.insert(key.clone(), origin);
                    self.take_table(&key, inner, places);
                }
                DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                    let entries = items
                        .iter()
                        .filter_map(|item| item.get_ref().as_table())
                        .map(|table| entry_of(table, &origin, places))
                        .collect();
                    self.arrays.insert(key, entries);
                }
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_) => {
                    let raw = raw_of(value.get_ref());
                    let found = Found { raw, origin: places.at(value.span().start) };
                    self.file.insert(key, (origin, found));
                }
            }
        }
    }
}

/// The environment variable of a key: `limits.message_size` is `POSTRIDER_LIMITS_MESSAGE_SIZE`.
pub fn env_name(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

fn entry_of(table: &DeTable<'_>, heading: &Origin, places: &Places<'_>) -> Entry {
    let mut entry = Entry { values: BTreeMap::new(), origin: None };
    for (name, value) in table {
        let found = Found { raw: raw_of(value.get_ref()), origin: places.at(value.span().start) };
        entry.origin.get_or_insert_with(|| places.at(name.span().start));
        entry.values.insert(name.get_ref().to_string(), found);
    }
    entry.origin.get_or_insert_with(|| heading.clone());
    entry
}

fn raw_of(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(Cow::to_string(text)),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Raw::Other("a number beyond 64 bits"), Raw::Number),
        DeValue::Float(_) => Raw::Other("a number with a point"),
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Array(items) => {
            Raw::List(items.iter().map(|item| raw_of(item.get_ref())).collect())
        }
        DeValue::Table(_) => Raw::Other("a table"),
    }
}

/// Lines and columns of a text.
struct Places<'a> {
    path: Arc<PathBuf>,
    text: &'a str,
}

impl Places<'_> {
    fn at(&self, offset: usize) -> Origin {
        let head = self.text.get(..self.text.floor_char_boundary(offset)).unwrap_or_default();
        let line_start = head.rfind('\n').map_or(0, |newline| newline + 1);
        let column = head.get(line_start..).unwrap_or_default().chars().count() + 1;
        let line = head.matches('\n').count() + 1;
        Origin::File { path: Arc::clone(&self.path), line, column }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
