//! The house keeps its floors: imports point down, each crate has one home, no file outgrows its name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Floors from the ground up; an import may point to a lower floor only, or sideways as [`SIDEWAYS`] says.
const FLOORS: &[&[&str]] = &[
    &["mail", "clock", "config", "telemetry", "supervise"],
    &["smtp", "message", "token"],
    &["store", "access", "identity", "egress", "suppression", "events", "net"],
    &["intake", "queue", "delivery", "feedback", "reputation", "migration", "cluster"],
    &["submission", "http", "simulator"],
    &["cli", "app"],
];

/// Edges on one floor: state may keep itself in the store, ask the network and write events; wiring is one room.
const SIDEWAYS: &[(&str, &str)] = &[
    ("access", "store"),
    ("access", "net"),
    ("access", "events"),
    ("identity", "store"),
    ("identity", "net"),
    ("identity", "events"),
    ("egress", "store"),
    ("egress", "net"),
    ("egress", "events"),
    ("suppression", "store"),
    ("suppression", "net"),
    ("suppression", "events"),
    ("events", "store"),
    ("events", "net"),
    ("migration", "reputation"),
    ("supervise", "telemetry"),
    ("telemetry", "mail"),
    ("config", "mail"),
    ("config", "telemetry"),
    // Delivery fills the trait that the queue declares.
    ("delivery", "queue"),
    ("cli", "app"),
    ("app", "cli"),
];

/// A crate and the only rooms that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("sled", &["store"]),
    ("mail_send", &["delivery"]),
    ("mail_auth", &["message", "identity", "feedback", "delivery"]),
    ("rust_embed", &["http"]),
    ("axum", &["http"]),
    ("hyper", &["http", "cli"]),
    ("prometheus_client", &["http", "telemetry"]),
    ("hickory_resolver", &["net"]),
    ("clap", &["cli", "main"]),
];

/// Calls that have one home each.
const CALLS: &[(&str, &str)] = &[
    ("SystemTime::now", "clock"),
    ("Instant::now", "clock"),
    ("tokio::spawn", "supervise"),
    ("task::spawn(", "supervise"),
];

const LINES_MAX: usize = 600;

struct Source {
    path: PathBuf,
    room: String,
    /// Without comments and without the tests at its end.
    code: String,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(source(&root, path));
            }
        }
    }
    assert!(found.len() > 10, "the test reads the sources it is meant for");
    found
}

fn source(root: &Path, path: PathBuf) -> Source {
    let text = fs::read_to_string(&path).unwrap();
    let place = path.strip_prefix(root).unwrap();
    let top = place.components().next().unwrap().as_os_str().to_str().unwrap();
    let is_test =
        place.file_stem().is_some_and(|s| s == "tests" || s.to_str().unwrap().ends_with("_tests"));
    let ours = if is_test { "" } else { text.split("#[cfg(test)]\nmod ").next().unwrap() };
    let code = ours.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>();
    let home = top.trim_end_matches(".rs").to_owned();
    Source { lines: text.lines().count(), code: code.join("\n"), room: home, path }
}

/// Every room that the code names after `crate::`, also in a braced list.
fn named_rooms(code: &str) -> BTreeSet<String> {
    let one = Regex::new(r"\bcrate::([a-z_]+)").unwrap();
    let list = Regex::new(r"(?s)\bcrate::\{(.*?)\};").unwrap();
    let mut rooms: BTreeSet<String> = one.captures_iter(code).map(|c| c[1].to_owned()).collect();
    for group in list.captures_iter(code) {
        let mut depth = 0;
        let mut item = String::new();
        for c in group[1].chars().chain([',']) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    let room = item.trim().split("::").next().unwrap_or_default().to_owned();
                    rooms.extend(Some(room).filter(|room| !room.is_empty()));
                    item.clear();
                    continue;
                }
                _ => {}
            }
            item.push(c);
        }
    }
    rooms
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn imports_point_down_the_floors() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| s.room != "main" && s.room != "lib") {
        let Some(own) = floor(&source.room) else {
            wrong.push(format!("{} is on no floor", source.path.display()));
            continue;
        };
        for room in named_rooms(&source.code).into_iter().filter(|room| *room != source.room) {
            let down = floor(&room).is_some_and(|other| other < own);
            if !down && !SIDEWAYS.contains(&(&source.room, &room)) {
                wrong.push(format!("{} imports {room}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not point down:\n{}", wrong.join("\n"));
}

#[test]
fn each_crate_and_each_call_has_one_home() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, homes) in HOMES {
            let used = Regex::new(&format!(r"\b{name}::")).unwrap().is_match(&source.code);
            if used && !homes.contains(&source.room.as_str()) {
                wrong.push(format!("{} names {name}", source.path.display()));
            }
        }
        for (call, home) in CALLS {
            if source.code.contains(call) && source.room != *home {
                wrong.push(format!("{} calls {call}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "away from home:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_outgrows_its_name() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|s| s.lines > LINES_MAX)
        .map(|s| format!("{}: {} lines", s.path.display(), s.lines))
        .collect();
    assert!(long.is_empty(), "files over {LINES_MAX} lines are two nouns:\n{}", long.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_every_form() {
    let code = "use crate::mail::Domain;\nuse crate::{\n    store::{Store, Change},\n    net,\n};\nlet x = crate::clock::now();";
    let rooms: Vec<String> = named_rooms(code).into_iter().collect();
    assert_eq!(rooms, ["clock", "mail", "net", "store"]);
}
