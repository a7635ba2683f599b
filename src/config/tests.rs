//! What the bootstrap file promises.

use std::path::Path;

use super::*;

fn read(text: &str) -> Result<Loaded, ConfigError> {
    let mut sources = Sources::default();
    sources.read_text(Path::new("/etc/p.toml"), text)?;
    load(&sources)
}

#[track_caller]
fn refuses(text: &str, want: &str) {
    let error = read(text).err().unwrap_or_else(|| panic!("{text:?} was taken"));
    let told: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    assert_eq!(told, [want], "for {text:?}");
}

const HOST: &str = "hostname = \"mail.example.org\"\n";

#[test]
fn the_least_file_gives_the_defaults() {
    let config = read(HOST).unwrap().config;
    assert_eq!(config.hostname.as_str(), "mail.example.org");
    assert_eq!(config.limits.message_size, Size::mib(40));
    assert_eq!(config.queue.max_age, Span::days(4));
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.data_dir, Path::new("postrider-data"));
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_name_that_was_meant() {
    refuses(
        &format!("{HOST}[limits]\nmesage_size = \"1 MiB\""),
        "/etc/p.toml:3:1: limits.mesage_size: unknown setting; did you mean `limits.message_size`?",
    );
    refuses(
        &format!("{HOST}[limit]\nrecipients = 5"),
        "/etc/p.toml:2:2: limit: unknown section; did you mean `limits`?",
    );
    refuses(
        &format!("{HOST}[cluster]\nnode = 5"),
        "/etc/p.toml:2:2: cluster: unknown section; `postrider config show --default` lists all there are",
    );
}

#[test]
fn a_value_without_its_unit_is_refused_with_its_place() {
    refuses(
        &format!("{HOST}[limits]\nmessage_size = 40"),
        "/etc/p.toml:3:16: limits.message_size: 40 has no unit; write for example \"40 MiB\"",
    );
    refuses(
        &format!("{HOST}queue.max_age = \"4 days\""),
        "/etc/p.toml:2:17: queue.max_age: \"4 days\" has the unknown unit `days`; write a whole number and ms, s, m, h or d, such as \"90s\" or \"4d\"",
    );
}

#[test]
fn a_value_beyond_its_bounds_is_refused() {
    refuses(
        &format!("{HOST}[limits]\nrecipients = 5"),
        "/etc/p.toml:3:14: limits.recipients: 5 is below the least, 100",
    );
    refuses(
        &format!("{HOST}[store]\nsegment_size = \"1 MiB\""),
        "/etc/p.toml:3:16: store.segment_size: \"1 MiB\" is below the least, \"4 MiB\"",
    );
    refuses(
        &format!("{HOST}[log]\nformat = \"xml\""),
        "/etc/p.toml:3:10: log.format: \"xml\" is none of auto, pretty, json",
    );
}

#[test]
fn what_is_not_toml_is_refused_with_its_place() {
    let error = read("hostname = \"a\nb\"").unwrap_err().to_string();
    assert!(error.contains("/etc/p.toml:2:3"), "{error}");
    assert!(error.contains("is not TOML"), "{error}");
}

#[test]
fn every_problem_is_told_at_once() {
    let error = read("hostname = \"a b\"\n[limits]\nrecipients = 1\nx = 1").unwrap_err();
    assert_eq!(error.problems.len(), 3, "{error}");
}

#[test]
fn a_listener_says_what_it_lacks() {
    refuses(
        &format!("{HOST}[[listener]]\naddress = \"127.0.0.1:25\"\nmode = \"open\""),
        "/etc/p.toml:4:8: listener[0].mode: \"open\" is none of starttls, tls, trusted",
    );
    refuses(
        &format!("{HOST}[[listener]]\naddress = \"127.0.0.1\"\nmode = \"tls\""),
        "/etc/p.toml:3:11: listener[0].address: \"127.0.0.1\" is no address with a port; write one such as \"127.0.0.1:8025\" or \"[::1]:8025\"",
    );
    refuses(
        &format!("{HOST}[[listener]]\naddress = \"127.0.0.1:25\"\nmode = \"trusted\""),
        "/etc/p.toml:4:8: listener[0]: trusts clients without AUTH, so it needs sources = [\"192.0.2.0/24\"] and credential = \"NAME\"",
    );
}

#[test]
fn the_environment_lies_over_the_file_and_flags_over_both() {
    let mut sources = Sources::default();
    let text = format!("{HOST}[limits]\nrecipients = 200\nerrors = 30\ncommands = 500");
    sources.read_text(Path::new("p.toml"), &text).unwrap();
    let env = [("POSTRIDER_LIMITS_RECIPIENTS", "300"), ("POSTRIDER_LIMITS_ERRORS", "31")];
    sources.with_env(env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    sources.with_flag("limits.recipients", "400".into(), "--set");
    let loaded = load(&sources).unwrap();
    let limits = &loaded.config.limits;
    assert_eq!((limits.recipients, limits.errors, limits.commands), (400, 31, 500));
    assert_eq!(loaded.origin("limits.recipients").to_string(), "flag --set");
    assert_eq!(loaded.origin("limits.errors").to_string(), "environment POSTRIDER_LIMITS_ERRORS");
    assert_eq!(loaded.origin("limits.commands").to_string(), "p.toml:5:12");
    assert_eq!(loaded.origin("limits.connections"), Origin::Default);
}

#[test]
fn a_misspelt_environment_variable_is_refused() {
    let mut sources = Sources::default();
    sources.read_text(Path::new("p.toml"), HOST).unwrap();
    let env = ("POSTRIDER_LIMITS_RECIPIENT".to_owned(), "300".to_owned());
    sources.with_env(std::iter::once(env));
    assert_eq!(
        load(&sources).unwrap_err().problems.first().unwrap().to_string(),
        "environment POSTRIDER_LIMITS_RECIPIENT: no setting has this name; did you mean `POSTRIDER_LIMITS_RECIPIENTS`?"
    );
}

#[test]
fn the_default_file_is_read_back_as_the_defaults() {
    let hostname = Domain::parse("mail.example.org").unwrap();
    let text = default_file::text(Some(&hostname), Some(Path::new("/var/lib/postrider")));
    let loaded = read(&text).unwrap();
    assert_eq!(loaded.config.data_dir, Path::new("/var/lib/postrider"));
    assert_eq!(loaded.config.listeners, sections::default_listeners());
    // What is commented out is valid as it stands, too.
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.split_once(" = ").is_some_and(|(k, _)| !k.contains(' ')) => rest,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let all = read(&uncommented).unwrap();
    assert!(
        all.settings
            .iter()
            .all(|s| s.value == s.default || ["hostname", "data_dir"].contains(&s.key))
    );
    assert!(
        all.settings.iter().all(|s| s.origin != Origin::Default),
        "every setting is in the file"
    );
}

#[test]
fn a_relative_data_folder_starts_at_the_file() {
    let loaded = read(&format!("{HOST}data_dir = \"data\"")).unwrap();
    assert_eq!(loaded.config.data_dir, Path::new("/etc/data"));
}
