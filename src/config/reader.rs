//! Asks the sources for settings, one by one, and keeps the list of what was asked.
//!
//! A setting exists because code asks for it: key, default, bounds and words stand in that one place, and the documents,
//! the default file and `config show` are printed from the list that the asking leaves behind.

use super::kind::Kind;
use super::problem::{ConfigError, Origin, Problem};
use super::source::{ENV_PREFIX, Entry, Found, Sources, env_name};

/// A setting as it was asked for and answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `section.name`.
    pub key: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// Its bounds, in words; empty where any value of the kind will do.
    pub bounds: String,
    /// What holds unless it is set, as TOML.
    pub default: String,
    /// What holds, as TOML.
    pub value: String,
    /// Who said so.
    pub origin: Origin,
}

/// What a setting is, beside its value.
struct Ask {
    key: &'static str,
    bounds: String,
    help: &'static str,
}

/// Asks for settings.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) sources: &'a Sources,
    pub(super) settings: Vec<Setting>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources) -> Reader<'a> {
        Reader { sources, settings: Vec::new(), problems: Vec::new() }
    }

    /// A setting of any value its kind allows.
    pub(super) fn ask<T: Kind>(&mut self, key: &'static str, default: T, help: &'static str) -> T {
        self.ask_checked(Ask { key, bounds: String::new(), help }, default, |_| Ok(()))
    }

    /// A setting between two bounds, both allowed.
    pub(super) fn between<T: Kind + PartialOrd>(
        &mut self,
        key: &'static str,
        default: T,
        (least, most): (T, T),
        help: &'static str,
    ) -> T {
        let bounds = format!("{} to {}", least.show(), most.show());
        self.ask_checked(Ask { key, bounds, help }, default, |value| {
            if *value < least {
                return Err(format!("{} is below the least, {}", value.show(), least.show()));
            }
            if *value > most {
                return Err(format!("{} is beyond the most, {}", value.show(), most.show()));
            }
            Ok(())
        })
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
        default: T,
        help: &'static str,
    ) -> T {
        let names = words.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let first = words.first().map_or("", |(name, _)| *name);
        let bounds = format!("one of {names}");
        let chosen = self.ask_checked(Ask { key, bounds, help }, first.to_owned(), |value| {
            let known = words.iter().any(|(name, _)| name == value);
            if known { Ok(()) } else { Err(format!("{value:?} is none of {names}")) }
        });
        words.iter().find(|(name, _)| *name == chosen).map_or(default, |(_, value)| *value)
    }

    fn ask_checked<T: Kind>(
        &mut self,
        ask: Ask,
        default: T,
        check: impl FnOnce(&T) -> Result<(), String>,
    ) -> T {
        let Ask { key, bounds, help } = ask;
        let shown_default = default.show();
        let (value, origin) = match self.sources.find(key) {
            None => (default, Origin::Default),
            Some(Found { raw, origin }) => {
                let read = T::read(&raw).and_then(|value| check(&value).map(|()| value));
                match read {
                    Ok(value) => (value, origin),
                    Err(text) => {
                        self.problem(origin.clone(), key, text);
                        (default, origin)
                    }
                }
            }
        };
        self.settings.push(Setting {
            key,
            help,
            bounds,
            default: shown_default,
            value: value.show(),
            origin,
        });
        value
    }

    /// A value of one table of an array of tables.
    pub(super) fn entry_value<T: Kind>(
        &mut self,
        entry: &Entry,
        key: &str,
        name: &str,
    ) -> Option<T> {
        let found = entry.values.get(name)?;
        match T::read(&found.raw) {
            Ok(value) => Some(value),
            Err(text) => {
                self.problem(found.origin.clone(), &format!("{key}.{name}"), text);
                None
            }
        }
    }

    pub(super) fn problem(&mut self, origin: Origin, key: &str, text: impl Into<String>) {
        self.problems.push(Problem { origin, key: key.to_owned(), text: text.into() });
    }

    /// Where a setting that was asked for stands.
    pub(super) fn origin(&self, key: &str) -> Origin {
        let asked = self.settings.iter().find(|setting| setting.key == key);
        asked.map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// Refuses what was said and never asked for, then hands over the list of settings.
    pub(super) fn finish(mut self, arrays: &[&str]) -> Result<Vec<Setting>, ConfigError> {
        self.refuse_unknown_keys(arrays);
        self.refuse_unknown_variables();
        if self.problems.is_empty() {
            Ok(self.settings)
        } else {
            Err(ConfigError { problems: self.problems })
        }
    }

    fn refuse_unknown_keys(&mut self, arrays: &[&str]) {
        let known: Vec<&str> = self.settings.iter().map(|setting| setting.key).collect();
        let mut sections: Vec<&str> = known.iter().filter_map(|key| section_of(key)).collect();
        sections.extend(arrays);
        let mut unknown = Vec::new();
        for (heading, origin) in self.sources.headings() {
            if !sections.contains(&heading) {
                let text = format!("unknown section; {}", advice(nearest(heading, &sections)));
                unknown.push(Problem { origin, key: heading.to_owned(), text });
            }
        }
        for (key, origin) in self.sources.said() {
            // Keys of an unknown section would only repeat what was said of it.
            let repeats = section_of(&key).is_some_and(|section| !sections.contains(&section))
                && !matches!(origin, Origin::Flag(_));
            if !known.contains(&key.as_str()) && !repeats {
                let text = format!("unknown setting; {}", advice(nearest(&key, &known)));
                unknown.push(Problem { origin, key, text });
            }
        }
        self.problems.extend(unknown);
    }

    /// A variable that looks like a setting of ours and is none. Others that begin alike are let be: container systems make
    /// some from a service's name (`POSTRIDER_SERVICE_HOST`).
    fn refuse_unknown_variables(&mut self) {
        let names: Vec<String> =
            self.settings.iter().map(|setting| env_name(setting.key)).collect();
        let heads: Vec<String> = self
            .settings
            .iter()
            .filter_map(|setting| section_of(setting.key))
            .map(|section| format!("{}_", env_name(section)))
            .collect();
        for name in self.sources.env_names().filter(|name| !names.iter().any(|n| n == name)) {
            let near = nearest(name, &names);
            if near.is_some() || heads.iter().any(|head| name.starts_with(head)) {
                let text = format!("no setting has this name; {}", advice(near));
                let origin = Origin::Env(name.to_owned());
                self.problems.push(Problem { origin, key: String::new(), text });
            }
        }
    }
}

