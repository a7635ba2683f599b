//! Foreign clients in `tests/clients`, with the packages that `tests/run` installed.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// Where `tests/run` puts what it installs.
fn cache() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache");
    env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("postrider")
}

/// A script of `tests/clients` in Python.
pub fn python(name: &str) -> Command {
    let python = env::var_os("POSTRIDER_TEST_PYTHON")
        .map_or_else(|| cache().join("python/bin/python3"), PathBuf::from);
    assert!(python.exists(), "{} is missing: run tests/run once", python.display());
    let mut command = Command::new(python);
    command.arg(script(name));
    command
}

/// A script of `tests/clients` in JavaScript; its first argument is the folder that holds `node_modules`.
pub fn node(name: &str) -> Command {
    let modules =
        env::var_os("POSTRIDER_TEST_NODE").map_or_else(|| cache().join("node"), PathBuf::from);
    assert!(modules.exists(), "{} is missing: run tests/run once", modules.display());
    let mut command = Command::new("node");
    command.arg(script(name)).arg(modules);
    command
}
