//! Routes: where mail for some domains goes instead of their MX. The table decides nothing else, and looks nothing up.
//!
//! Operators' routes are kept in the store; those of the process itself, such as the simulator's, are given at start and go
//! before them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::mail::Domain;
use crate::mail::facts::TlsPolicy;
use crate::store::{Change, Store, StoreFailed, kind};

/// Routes of an operator; each is looked at for every new destination.
pub const ROUTES_MAX: usize = 1000;

/// Which domains a route is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// One domain.
    Exact(Domain),
    /// Every domain below one: `*.example.org`.
    Below(Domain),
    /// Every domain: `*`.
    All,
}

/// What a route does about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Tls {
    /// Plain text only.
    Never,
    /// STARTTLS where it is offered.
    #[default]
    Opportunistic,
    /// STARTTLS or nothing, with any certificate.
    Require,
    /// STARTTLS with a trusted certificate for the host's name.
    Verify,
    /// TLS from the first octet, with a trusted certificate (RFC 8314 §3.3).
    Implicit,
}

impl Tls {
    /// All of them.
    pub const ALL: [Tls; 5] =
        [Tls::Never, Tls::Opportunistic, Tls::Require, Tls::Verify, Tls::Implicit];

    /// Its word in commands and answers.
    pub const fn word(self) -> &'static str {
        match self {
            Tls::Never => "never",
            Tls::Opportunistic => "opportunistic",
            Tls::Require => "require",
            Tls::Verify => "verify",
            Tls::Implicit => "implicit",
        }
    }

    /// What it demands of every message.
    pub const fn policy(self) -> TlsPolicy {
        match self {
            Tls::Never | Tls::Opportunistic => TlsPolicy::Opportunistic,
            Tls::Require => TlsPolicy::Require,
            Tls::Verify | Tls::Implicit => TlsPolicy::Verify,
        }
    }
}

/// The host of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name, to be looked up.
    Name(Domain),
    /// An address.
    Address(IpAddr),
}

/// Where mail for some domains goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRule {
    /// For which domains.
    pub pattern: Pattern,
    /// To which host; loopback and private addresses are allowed, since the route names them.
    pub host: Host,
    /// The host's port.
    pub port: u16,
    /// What is done about TLS.
    pub tls: Tls,
}

/// Why a route cannot be.
#[derive(Debug)]
pub enum RouteError {
    /// The pattern is no domain, `*.domain` or `*`.
    Pattern(String),
    /// The host is no domain and no address.
    Host(String),
    /// The port is nought.
    Port,
    /// TLS is none of the words.
    Tls(String),
    /// There are [`ROUTES_MAX`] already.
    Many,
    /// No route has this pattern.
    Unknown(String),
    /// The store.
    Store(StoreFailed),
}

/// The table. Cheap to clone.
#[derive(Clone)]
pub struct Routes {
    table: Arc<RwLock<Table>>,
    store: Option<Store>,
}

#[derive(Default)]
struct Table {
    built_in: Vec<Arc<RouteRule>>,
    /// Most specific first.
    kept: Vec<Arc<RouteRule>>,
    /// Counts changes, so that what was derived from the table can be thrown away.
    version: u64,
}

impl Routes {
    /// The routes in `store`, behind `built_in`.
    pub fn open(store: Store, built_in: Vec<RouteRule>) -> Result<Routes, StoreFailed> {
        let records = store.scan(&kind::key(kind::ROUTE, &[]), None, ROUTES_MAX)?;
        let kept = records.iter().filter_map(|(_, value)| decode(value)).map(Arc::new).collect();
        let routes = Routes::fixed(built_in);
        {
            let mut table = routes.table.write();
            table.kept = kept;
            table.sort();
        }
        Ok(Routes { store: Some(store), ..routes })
    }

    /// Built-in routes alone, with nowhere to keep others.
    pub fn fixed(built_in: Vec<RouteRule>) -> Routes {
        let mut table =
            Table { built_in: built_in.into_iter().map(Arc::new).collect(), ..Table::default() };
        table.sort();
        Routes { table: Arc::new(RwLock::new(table)), store: None }
    }

    /// The route for a domain: built-in ones first, then the most specific.
    pub fn find(&self, domain: &Domain) -> Option<Arc<RouteRule>> {
        let table = self.table.read();
        table.built_in.iter().chain(&table.kept).find(|route| route.pattern.fits(domain)).cloned()
    }

    /// Grows with every change.
    pub fn version(&self) -> u64 {
        self.table.read().version
    }

