//! Where mail for a domain goes: routes first, then MX, then the domain's own addresses (RFC 5321 §5.1).
//!
//! Invariant: unless a route names it or the operator allows it, no address of this host and none outside the public
//! Internet comes out of here, whatever DNS says; and the addresses that were checked are the ones that are dialled.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::egress::routes::{Host, RouteRule, Routes, Tls};
use crate::mail::facts::TlsPolicy;
use crate::mail::{Domain, EnhancedStatus, Failure, FailureClass, Lane, Reply};
use crate::net::address::{is_public, own_addresses};
use crate::net::dns::{AddressAnswer, Dns, DnsFailure, MxAnswer};
use crate::queue::{MxHost, Route, RouteTls};

/// Hosts of one domain that are looked up; the others are the domain's own fault.
const HOSTS_MAX: usize = 10;
/// Addresses kept of one host.
const ADDRESSES_MAX: usize = 8;
/// A route is used for at most so long before equal hosts are shuffled anew; DNS answers live longer below.
const ROUTE_VALID_MAX: Duration = Duration::from_mins(1);
/// Routes remembered; each is about half a kilobyte.
const ROUTES_CACHED_MAX: usize = 20_000;
/// All questions of one route together.
const RESOLVE_DEADLINE: Duration = Duration::from_mins(1);
/// The interfaces are asked for their addresses at most so often.
const OWN_VALID: Duration = Duration::from_mins(1);

/// Finds routes.
pub(super) struct Resolver {
    pub(super) dns: Dns,
    pub(super) routes: Routes,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) port: u16,
    pub(super) allow_private: bool,
    pub(super) cache: Mutex<HashMap<String, Cached>>,
    pub(super) own: Mutex<Option<(Duration, Arc<[IpAddr]>)>>,
}

/// A route and how long it holds.
pub(super) struct Cached {
    route: Arc<Route>,
    until: Duration,
    version: u64,
}

/// A host as DNS gave it.
type Found = (u16, Domain, Result<AddressAnswer, DnsFailure>);

impl Resolver {
    /// The route from memory, if it holds still.
    pub(super) fn cached(&self, domain: &Domain) -> Option<Arc<Route>> {
        let (now, version) = (self.clock.uptime(), self.routes.version());
        let cache = self.cache.lock();
        let cached = cache
            .get(domain.as_str())
            .filter(|cached| cached.until > now && cached.version == version)?;
        Some(Arc::clone(&cached.route))
    }

    /// The route, asked for anew.
    pub(super) async fn resolve(&self, domain: &Domain) -> Result<Arc<Route>, Failure> {
        let version = self.routes.version();
        let work = async {
            match self.routes.find(domain) {
                Some(rule) => self.by_rule(&rule).await,
                None => self.by_mx(domain).await,
            }
        };
        let (route, valid) = tokio::time::timeout(RESOLVE_DEADLINE, work)
            .await
            .unwrap_or_else(|_| Err(unanswered(domain.as_str(), "the answers took too long")))?;
        let route = Arc::new(route);
        let until = self.clock.uptime() + valid.min(ROUTE_VALID_MAX);
        let cached = Cached { route: Arc::clone(&route), until, version };
        self.remember(domain, cached);
        Ok(route)
    }

    fn remember(&self, domain: &Domain, cached: Cached) {
        let now = self.clock.uptime();
        let mut cache = self.cache.lock();
        if cache.len() >= ROUTES_CACHED_MAX {
            cache.retain(|_, old| old.until > now);
        }
        if cache.len() >= ROUTES_CACHED_MAX {
            // All hold still: any half will do, the order of a map is chance.
            let mut keep = false;
            cache.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        cache.insert(domain.as_str().to_owned(), cached);
    }

    async fn by_rule(&self, rule: &RouteRule) -> Result<(Route, Duration), Failure> {
        let (addresses, valid) = match &rule.host {
            Host::Address(address) => (vec![*address], ROUTE_VALID_MAX),
            // RFC 6761 §6.3: resolvers know this name, DNS need not.
            Host::Name(name) if name.as_str() == "localhost" => {
                (vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], ROUTE_VALID_MAX)
            }
            Host::Name(name) => match self.dns.addresses(name).await {
                Ok(answer) => (answer.addresses, answer.valid_for),
                // A mistake in a route can be mended while the mail waits.
                Err(failure) => return Err(unanswered(name.as_str(), &failure.to_string())),
            },
        };
        let name = rule.host.to_string();
        let host = MxHost { name: name.as_str().into(), addresses };
        let tls = match rule.tls {
            Tls::Never => RouteTls::Never,
            Tls::Implicit => RouteTls::Implicit(rule.tls.policy()),
            Tls::Opportunistic | Tls::Require | Tls::Verify => {
                RouteTls::StartTls(rule.tls.policy())
            }
        };
        Ok((route(vec![host], provider_of(&name), rule.port, tls), valid))
    }

