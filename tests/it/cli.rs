//! The commands as scripts meet them: exit codes, help, JSON, and what is said when no server runs.

use std::process::{Command, Output};

use crate::support::server::BINARY;

/// A command in a folder where no server runs.
fn run(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    Command::new(BINARY).args(arguments).current_dir(folder.path()).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[test]
fn a_wrong_command_line_exits_64_and_help_exits_0() {
    for wrong in
        [&["frobnicate"][..], &[], &["serve", "--port", "25"], &["config", "show", "--orgin"]]
    {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(64), "for {wrong:?}: {}", text(&output.stderr));
    }
    for right in [&["--help"][..], &["serve", "--help"], &["--version"], &["version"]] {
        let output = run(right);
        assert_eq!(output.status.code(), Some(0), "for {right:?}: {}", text(&output.stderr));
    }
}

#[test]
fn help_shows_examples() {
    for command in
        [&["--help"][..], &["serve", "--help"], &["init", "--help"], &["config", "check", "--help"]]
    {
        let output = run(command);
        assert!(text(&output.stdout).contains("Examples:"), "for {command:?}");
    }
}

#[test]
fn completions_are_there_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("config"), "for {shell}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let script = format!("'{BINARY}' config show --default | head -n 1");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
}
