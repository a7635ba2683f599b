//! What an identity's domain must say in DNS. Pure: nothing is looked up.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use crate::mail::Domain;
use crate::message::dkim::DkimKey;

/// Octets of one string of a TXT record (RFC 1035 §3.3).
const STRING_OCTETS_MAX: usize = 255;

/// Type of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsKind {
    /// Text.
    Txt,
    /// Mail exchanger.
    Mx,
}

/// How much a record matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Mail is refused or not believed without it.
    Required,
    /// Large receivers expect it.
    Recommended,
}

/// One record to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecord {
    /// Its name, without a final dot.
    pub name: String,
    /// Its type.
    pub kind: DnsKind,
    /// Its value: the whole text of a TXT record, or `10 host` of an MX record.
    pub value: String,
    /// How much it matters.
    pub need: Need,
    /// What it is for, for people.
    pub purpose: &'static str,
}

impl DnsRecord {
    /// As a line of a zone file (RFC 1035 §5.1): names with their final dots, text in strings of at most 255 octets.
    pub fn zone_line(&self) -> String {
        match self.kind {
            DnsKind::Txt => {
                let strings: Vec<String> = split_octets(&self.value, STRING_OCTETS_MAX)
                    .map(|part| format!("\"{}\"", part.replace('\\', "\\\\").replace('"', "\\\"")))
                    .collect();
                format!("{}. IN TXT {}", self.name, strings.join(" "))
            }
            DnsKind::Mx => format!("{}. IN MX {}.", self.name, self.value),
        }
    }
}

/// Cuts ASCII text into pieces of at most `max` octets.
fn split_octets(text: &str, max: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (part, after) = rest.split_at_checked(max).unwrap_or((rest, ""));
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

/// The records of one domain: its keys, where its bounces go, and DMARC.
pub(super) fn of_domain(
    domain: &Domain,
    keys: &[Arc<DkimKey>],
    bounce: &Domain,
    hostname: &Domain,
    exits: &[IpAddr],
) -> Vec<DnsRecord> {
    let mut records: Vec<DnsRecord> = keys
        .iter()
        .map(|key| DnsRecord {
            name: key.record_name(),
            kind: DnsKind::Txt,
            value: key.record_value(),
            need: Need::Required,
            purpose: "DKIM key: lets receivers check our signatures",
        })
        .collect();
    records.push(DnsRecord {
        name: bounce.to_string(),
        kind: DnsKind::Mx,
        value: format!("10 {hostname}"),
        need: Need::Required,
        purpose: "MX of the return path: reports about undelivered mail come back to us",
    });
    records.push(DnsRecord {
        name: bounce.to_string(),
        kind: DnsKind::Txt,
        value: spf(hostname, exits),
        need: Need::Required,
        purpose: "SPF of the return path: lets our addresses send for it",
    });
    records.push(DnsRecord {
        name: format!("_dmarc.{domain}"),
        kind: DnsKind::Txt,
        value: "v=DMARC1; p=none".to_owned(),
        need: Need::Recommended,
        purpose: "DMARC: large receivers want one; tighten p= once all mail is signed. Keep an existing record",
    });
    records
}

/// RFC 7208 §4.5: the addresses we send from, or our own name's where none are known.
fn spf(hostname: &Domain, exits: &[IpAddr]) -> String {
    let mut out = "v=spf1".to_owned();
    for exit in exits {
        let kind = if exit.is_ipv4() { "ip4" } else { "ip6" };
        let _ = write!(out, " {kind}:{exit}");
    }
    if exits.is_empty() {
        let _ = write!(out, " a:{hostname}");
    }
    out.push_str(" -all");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_told_every_record_with_its_full_value() {
        let domain = |text| Domain::parse(text).unwrap();
        let der = mail_auth::common::crypto::Ed25519Key::generate_pkcs8().unwrap();
        let key = Arc::new(DkimKey::ed25519(domain("example.org"), "pr-1-e", &der).unwrap());
        let exits = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let hostname = domain("mail.example.com");
        let records = of_domain(
            &domain("example.org"),
            &[key],
            &domain("bounce.example.org"),
            &hostname,
            &exits,
        );
        let lines: Vec<String> = records.iter().map(DnsRecord::zone_line).collect();
        assert!(
            lines[0].starts_with("pr-1-e._domainkey.example.org. IN TXT \"v=DKIM1; k=ed25519; p=")
        );
        assert_eq!(
            lines[1..],
            [
                "bounce.example.org. IN MX 10 mail.example.com.",
                "bounce.example.org. IN TXT \"v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all\"",
                "_dmarc.example.org. IN TXT \"v=DMARC1; p=none\"",
            ]
        );
        assert_eq!(spf(&hostname, &[]), "v=spf1 a:mail.example.com -all");
    }

    #[test]
    fn a_long_text_is_cut_into_strings_that_dns_can_hold() {
        let record = DnsRecord {
            name: "a.example".into(),
            kind: DnsKind::Txt,
            value: "x".repeat(600),
            need: Need::Required,
            purpose: "",
        };
        let line = record.zone_line();
        let strings: Vec<usize> = line.split('"').skip(1).step_by(2).map(str::len).collect();
        assert_eq!(strings, [255, 255, 90]);
    }
}