    async fn by_mx(&self, domain: &Domain) -> Result<(Route, Duration), Failure> {
        let answer = match self.dns.mx(domain).await {
            Ok(answer) => answer,
            // RFC 5321 §5.1: without MX records the domain is its own exchanger.
            Err(DnsFailure::NoRecords) => {
                let valid_for = crate::net::dns::TTL_CEILING;
                MxAnswer { hosts: Some(vec![(0, domain.clone())]), valid_for }
            }
            Err(DnsFailure::NoSuchName) => {
                let text = format!("the domain {domain} does not exist");
                return Err(failure(EnhancedStatus::new(5, 1, 2), FailureClass::Recipient, &text));
            }
            Err(DnsFailure::Unanswered(why)) => return Err(unanswered(domain.as_str(), &why)),
        };
        let Some(mut hosts) = answer.hosts else {
            let text = format!("the domain {domain} takes no mail (null MX)");
            return Err(failure(EnhancedStatus::new(5, 1, 10), FailureClass::Recipient, &text));
        };
        hosts.truncate(HOSTS_MAX);
        let provider =
            hosts.first().map(|(_, host)| provider_of(host.as_str())).unwrap_or_default();
        let found = join_all(hosts.into_iter().map(|(preference, host)| async move {
            let addresses = self.dns.addresses(&host).await;
            (preference, host, addresses)
        }));
        let found = found.await;
        let valid = found
            .iter()
            .filter_map(|(_, _, answer)| answer.as_ref().ok())
            .map(|answer| answer.valid_for);
        let valid = valid.fold(answer.valid_for, Duration::min);
        let own = self.own();
        let hosts = select(domain, found, &own, self.allow_private)?;
        Ok((route(hosts, provider, self.port, RouteTls::StartTls(TlsPolicy::Opportunistic)), valid))
    }

    fn own(&self) -> Arc<[IpAddr]> {
        let now = self.clock.uptime();
        let mut own = self.own.lock();
        match &*own {
            Some((until, addresses)) if *until > now => Arc::clone(addresses),
            _ => {
                let addresses: Arc<[IpAddr]> = own_addresses().into();
                *own = Some((now + OWN_VALID, Arc::clone(&addresses)));
                addresses
            }
        }
    }
}

/// The hosts that may be dialled, in order, equal preferences shuffled (RFC 5321 §5.1).
fn select(
    domain: &Domain,
    found: Vec<Found>,
    own: &[IpAddr],
    allow_private: bool,
) -> Result<Vec<MxHost>, Failure> {
    // RFC 5321 §5.1: where we are an exchanger ourselves, we and all that are not preferred to us drop out.
    let is_own =
        |answer: &AddressAnswer| answer.addresses.iter().any(|address| own.contains(address));
    let ours = found
        .iter()
        .filter(|(_, _, answer)| !allow_private && answer.as_ref().is_ok_and(is_own))
        .map(|(preference, ..)| *preference)
        .min();
    let chance = RandomState::new();
    let (mut hosts, mut unresolved, mut private) = (Vec::new(), None, false);
    for (preference, name, answer) in found {
        if ours.is_some_and(|ours| preference >= ours) {
            continue;
        }
        match answer {
            Ok(mut answer) => {
                let before = answer.addresses.len();
                answer.addresses.retain(|address| allow_private || is_public(*address));
                private |= answer.addresses.len() < before;
                answer.addresses.truncate(ADDRESSES_MAX);
                let shuffled = (preference, chance.hash_one(&name));
                let host = MxHost { name: name.as_str().into(), addresses: answer.addresses };
                hosts.push((shuffled, host));
            }
            Err(why @ DnsFailure::Unanswered(_)) => unresolved = Some((name, why)),
            Err(_) => {}
        }
    }
    hosts.retain(|(_, host)| !host.addresses.is_empty());
    hosts.sort_by_key(|(shuffled, _)| *shuffled);
    if !hosts.is_empty() {
        return Ok(hosts.into_iter().map(|(_, host)| host).collect());
    }
    Err(match (unresolved, ours) {
        (Some((name, why)), _) => unanswered(name.as_str(), &why.to_string()),
        (None, Some(_)) => {
            let text = format!("mail for {domain} leads back to this host");
            failure(EnhancedStatus::new(5, 4, 6), FailureClass::Infrastructure, &text)
        }
        (None, None) if private => {
            let text =
                format!("every host of {domain} has a private address; a route can allow it");
            failure(EnhancedStatus::new(5, 4, 4), FailureClass::Infrastructure, &text)
        }
        (None, None) => {
            let text = format!("no host of {domain} has an address");
            failure(EnhancedStatus::new(5, 4, 4), FailureClass::Infrastructure, &text)
        }
    })
}

fn route(hosts: Vec<MxHost>, provider: String, port: u16, tls: RouteTls) -> Route {
    // Names alone: addresses of one host come in another order, or others, with every answer.
    let mut names: Vec<&str> = hosts.iter().map(|host| &*host.name).collect();
    names.sort_unstable();
    let fingerprint = Lane::hash_domain(&format!("{} {port} {tls:?}", names.join(" ")));
    Route { provider: provider.into(), hosts, port, tls, fingerprint }
}

/// The registrable domain of a host's name, or the whole where it has none.
fn provider_of(host: &str) -> String {
    // An address has no registrable part, though its dots look like it.
    let domain = if host.parse::<IpAddr>().is_ok() { None } else { psl::domain_str(host) };
    domain.unwrap_or(host).to_ascii_lowercase()
}

fn failure(status: EnhancedStatus, class: FailureClass, text: &str) -> Failure {
    Failure { reply: Reply::local(status, text), class, whole_destination: true }
}

fn unanswered(name: &str, why: &str) -> Failure {
    let text = format!("DNS gave no answer for {name}: {why}");
    failure(EnhancedStatus::new(4, 4, 3), FailureClass::Infrastructure, &text)
}

/// A future and, once it has one, its output.
type Running<F> = (Pin<Box<F>>, Option<<F as Future>::Output>);

/// Runs futures side by side in one task; there are at most [`HOSTS_MAX`].
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Running<F>> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (future, output) in &mut running {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(value) => *output = Some(value),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
