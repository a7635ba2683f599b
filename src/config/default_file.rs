//! The bootstrap file that `init` writes: every setting with its words, its bounds and its default, commented out.

use std::fmt::Write as _;
use std::path::Path;

use crate::mail::Domain;

/// What stands at the head.
const HEAD: &str = "\
# Postrider's bootstrap file: what the process needs to start. All else (domains, credentials, routes, configuration
# sets) lives in the store and is changed with the commands while it runs.
#
# What is commented out shows the default. Environment variables lie over this file (`limits.message_size` is
# POSTRIDER_LIMITS_MESSAGE_SIZE) and flags over both. `postrider config show --origin` tells which value holds and why.
";

/// The array of listeners, which stands before the first section.
const LISTENERS: &str = "
# Where mail is taken. mode = \"starttls\" wants TLS before AUTH, \"tls\" speaks it from the first octet, and \"trusted\" lets the
# named sources submit without AUTH as the named credential, with all its limits:
#   [[listener]]
#   address = \"127.0.0.1:2526\"
#   mode = \"trusted\"
#   sources = [\"127.0.0.0/8\"]
#   credential = \"NAME\"

[[listener]]
address = \"[::]:587\"
mode = \"starttls\"

[[listener]]
address = \"[::]:465\"
mode = \"tls\"
";

/// The file's text for a host and a data folder; `None` leaves the default.
pub fn text(hostname: Option<&Domain>, data_dir: Option<&Path>) -> String {
    let mut out = HEAD.to_owned();
    let mut section = "";
    for setting in super::defaults() {
        let (own, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
        if own != section {
            if section.is_empty() {
                out.push_str(LISTENERS);
            }
            section = own;
            let _ = write!(out, "\n[{section}]\n");
        }
        let _ = write!(out, "\n# {}\n", setting.help);
        if !setting.bounds.is_empty() {
            let _ = writeln!(out, "# Bounds: {}.", setting.bounds);
        }
        let value = match setting.key {
            "hostname" => hostname.map(|name| super::kind::quoted(name.as_str())),
            "data_dir" => data_dir.map(|dir| super::kind::quoted(&dir.to_string_lossy())),
            _ => None,
        };
        let _ = match value {
            Some(value) => writeln!(out, "{name} = {value}"),
            None => writeln!(out, "# {name} = {}", setting.default),
        };
    }
    out
}