    /// The operator's routes, most specific first.
    pub fn ls(&self) -> Vec<Arc<RouteRule>> {
        self.table.read().kept.clone()
    }

    /// Adds a route, in place of one for the same pattern.
    pub async fn add(&self, route: RouteRule) -> Result<(), RouteError> {
        {
            let table = self.table.read();
            let known = table.kept.iter().any(|kept| kept.pattern == route.pattern);
            if !known && table.kept.len() >= ROUTES_MAX {
                return Err(RouteError::Many);
            }
        }
        self.put(&route.pattern, Some(encode(&route))).await?;
        let mut table = self.table.write();
        table.kept.retain(|kept| kept.pattern != route.pattern);
        table.kept.push(Arc::new(route));
        table.sort();
        Ok(())
    }

    /// Removes the route for a pattern.
    pub async fn rm(&self, pattern: &Pattern) -> Result<(), RouteError> {
        if !self.table.read().kept.iter().any(|kept| kept.pattern == *pattern) {
            return Err(RouteError::Unknown(pattern.to_string()));
        }
        self.put(pattern, None).await?;
        let mut table = self.table.write();
        table.kept.retain(|kept| kept.pattern != *pattern);
        table.sort();
        Ok(())
    }

    async fn put(&self, pattern: &Pattern, value: Option<Vec<u8>>) -> Result<(), RouteError> {
        let Some(store) = &self.store else { return Ok(()) };
        let change = Change { records: vec![(key(pattern), value)], ..Change::default() };
        store.commit(change).await.map(|_| ()).map_err(RouteError::Store)
    }
}

impl Table {
    fn sort(&mut self) {
        for routes in [&mut self.built_in, &mut self.kept] {
            routes.sort_by_cached_key(|route| route.pattern.rank());
        }
        self.version += 1;
    }
}

impl Pattern {
    /// Reads `example.org`, `*.example.org` or `*`.
    pub fn parse(text: &str) -> Result<Pattern, RouteError> {
        if text == "*" {
            return Ok(Pattern::All);
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let domain = Domain::parse(name).map_err(|_| RouteError::Pattern(text.to_owned()))?;
        Ok(if below { Pattern::Below(domain) } else { Pattern::Exact(domain) })
    }

    /// Whether it speaks of `domain`.
    pub fn fits(&self, domain: &Domain) -> bool {
        match self {
            Pattern::Exact(one) => one == domain,
            Pattern::Below(parent) => parent != domain && domain.is_within(parent),
            Pattern::All => true,
        }
    }

    /// Exact ones first, then the longer of two, then by name.
    fn rank(&self) -> (u8, std::cmp::Reverse<usize>, String) {
        let (kind, name) = match self {
            Pattern::Exact(domain) => (0, domain.as_str()),
            Pattern::Below(domain) => (1, domain.as_str()),
            Pattern::All => (2, ""),
        };
        (kind, std::cmp::Reverse(name.len()), name.to_owned())
    }
}

impl Host {
    /// Reads a name or an address, with or without brackets.
    pub fn parse(text: &str) -> Result<Host, RouteError> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Host::Address(address));
        }
        Domain::parse(text).map(Host::Name).map_err(|_| RouteError::Host(text.to_owned()))
    }
}

impl RouteRule {
    /// Reads a route from its words.
    pub fn parse(pattern: &str, host: &str, port: u16, tls: &str) -> Result<RouteRule, RouteError> {
        if port == 0 {
            return Err(RouteError::Port);
        }
        let known = Tls::ALL.into_iter().find(|one| one.word() == tls);
        Ok(RouteRule {
            pattern: Pattern::parse(pattern)?,
            host: Host::parse(host)?,
            port,
            tls: known.ok_or_else(|| RouteError::Tls(tls.to_owned()))?,
        })
    }
}

/// Patterns are short enough for a key: a domain has at most 255 octets, a key 128, so that a hash stands for a longer one.
fn key(pattern: &Pattern) -> Vec<u8> {
    let text = pattern.to_string();
    match text.len() {
        0..=100 => kind::key(kind::ROUTE, text.as_bytes()),
        _ => kind::key(
            kind::ROUTE,
            ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref(),
        ),
    }
}

/// As the store keeps it.
#[derive(Serialize, Deserialize)]
struct Record {
    pattern: String,
    host: String,
    port: u16,
    tls: String,
}

