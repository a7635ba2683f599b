//! Opens a connection that is ready for transactions: one host after another, greeting, EHLO, TLS by policy.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::capabilities::Capabilities;
use super::classify::{Stage, classify};
use super::deadlines::Deadlines;
use super::tls::Tls;
use super::transcript::Transcript;
use super::wire::{Fault, Wire};
use crate::clock::Clock;
use crate::egress::Exit;
use crate::mail::event::Attempt;
use crate::mail::facts::TlsPolicy;
use crate::mail::{EnhancedStatus, Failure, FailureClass, Reply};
use crate::queue::{MxHost, Route, RouteTls};

/// Addresses tried for one connection (RFC 5321 §5.1 asks for at least two).
const TRIES_MAX: usize = 8;
/// A host that failed is tried last for so long.
const BAD_FOR: Duration = Duration::from_mins(1);
/// Hosts remembered as bad.
const BAD_MAX: usize = 4096;

/// Opens connections.
pub(super) struct Dialer {
    pub(super) tls: Tls,
    pub(super) deadlines: Deadlines,
    pub(super) clock: Arc<dyn Clock>,
    bad: Mutex<HashMap<SocketAddr, Duration>>,
}

/// A connection ready for MAIL.
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) offered: Capabilities,
    /// The host's name as the route has it.
    pub(super) host: Arc<str>,
    /// The provider's name, for the rules of replies.
    pub(super) provider: Arc<str>,
    pub(super) address: SocketAddr,
    /// Protocol and cipher; empty for plain text.
    pub(super) tls: String,
    /// The strictest demand that this connection meets.
    pub(super) meets: TlsPolicy,
    /// What was said so far; the first transaction shows it.
    pub(super) preamble: Transcript,
}

/// No connection: why, and the event of the attempt.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) failure: Failure,
    pub(super) attempt: Attempt,
}

/// What is wanted of one connection.
#[derive(Debug, Clone, Copy)]
struct Want {
    tls: RouteTls,
    policy: TlsPolicy,
}

/// Why one address would not do.
struct Trouble {
    stage: Stage,
    what: What,
}

enum What {
    Said(Reply),
    Fault(Fault),
}

/// The stricter of two demands on TLS.
pub(super) fn stricter(one: TlsPolicy, other: TlsPolicy) -> TlsPolicy {
    if (one as u8) < other as u8 { other } else { one }
}

/// What a route itself demands.
pub(super) fn demand(route: &Route) -> TlsPolicy {
    match route.tls {
        RouteTls::Never => TlsPolicy::Opportunistic,
        RouteTls::StartTls(policy) | RouteTls::Implicit(policy) => policy,
    }
}

impl Dialer {
    pub(super) fn new(tls: Tls, deadlines: Deadlines, clock: Arc<dyn Clock>) -> Dialer {
        Dialer { tls, deadlines, clock, bad: Mutex::default() }
    }

    /// Connects to the first host that will have us. `policy` is at least the route's own.
    pub(super) async fn dial(
        &self,
        route: &Route,
        exit: &Exit,
        policy: TlsPolicy,
    ) -> Result<Connection, Refused> {
        let began = self.clock.uptime();
        let want = Want { tls: route.tls, policy };
        let mut transcript = Transcript::new();
        let mut last = None;
        for (host, address) in self.candidates(route, exit) {
            let mut trouble = match self.open((host, address), exit, want, &mut transcript).await {
                Ok(connection) => return Ok(connection.of(route, transcript)),
                Err(trouble) => trouble,
            };
            transcript.note(&format!("{}[{}]: {trouble}", host.name, address.ip()));
            if trouble.is_tls()
                && policy == TlsPolicy::Opportunistic
                && !matches!(route.tls, RouteTls::Implicit(_))
            {
                // RFC 7435 §3: better in plain than not at all; the stream is spoilt, so on a new connection.
                transcript.note("again without TLS");
                let plain = Want { tls: RouteTls::Never, policy };
                match self.open((host, address), exit, plain, &mut transcript).await {
                    Ok(connection) => return Ok(connection.of(route, transcript)),
                    Err(again) => trouble = again,
                }
                transcript.note(&format!("{}[{}]: {trouble}", host.name, address.ip()));
            }
            self.mark_bad(address);
            last = Some((Arc::clone(&host.name), address, trouble));
        }
        Err(self.refused(route, exit, (last, transcript), began))
    }

