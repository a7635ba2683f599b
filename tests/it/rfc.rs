//! Every rule that the code cites stands in `assets/rfc.tsv`, and the README's table is made from it.
//!
//! `POSTRIDER_UPDATE=1` adds missing rows and rewrites the README's table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// RFCs that later ones replaced: citing one is a mistake.
const SUPERSEDED: &[(u32, u32)] = &[
    (821, 5321),
    (822, 5322),
    (2821, 5321),
    (2822, 5322),
    (4871, 6376),
    (1869, 5321),
    (1652, 6152),
    (2554, 4954),
    (4409, 6409),
];

#[derive(Debug, Clone)]
struct Row {
    status: String,
    note: String,
}

type Table = BTreeMap<(u32, String), Row>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cited() -> BTreeSet<(u32, String)> {
    let pattern = Regex::new(r"RFC (\d+)(?: §([A-Z]?[\d.]*\d))?").unwrap();
    let mut folders: Vec<PathBuf> = vec![root().join("src")];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(path).unwrap();
                for c in pattern.captures_iter(&text) {
                    let section = c.get(2).map_or(String::new(), |s| s.as_str().to_owned());
                    found.insert((c[1].parse().unwrap(), section));
                }
            }
        }
    }
    found
}

fn table() -> Table {
    let text = fs::read_to_string(root().join("assets/rfc.tsv")).unwrap_or_default();
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let [rfc, section, status, note] = cells[..] else {
                panic!("four cells, not {line:?}")
            };
            assert!(["yes", "partly", "no"].contains(&status), "status of {line:?}");
            (
                (rfc.parse().unwrap(), section.to_owned()),
                Row { status: status.to_owned(), note: note.to_owned() },
            )
        })
        .collect()
}

fn save(table: &Table) {
    let mut text = String::from(
        "# RFC\tsection\tstatus (yes, partly, no)\tnote. A row without section names the RFC.\n",
    );
    for ((rfc, section), row) in table {
        writeln!(text, "{rfc}\t{section}\t{}\t{}", row.status, row.note).unwrap();
    }
    fs::write(root().join("assets/rfc.tsv"), text).unwrap();
}

/// The README's table: one line an RFC, its weakest section's status, its title.
fn for_readme(table: &Table) -> String {
    let mut text = String::from("| RFC | | what | sections |\n|---|---|---|---|\n");
    let rfcs: BTreeSet<u32> = table.keys().map(|(rfc, _)| *rfc).collect();
    for rfc in rfcs {
        let rows: Vec<_> = table.iter().filter(|((r, _), _)| *r == rfc).collect();
        let whole = rows.iter().find(|((_, section), _)| section.is_empty());
        let title = whole.map_or("", |(_, row)| row.note.as_str());
        let weakest = ["no", "partly", "yes"]
            .into_iter()
            .find(|s| rows.iter().any(|(_, row)| row.status == *s));
        let sections: Vec<&str> =
            rows.iter().map(|((_, s), _)| s.as_str()).filter(|s| !s.is_empty()).collect();
        writeln!(text, "| {rfc} | {} | {title} | {} |", weakest.unwrap(), sections.join(", "))
            .unwrap();
    }
    text
}

const BEGIN: &str = "<!-- rfc table: made by tests/it/rfc.rs -->\n";
const END: &str = "<!-- end of rfc table -->";

fn readme() -> (String, String, String) {
    let text = fs::read_to_string(root().join("README.md")).unwrap_or_default();
    let (head, rest) = text.split_once(BEGIN).unwrap_or((&text, ""));
    let (middle, tail) = rest.split_once(END).unwrap_or(("", ""));
    (head.to_owned(), middle.to_owned(), tail.to_owned())
}

#[test]
fn every_cited_rule_stands_in_the_table() {
    let (cited, mut table) = (cited(), table());
    let rfcs: BTreeSet<(u32, String)> =
        cited.iter().map(|(rfc, _)| (*rfc, String::new())).collect();
    let wanted: BTreeSet<_> = cited.union(&rfcs).cloned().collect();
    if std::env::var_os("POSTRIDER_UPDATE").is_some() {
        table.retain(|key, row| wanted.contains(key) || row.status != "yes");
        for key in &wanted {
            table.entry(key.clone()).or_insert(Row { status: "yes".into(), note: String::new() });
        }
        save(&table);
    }
    let missing: Vec<_> = wanted.iter().filter(|key| !table.contains_key(*key)).collect();
    let stale: Vec<_> =
        table.iter().filter(|(k, row)| row.status == "yes" && !wanted.contains(*k)).collect();
    assert!(
        missing.is_empty(),
        "cited and not in assets/rfc.tsv (POSTRIDER_UPDATE=1 adds them): {missing:?}"
    );
    assert!(stale.is_empty(), "in assets/rfc.tsv as done and cited nowhere: {stale:?}");
}

#[test]
fn no_superseded_rfc_is_cited() {
    let wrong: Vec<_> = cited()
        .into_iter()
        .filter_map(|(rfc, section)| {
            let (_, now) = SUPERSEDED.iter().find(|(old, _)| *old == rfc)?;
            Some(format!("RFC {rfc} §{section}: RFC {now} replaced it"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readme_shows_the_table_of_rfcs() {
    let (head, shown, tail) = readme();
    let made = for_readme(&table());
    if std::env::var_os("POSTRIDER_UPDATE").is_some() && !head.is_empty() {
        fs::write(root().join("README.md"), format!("{head}{BEGIN}{made}{END}{tail}")).unwrap();
        return;
    }
    assert_eq!(
        shown, made,
        "README.md's table is not assets/rfc.tsv's (POSTRIDER_UPDATE=1 rewrites it)"
    );
}