fn encode(route: &RouteRule) -> Vec<u8> {
    let record = Record {
        pattern: route.pattern.to_string(),
        host: route.host.to_string(),
        port: route.port,
        tls: route.tls.word().to_owned(),
    };
    serde_json::to_vec(&record).unwrap_or_default()
}

/// A record that cannot be read is logged and passed over: mail then goes by MX, as without it.
fn decode(value: &[u8]) -> Option<RouteRule> {
    let record: Option<Record> = serde_json::from_slice(value).ok();
    let route = record.and_then(|r| RouteRule::parse(&r.pattern, &r.host, r.port, &r.tls).ok());
    if route.is_none() {
        tracing::error!("a route in the store cannot be read and is passed over");
    }
    route
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Exact(domain) => domain.fmt(f),
            Pattern::Below(domain) => write!(f, "*.{domain}"),
            Pattern::All => f.write_str("*"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => name.fmt(f),
            Host::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RouteError::Pattern(text) => {
                write!(f, "{text} is no pattern: use a domain, *.domain or *")
            }
            RouteError::Host(text) => write!(f, "{text} is no host: use a name or an address"),
            RouteError::Port => f.write_str("the port is nought: use 1 to 65535"),
            RouteError::Tls(text) => {
                write!(
                    f,
                    "{text} says nothing about TLS: use never, opportunistic, require, verify or implicit"
                )
            }
            RouteError::Many => {
                write!(f, "there are {ROUTES_MAX} routes already: remove one first")
            }
            RouteError::Unknown(pattern) => write!(f, "no route is for {pattern}: see route ls"),
            RouteError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RouteError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str, host: &str) -> RouteRule {
        RouteRule::parse(pattern, host, 25, "opportunistic").unwrap()
    }

    #[tokio::test]
    async fn the_most_specific_route_wins_and_built_in_ones_go_before() {
        let routes = Routes::fixed(vec![rule("simulator.example.org", "127.0.0.1")]);
        for (pattern, host) in [
            ("*", "relay.example.com"),
            ("*.example.org", "a.example.com"),
            ("*.eu.example.org", "b.example.com"),
            ("example.org", "c.example.com"),
            ("simulator.example.org", "d.example.com"),
        ] {
            routes.add(rule(pattern, host)).await.unwrap();
        }
        for (domain, host) in [
            ("simulator.example.org", "127.0.0.1"),
            ("example.org", "c.example.com"),
            ("x.example.org", "a.example.com"),
            ("x.eu.example.org", "b.example.com"),
            ("eu.example.org", "a.example.com"),
            ("example.net", "relay.example.com"),
        ] {
            let found = routes.find(&Domain::parse(domain).unwrap()).unwrap();
            assert_eq!(found.host.to_string(), host, "for {domain}");
        }
        let version = routes.version();
        routes.rm(&Pattern::All).await.unwrap();
        assert!(routes.version() > version);
        assert!(routes.find(&Domain::parse("example.net").unwrap()).is_none());
        assert!(matches!(routes.rm(&Pattern::All).await, Err(RouteError::Unknown(_))));
    }

    #[tokio::test]
    async fn a_second_route_for_a_pattern_takes_the_place_of_the_first() {
        let routes = Routes::fixed(Vec::new());
        routes.add(rule("example.org", "a.example.com")).await.unwrap();
        routes.add(rule("example.org", "b.example.com")).await.unwrap();
        let hosts: Vec<_> = routes.ls().iter().map(|route| route.host.to_string()).collect();
        assert_eq!(hosts, ["b.example.com"]);
    }

    #[test]
    fn a_route_survives_being_kept() {
        for route in [
            RouteRule::parse("*.example.org", "[::1]", 2525, "never").unwrap(),
            RouteRule::parse("*", "smtp.example.com", 465, "implicit").unwrap(),
        ] {
            assert_eq!(decode(&encode(&route)), Some(route));
        }
        assert!(key(&Pattern::parse(&"a.".repeat(120)).unwrap()).len() <= 128);
    }

    #[test]
    fn what_is_no_route_is_refused_with_what_to_do() {
        for (pattern, host, port, tls) in [
            ("a b", "h", 25, "never"),
            ("*.", "h", 25, "never"),
            ("a", "h h", 25, "never"),
            ("a", "h", 0, "never"),
            ("a", "h", 25, "x"),
        ] {
            assert!(
                RouteRule::parse(pattern, host, port, tls).is_err(),
                "for {pattern} {host} {port} {tls}"
            );
        }
    }
}