    /// Addresses of the exit's family in the route's order, those that failed of late behind the others.
    fn candidates<'a>(&self, route: &'a Route, exit: &Exit) -> Vec<(&'a MxHost, SocketAddr)> {
        let now = self.clock.uptime();
        let bad = self.bad.lock();
        let is_bad = |address: &SocketAddr| bad.get(address).is_some_and(|until| *until > now);
        let fits = |address: &IpAddr| {
            exit.source.is_none_or(|source| source.is_ipv4() == address.is_ipv4())
        };
        let mut all: Vec<_> = route
            .hosts
            .iter()
            .flat_map(|host| {
                host.addresses
                    .iter()
                    .filter(|a| fits(a))
                    .map(move |a| (host, SocketAddr::new(*a, route.port)))
            })
            .collect();
        all.sort_by_key(|(_, address)| is_bad(address));
        all.truncate(TRIES_MAX);
        all
    }

    fn mark_bad(&self, address: SocketAddr) {
        let now = self.clock.uptime();
        let mut bad = self.bad.lock();
        if bad.len() >= BAD_MAX {
            bad.retain(|_, until| *until > now);
        }
        if bad.len() < BAD_MAX {
            bad.insert(address, now + BAD_FOR);
        }
    }

    /// One connection to one address.
    async fn open(
        &self,
        (host, address): (&MxHost, SocketAddr),
        exit: &Exit,
        want: Want,
        transcript: &mut Transcript,
    ) -> Result<Connection, Trouble> {
        let at = |stage| move |fault| Trouble { stage, what: What::Fault(fault) };
        transcript.note(&format!(
            "connecting to {}[{}]:{}",
            host.name,
            address.ip(),
            address.port()
        ));
        let wire = Wire::connect(exit.source, address, self.deadlines.connect);
        let mut wire = wire.await.map_err(at(Stage::Connect))?;
        let mut verified = false;
        if matches!(want.tls, RouteTls::Implicit(_)) {
            (wire, verified) = self.handshake(wire, host, want, transcript).await?;
        }
        let greeting = wire.reply(self.deadlines.greeting).await.map_err(at(Stage::Greeting))?;
        transcript.received(&greeting);
        if greeting.code / 100 != 2 {
            return Err(Trouble { stage: Stage::Greeting, what: What::Said(greeting) });
        }
        let mut offered = self.hello(&mut wire, exit, transcript).await?;
        if want.starts_tls(&offered)? && self.ask_for_tls(&mut wire, want, transcript).await? {
            (wire, verified) = self.handshake(wire, host, want, transcript).await?;
            // RFC 3207 §4.2: what was offered in plain text is forgotten.
            offered = self.hello(&mut wire, exit, transcript).await.map_err(Trouble::of_tls)?;
        }
        let tls = wire.tls();
        let meets = match (tls.is_empty(), verified) {
            (true, _) => TlsPolicy::Opportunistic,
            (false, false) => TlsPolicy::Require,
            (false, true) => TlsPolicy::Verify,
        };
        let (host, provider) = (Arc::clone(&host.name), Arc::from(""));
        let preamble = Transcript::default();
        Ok(Connection { wire, offered, host, provider, address, tls, meets, preamble })
    }

    /// EHLO, or HELO where EHLO is not known (RFC 5321 §3.2).
    async fn hello(
        &self,
        wire: &mut Wire,
        exit: &Exit,
        transcript: &mut Transcript,
    ) -> Result<Capabilities, Trouble> {
        let deadline = self.deadlines.command;
        let fault = |fault| Trouble { stage: Stage::Ehlo, what: What::Fault(fault) };
        let command = format!("EHLO {}\r\n", exit.ehlo);
        transcript.sent(&command);
        wire.send(&mut command.as_bytes(), deadline).await.map_err(fault)?;
        let (reply, lines) = wire.ehlo_reply(deadline).await.map_err(fault)?;
        transcript.received(&reply);
        if let Some(offered) = lines.capabilities(&reply) {
            return Ok(offered);
        }
        if reply.code / 100 != 5 {
            return Err(Trouble { stage: Stage::Ehlo, what: What::Said(reply) });
        }
        let command = format!("HELO {}\r\n", exit.ehlo);
        transcript.sent(&command);
        wire.send(&mut command.as_bytes(), deadline).await.map_err(fault)?;
        let reply = wire.reply(deadline).await.map_err(fault)?;
        transcript.received(&reply);
        if reply.code / 100 == 2 {
            return Ok(Capabilities::default());
        }
        Err(Trouble { stage: Stage::Ehlo, what: What::Said(reply) })
    }

    /// STARTTLS; says whether the handshake may begin. A refusal leaves an opportunistic session as it is (RFC 3207 §4).
    async fn ask_for_tls(
        &self,
        wire: &mut Wire,
        want: Want,
        transcript: &mut Transcript,
    ) -> Result<bool, Trouble> {
        let fault = |fault| Trouble { stage: Stage::Starttls, what: What::Fault(fault) };
        transcript.sent("STARTTLS\r\n");
        wire.send(&mut b"STARTTLS\r\n".as_slice(), self.deadlines.command).await.map_err(fault)?;
        let reply = wire.reply(self.deadlines.command).await.map_err(fault)?;
        transcript.received(&reply);
        match reply.code {
            220 => Ok(true),
            _ if want.policy == TlsPolicy::Opportunistic => Ok(false),
            _ => Err(Trouble { stage: Stage::Starttls, what: What::Said(reply) }),
        }
    }

    async fn handshake(
        &self,
        wire: Wire,
        host: &MxHost,
        want: Want,
        transcript: &mut Transcript,
    ) -> Result<(Wire, bool), Trouble> {
        let verify = want.policy == TlsPolicy::Verify;
        let wire = wire
            .into_tls(&self.tls, &host.name, (verify, self.deadlines.command))
            .await
            .map_err(|fault| Trouble { stage: Stage::Starttls, what: What::Fault(fault) })?;
        transcript.note(&wire.tls());
        Ok((wire, verify))
    }

    fn refused(
        &self,
        route: &Route,
        exit: &Exit,
        (last, transcript): (Option<(Arc<str>, SocketAddr, Trouble)>, Transcript),
        began: Duration,
    ) -> Refused {
        let (failure, host, address) = match last {
            Some((host, address, trouble)) => {
                let text = format!("{host}[{}]: {trouble}", address.ip());
                (trouble.failure(&route.provider, &text), host.to_string(), address.to_string())
            }
            None => (no_address(), String::new(), String::new()),
        };
        let attempt = Attempt {
            exit: exit.name(),
            host,
            address,
            provider: route.provider.to_string(),
            duration_ms: millis(self.clock.uptime().saturating_sub(began)),
            transcript: transcript.into_text(),
            ..Attempt::default()
        };
        Refused { failure, attempt }
    }
}

