//! DNS questions that mail asks: the mail exchangers of a domain and the addresses of a host.
//!
//! Answers are what the servers said, with how long they may be believed; what follows from them is decided by the
//! caller. A failure is never taken for an answer: only NXDOMAIN says that a name does not exist.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use crate::mail::Domain;

/// Answers kept by the resolver; each may be some hundred octets.
const ANSWERS_MAX: u64 = 8192;
/// An answer is believed at least so long, or a TTL of nought would make a question of every message.
pub const TTL_FLOOR: Duration = Duration::from_secs(30);
/// And at most so long, whatever its TTL says, so that a moved MX is found again the same hour.
pub const TTL_CEILING: Duration = Duration::from_hours(1);
/// "No such name" is believed at most so long: domains are registered and repaired while mail waits.
const NEGATIVE_TTL_CEILING: Duration = Duration::from_mins(5);

/// Aliases followed inside one answer.
const CNAMES_MAX: usize = 8;

/// Whom to ask, and how patiently.
#[derive(Debug, Clone)]
pub struct DnsOptions {
    /// Servers in place of the system's.
    pub servers: Vec<SocketAddr>,
    /// One question to one server.
    pub timeout: Duration,
    /// Questions more after the first went unanswered.
    pub retries: usize,
}

impl Default for DnsOptions {
    fn default() -> DnsOptions {
        DnsOptions { servers: Vec::new(), timeout: Duration::from_secs(5), retries: 2 }
    }
}

/// Asks DNS. Cheap to clone; clones share a bounded cache.
#[derive(Clone)]
pub struct Dns(TokioResolver);

/// Why there was no answer to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsFailure {
    /// The name does not exist (NXDOMAIN).
    NoSuchName,
    /// The name exists and has no records of the kind asked for.
    NoRecords,
    /// Nobody answered in time, or answered that they could not; what went wrong in words.
    Unanswered(String),
}

/// A domain's mail exchangers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MxAnswer {
    /// Preference and name, lowest preference first. `None` is the null MX (RFC 7505 §3): the domain takes no mail.
    pub hosts: Option<Vec<(u16, Domain)>>,
    /// How long the answer may be believed.
    pub valid_for: Duration,
}

/// A host's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressAnswer {
    /// In the order of the answer, IPv6 first.
    pub addresses: Vec<IpAddr>,
    /// How long the answer may be believed.
    pub valid_for: Duration,
}