/// The section of a key; keys at the head of the file have none.
fn section_of(key: &str) -> Option<&str> {
    key.rsplit_once('.').map(|(section, _)| section)
}

fn advice(near: Option<String>) -> String {
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`postrider config show --default` lists all there are".to_owned(),
    }
}

/// The known name that a misspelt one is nearest to, if it is near at all.
pub(super) fn nearest(name: &str, known: &[impl AsRef<str>]) -> Option<String> {
    let folded = name.strip_prefix(ENV_PREFIX).unwrap_or(name).to_ascii_lowercase();
    let tail = |name: &str| name.rsplit_once('.').map(|(_, tail)| tail.to_owned());
    known
        .iter()
        .map(|known| {
            let known = known.as_ref();
            let plain = known.strip_prefix(ENV_PREFIX).unwrap_or(known).to_ascii_lowercase();
            // The right name in the wrong section is as near as one slip.
            let moved = if tail(&plain).is_some() && tail(&plain) == tail(&folded) {
                1
            } else {
                usize::MAX
            };
            (slips(&folded, &plain).min(moved), known)
        })
        .min()
        .filter(|(slips, known)| *slips <= 2 + known.len() / 8)
        .map(|(_, known)| known.to_owned())
}

/// How many letters were added, left out or changed (Levenshtein's distance).
fn slips(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(row.first_mut().unwrap_or(&mut 0), i + 1);
        for (j, y) in b.iter().enumerate() {
            let left = row.get(j).copied().unwrap_or(usize::MAX);
            let Some(cell) = row.get_mut(j + 1) else { break };
            let changed = diagonal + usize::from(x != *y);
            diagonal = std::mem::replace(cell, changed.min(left + 1).min(*cell + 1));
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_the_name_that_was_meant() {
        let known = ["limits.message_size", "limits.recipients", "hostname"];
        assert_eq!(nearest("limits.mesage_size", &known).as_deref(), Some("limits.message_size"));
        assert_eq!(nearest("hostnme", &known).as_deref(), Some("hostname"));
        assert_eq!(nearest("queue.recipients", &known).as_deref(), Some("limits.recipients"));
        assert_eq!(nearest("telemetry", &known), None);
    }

    #[test]
    fn slips_are_counted_as_letters_added_left_out_or_changed() {
        assert_eq!(slips("", "abc"), 3);
        assert_eq!(slips("abc", "abc"), 0);
        assert_eq!(slips("kitten", "sitting"), 3);
    }
}