/// Milliseconds, as events hold them.
pub(super) fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

fn no_address() -> Failure {
    let text = "no address of the destination is of the source address's family";
    Failure {
        reply: Reply::local(EnhancedStatus::new(4, 4, 1), text),
        class: FailureClass::Infrastructure,
        whole_destination: true,
    }
}

impl Connection {
    fn of(mut self, route: &Route, preamble: Transcript) -> Connection {
        self.provider = Arc::clone(&route.provider);
        self.preamble = preamble;
        self
    }
}

impl Want {
    /// Whether STARTTLS is to be sent, or why the host will not do.
    fn starts_tls(self, offered: &Capabilities) -> Result<bool, Trouble> {
        let required = self.policy != TlsPolicy::Opportunistic;
        let wanted = match self.tls {
            RouteTls::Implicit(_) => return Ok(false),
            // A route without TLS gives way to a message that demands it.
            RouteTls::Never => required,
            RouteTls::StartTls(_) => true,
        };
        if required && !offered.starttls {
            let fault = Fault::Tls("the host does not offer STARTTLS".into());
            return Err(Trouble { stage: Stage::Starttls, what: What::Fault(fault) });
        }
        Ok(wanted && offered.starttls)
    }
}

impl Trouble {
    fn is_tls(&self) -> bool {
        self.stage == Stage::Starttls && matches!(self.what, What::Fault(_))
    }

    /// The second EHLO failed: without TLS there would have been none.
    fn of_tls(self) -> Trouble {
        match self.what {
            What::Said(reply) => {
                let fault = Fault::Tls(format!("the host refused EHLO behind it: {reply}"));
                Trouble { stage: Stage::Starttls, what: What::Fault(fault) }
            }
            what @ What::Fault(_) => Trouble { stage: Stage::Starttls, what },
        }
    }

    /// What it says of the destination. A refusal before MAIL speaks of us and of the host, never of a recipient, so that
    /// even a 5 leaves the mail waiting, as RFC 5321 §4.2.1 allows where a human might mend it.
    fn failure(&self, provider: &str, text: &str) -> Failure {
        match &self.what {
            What::Said(reply) => {
                let class = classify(self.stage, reply, provider).class;
                Failure { reply: reply.clone(), class, whole_destination: true }
            }
            What::Fault(fault) => {
                let (subject, detail) = if self.stage == Stage::Connect {
                    (4, 1)
                } else if matches!(fault, Fault::Tls(_) | Fault::Early) {
                    (7, 5)
                } else {
                    (4, 2)
                };
                Failure {
                    reply: Reply::local(EnhancedStatus::new(4, subject, detail), text),
                    class: FailureClass::Infrastructure,
                    whole_destination: true,
                }
            }
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.what {
            What::Said(reply) => write!(f, "at {}: {reply}", self.stage),
            What::Fault(fault) => write!(f, "at {}: {fault}", self.stage),
        }
    }
}