impl Dns {
    /// A resolver for the servers of `options`, or for the system's where it names none.
    pub fn new(options: &DnsOptions) -> Result<Dns, DnsFailure> {
        let mut builder = if options.servers.is_empty() {
            TokioResolver::builder_tokio()
                .map_err(|error| DnsFailure::Unanswered(error.to_string()))?
        } else {
            let servers = options.servers.iter().copied().map(server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        tune(builder.options_mut(), options);
        let resolver =
            builder.build().map_err(|error| DnsFailure::Unanswered(error.to_string()))?;
        Ok(Dns(resolver))
    }

    /// The mail exchangers of `domain`, following CNAMEs (RFC 5321 §5.1).
    pub async fn mx(&self, domain: &Domain) -> Result<MxAnswer, DnsFailure> {
        let answer = self.ask(domain, RecordType::MX).await?;
        let mut hosts = Vec::new();
        let mut null = false;
        for record in named(&answer) {
            let RData::MX(mx) = &record.data else { continue };
            if mx.exchange.is_root() {
                null = true;
            } else if let Ok(host) = Domain::parse(&mx.exchange.to_ascii()) {
                hosts.push((mx.preference, host));
            }
        }
        hosts.sort();
        hosts.dedup();
        // RFC 7505 §3: the null MX stands alone; among others it is a mistake and the others count.
        let null_alone = null && hosts.is_empty();
        if hosts.is_empty() && !null {
            return Err(DnsFailure::NoRecords);
        }
        Ok(MxAnswer { hosts: (!null_alone).then_some(hosts), valid_for: valid_for(&answer) })
    }

    /// The IPv6 and IPv4 addresses of `host`. One family is enough; a failure of the other is then no matter.
    pub async fn addresses(&self, host: &Domain) -> Result<AddressAnswer, DnsFailure> {
        let (v6, v4) =
            tokio::join!(self.ask(host, RecordType::AAAA), self.ask(host, RecordType::A));
        let mut addresses = Vec::new();
        let mut valid = TTL_CEILING;
        for answer in [&v6, &v4].into_iter().flatten() {
            valid = valid.min(valid_for(answer));
            addresses.extend(named(answer).filter_map(|record| address_of(&record.data)));
        }
        if addresses.is_empty() {
            return Err(worse(v6.err(), v4.err()));
        }
        Ok(AddressAnswer { addresses, valid_for: valid })
    }

    async fn ask(&self, domain: &Domain, kind: RecordType) -> Result<Lookup, DnsFailure> {
        let mut name = Name::from_ascii(domain.as_str()).map_err(|_| DnsFailure::NoSuchName)?;
        // With the final dot no search list of the system is tried.
        name.set_fqdn(true);
        self.0.lookup(name, kind).await.map_err(|error| failure(&error))
    }
}

fn server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn tune(to: &mut ResolverOpts, options: &DnsOptions) {
    to.timeout = options.timeout;
    to.attempts = options.retries;
    to.cache_size = ANSWERS_MAX;
    to.positive_min_ttl = Some(TTL_FLOOR);
    to.positive_max_ttl = Some(TTL_CEILING);
    to.negative_max_ttl = Some(NEGATIVE_TTL_CEILING);
    // Mail goes by DNS: a name in /etc/hosts is this machine's own business.
    to.use_hosts_file = ResolveHosts::Never;
    // A random case in the question makes a forged answer harder; servers that fold it are asked over TCP.
    to.case_randomization = true;
    to.try_tcp_on_error = true;
}

/// The records of an answer that belong to the name asked for, or to the name its CNAMEs lead to; what else a server
/// put there is not believed.
fn named(answer: &Lookup) -> impl Iterator<Item = &Record> {
    let mut owner = answer.query().name();
    for _ in 0..CNAMES_MAX {
        let next = answer.answers().iter().find_map(|record| match_cname(record, owner));
        let Some(next) = next else { break };
        owner = next;
    }
    answer.answers().iter().filter(move |record| record.name == *owner)
}

fn match_cname<'a>(record: &'a Record, owner: &Name) -> Option<&'a Name> {
    let RData::CNAME(target) = &record.data else { return None };
    (record.name == *owner).then_some(&target.0)
}

fn address_of(data: &RData) -> Option<IpAddr> {
    if let RData::A(a) = data {
        return Some(IpAddr::V4(a.0));
    }
    if let RData::AAAA(aaaa) = data { Some(IpAddr::V6(aaaa.0)) } else { None }
}

fn valid_for(answer: &Lookup) -> Duration {
    let ttl = answer.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
    Duration::from_secs(u64::from(ttl)).clamp(TTL_FLOOR, TTL_CEILING)
}

fn failure(error: &NetError) -> DnsFailure {
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else {
        return DnsFailure::Unanswered(error.to_string());
    };
    let absent = none.response_code == ResponseCode::NXDomain;
    if absent { DnsFailure::NoSuchName } else { DnsFailure::NoRecords }
}

/// Of two failures the one that leaves more open: an unanswered question may have had an answer.
fn worse(one: Option<DnsFailure>, other: Option<DnsFailure>) -> DnsFailure {
    match (one, other) {
        (Some(unanswered @ DnsFailure::Unanswered(_)), _)
        | (_, Some(unanswered @ DnsFailure::Unanswered(_))) => unanswered,
        (Some(DnsFailure::NoSuchName), Some(DnsFailure::NoSuchName)) => DnsFailure::NoSuchName,
        _ => DnsFailure::NoRecords,
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dns")
    }
}

impl fmt::Display for DnsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DnsFailure::NoSuchName => f.write_str("the name does not exist"),
            DnsFailure::NoRecords => f.write_str("the name has no such records"),
            DnsFailure::Unanswered(why) => write!(f, "no answer: {why}"),
        }
    }
}

impl std::error::Error for DnsFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unanswered_question_outweighs_a_negative_answer() {
        let unanswered = || DnsFailure::Unanswered("time-out".into());
        assert_eq!(worse(Some(DnsFailure::NoSuchName), Some(unanswered())), unanswered());
        assert_eq!(worse(Some(unanswered()), Some(DnsFailure::NoRecords)), unanswered());
        assert_eq!(
            worse(Some(DnsFailure::NoSuchName), Some(DnsFailure::NoSuchName)),
            DnsFailure::NoSuchName
        );
        assert_eq!(
            worse(Some(DnsFailure::NoRecords), Some(DnsFailure::NoSuchName)),
            DnsFailure::NoRecords
        );
    }
}
