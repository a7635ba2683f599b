//! The kinds of values a setting may have: how each is read from what was written, and written back.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::source::Raw;
use super::units::{Size, Span};
use crate::mail::Domain;
use crate::mail::network::Network;

/// A kind of value.
pub(super) trait Kind: Sized + Clone {
    /// Reads what was written; the error completes "the value …".
    fn read(raw: &Raw) -> Result<Self, String>;
    /// As the bootstrap file writes it.
    fn show(&self) -> String;
}

/// A text in TOML's quotes.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The text of a value that must be one.
fn text(raw: &Raw, example: &str) -> Result<String, String> {
    match raw {
        Raw::Text(text) | Raw::Loose(text) => Ok(text.clone()),
        Raw::Number(number) => {
            Err(format!("{number} is a bare number; write a text such as {example}"))
        }
        Raw::Flag(flag) => Err(format!("{flag} is not a text; write one such as {example}")),
        Raw::List(_) => Err(format!("is a list; write one text such as {example}")),
        Raw::Other(what) => Err(format!("is {what}; write a text such as {example}")),
    }
}

impl Kind for String {
    fn read(raw: &Raw) -> Result<String, String> {
        text(raw, "\"…\"")
    }
    fn show(&self) -> String {
        quoted(self)
    }
}

impl Kind for PathBuf {
    fn read(raw: &Raw) -> Result<PathBuf, String> {
        match text(raw, "\"/path\"")? {
            text if text.is_empty() => Err("is empty; write a path".into()),
            text => Ok(PathBuf::from(text)),
        }
    }
    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Kind for Size {
    fn read(raw: &Raw) -> Result<Size, String> {
        if let Raw::Number(number) = raw {
            return Err(format!("{number} has no unit; write for example \"{number} MiB\""));
        }
        let text = text(raw, "\"40 MiB\"")?;
        Size::parse(&text).map_err(|e| {
            format!("{text:?} {e}; write a whole number and B, KiB, MiB or GiB, such as \"40 MiB\"")
        })
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Kind for Span {
    fn read(raw: &Raw) -> Result<Span, String> {
        if let Raw::Number(number) = raw {
            return Err(format!("{number} has no unit; write for example \"{number}s\""));
        }
        let text = text(raw, "\"90s\"")?;
        Span::parse(&text).map_err(|e| {
            format!(
                "{text:?} {e}; write a whole number and ms, s, m, h or d, such as \"90s\" or \"4d\""
            )
        })
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Kind for u64 {
    fn read(raw: &Raw) -> Result<u64, String> {
        let read = match raw {
            Raw::Number(number) => u64::try_from(*number).ok(),
            Raw::Loose(text) => text.trim().parse().ok(),
            Raw::Text(text) => {
                return Err(format!("{text:?} is a text; write a number without quotes"));
            }
            Raw::Flag(_) | Raw::List(_) | Raw::Other(_) => None,
        };
        read.ok_or_else(|| "is not a whole number from 0 up".to_owned())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Kind for bool {
    fn read(raw: &Raw) -> Result<bool, String> {
        match raw {
            Raw::Flag(flag) => Ok(*flag),
            Raw::Loose(text) if text == "true" => Ok(true),
            Raw::Loose(text) if text == "false" => Ok(false),
            Raw::Text(_) | Raw::Number(_) | Raw::List(_) | Raw::Loose(_) | Raw::Other(_) => {
                Err("is neither true nor false; write one of them, without quotes".to_owned())
            }
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Kind for Domain {
    fn read(raw: &Raw) -> Result<Domain, String> {
        let text = text(raw, "\"mail.example.org\"")?;
        Domain::parse(&text).map_err(|e| {
            format!("{text:?} is no host name: {e}; write one such as \"mail.example.org\"")
        })
    }
    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

impl Kind for SocketAddr {
    fn read(raw: &Raw) -> Result<SocketAddr, String> {
        let text = text(raw, "\"127.0.0.1:8025\"")?;
        text.trim().parse().map_err(|_| {
            format!("{text:?} is no address with a port; write one such as \"127.0.0.1:8025\" or \"[::1]:8025\"")
        })
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Kind for IpAddr {
    fn read(raw: &Raw) -> Result<IpAddr, String> {
        let text = text(raw, "\"203.0.113.7\"")?;
        text.trim().parse().map_err(|_| {
            format!(
                "{text:?} is no IP address; write one such as \"203.0.113.7\" or \"2001:db8::7\""
            )
        })
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Kind for Network {
    fn read(raw: &Raw) -> Result<Network, String> {
        let text = text(raw, "\"192.0.2.0/24\"")?;
        let network: Network =
            text.trim().parse().map_err(|error| format!("{text:?} is no network: {error}"))?;
        // Bits beyond the prefix are a slip of the pen in a list of whom to trust.
        let address = text.split('/').next().and_then(|a| a.trim().parse::<IpAddr>().ok());
        let meant = network.to_string();
        let shown = meant.split('/').next().and_then(|a| a.parse::<IpAddr>().ok());
        if address.map(|a| a.to_canonical()) == shown {
            Ok(network)
        } else {
            Err(format!("{text:?} has bits beyond its prefix; write {meant:?} or one address"))
        }
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

/// A setting that may be absent; an empty text of the environment takes it away.
impl<T: Kind> Kind for Option<T> {
    fn read(raw: &Raw) -> Result<Option<T>, String> {
        if let Raw::Loose(text) | Raw::Text(text) = raw
            && text.is_empty()
        {
            return Ok(None);
        }
        T::read(raw).map(Some)
    }
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), T::show)
    }
}

/// A list; in the environment and in flags its items are parted by commas.
impl<T: Kind> Kind for Vec<T> {
    fn read(raw: &Raw) -> Result<Vec<T>, String> {
        match raw {
            Raw::List(items) => items.iter().map(T::read).collect(),
            Raw::Loose(text) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| T::read(&Raw::Loose(item.to_owned())))
                .collect(),
            Raw::Text(_) => Err("is one text; write a list such as [\"…\"]".to_owned()),
            Raw::Number(_) | Raw::Flag(_) | Raw::Other(_) => {
                Err("is no list; write one such as [\"…\"]".to_owned())
            }
        }
    }
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(T::show).collect::<Vec<_>>().join(", "))
    }
}
