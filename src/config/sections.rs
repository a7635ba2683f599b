//! The table of all settings: each is asked for once, with its default, its bounds and its words.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::reader::Reader;
use super::source::Entry;
use super::units::{Size, Span};
use super::{
    Config, Delivery, Events, Limits, Listener, Log, Mode, Origin, Queue, Store, TlsFiles,
};
use crate::mail::Domain;
use crate::mail::network::Network;
use crate::telemetry::Format;

/// The array of listeners.
pub(super) const LISTENER: &str = "listener";

/// Sockets of one process; more listeners than this are a mistake.
const LISTENERS_MAX: usize = 64;

/// Asks for everything. `None` where no hostname can be had, which is then among the reader's problems.
pub(super) fn read(r: &mut Reader<'_>) -> (Option<Config>, Vec<Origin>) {
    let hostname = hostname(r);
    let data_dir = data_dir(r);
    let log = log(r);
    let (listeners, origins) = listeners(r);
    let tls = tls(r);
    let http = r.ask(
        "http.address",
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8025))),
        "Where /metrics, /healthz and /readyz are served; \"\" for the control socket alone.",
    );
    let limits = limits(r);
    let store = store(r, &limits);
    let queue = queue(r);
    let delivery = delivery(r);
    let dns_servers = r.ask(
        "dns.servers",
        Vec::new(),
        "Name servers with their ports, such as [\"127.0.0.1:53\"]; empty uses the system's.",
    );
    let egress_addresses = egress(r);
    let events = Events {
        keep_for: r.between(
            "events.keep_for",
            Span::days(30),
            (Span::hours(1), Span::days(3650)),
            "How long events are kept.",
        ),
        keep_size: r.between(
            "events.keep_size",
            Size::gib(5),
            (Size::mib(16), Size::gib(16 << 10)),
            "Most disk that events take; the oldest go first.",
        ),
    };
    let config = hostname.map(|hostname| Config {
        hostname,
        data_dir,
        log,
        listeners,
        tls,
        http,
        limits,
        store,
        queue,
        delivery,
        dns_servers,
        egress_addresses,
        events,
    });
    (config, origins)
}

fn hostname(r: &mut Reader<'_>) -> Option<Domain> {
    let set = r.ask(
        "hostname",
        None::<Domain>,
        "The name this server greets with; its address record should name this machine. Unset, the machine's own full name.",
    );
    if set.is_some() || r.problems.iter().any(|problem| problem.key == "hostname") {
        return set;
    }
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let full = Domain::parse(own.trim()).ok().filter(|name| name.as_str().contains('.'));
    if full.is_none() {
        let text = format!(
            "is not set, and this machine's own name `{}` is no full domain name; set hostname = \"mail.example.org\" in the file, POSTRIDER_HOSTNAME, or --hostname",
            crate::telemetry::printable(own.trim())
        );
        r.problem(Origin::Default, "hostname", text);
    }
    full
}

fn data_dir(r: &mut Reader<'_>) -> PathBuf {
    let dir = r.ask(
        "data_dir",
        PathBuf::from("postrider-data"),
        "The data folder. A relative path of this file starts at the file's own folder.",
    );
    match r.origin("data_dir") {
        Origin::File { path, .. } => path.parent().unwrap_or(Path::new("")).join(dir),
        Origin::Default | Origin::Env(_) | Origin::Flag(_) => dir,
    }
}

fn log(r: &mut Reader<'_>) -> Log {
    Log {
        level: r.ask(
            "log.level",
            "info".to_owned(),
            "error, warn, info, debug or trace, or a filter such as \"info,postrider::delivery=debug\".",
        ),
        format: r.word(
            "log.format",
            &[("auto", Format::Auto), ("pretty", Format::Pretty), ("json", Format::Json)],
            Format::Auto,
            "Shape of the log: auto is pretty on a terminal and JSON elsewhere.",
        ),
    }
}

fn tls(r: &mut Reader<'_>) -> Option<TlsFiles> {
    let cert = r.ask(
        "tls.cert",
        None::<PathBuf>,
        "Certificate chain in PEM. Without it a self-signed certificate is made at the first start.",
    );
    let key = r.ask(
        "tls.key",
        None::<PathBuf>,
        "The certificate's private key in PEM; others must not be able to read it.",
    );
    match (cert, key) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
        (None, None) => None,
        (Some(_), None) => {
            r.problem(
                r.origin("tls.cert"),
                "tls.cert",
                "stands without tls.key; set both or neither",
            );
            None
        }
        (None, Some(_)) => {
            r.problem(
                r.origin("tls.key"),
                "tls.key",
                "stands without tls.cert; set both or neither",
            );
            None
        }
    }
}

// One setting a line: this is the table that people read.
#[rustfmt::skip]
fn limits(r: &mut Reader<'_>) -> Limits {
    Limits {
        connections: r.between("limits.connections", 10_000, (1, 100_000), "Connections of all listeners together."),
        connections_per_address: r.between("limits.connections_per_address", 100, (1, 100_000), "Connections of one client address; an IPv6 /64 counts as one."),
        connections_per_credential: r.between("limits.connections_per_credential", 500, (1, 100_000), "Connections of one credential."),
        message_size: r.between("limits.message_size", Size::mib(40), (Size::kib(64), Size::gib(1)), "Longest message, announced in SIZE."),
        recipients: r.between("limits.recipients", 1_000, (100, 50_000), "Recipients of one transaction; the standard asks for at least 100."),
        recipients_times_size: r.between("limits.recipients_times_size", Size::gib(2), (Size::mib(1), Size::gib(1 << 10)), "Recipients times octets of one message."),
        commands: r.between("limits.commands", 100_000, (100, 1_000_000_000), "Commands since the last accepted message."),
        errors: r.between("limits.errors", 20, (1, 10_000), "Commands refused for their form or order since the last message."),
        command_timeout: r.between("limits.command_timeout", Span::seconds(30), (Span::seconds(1), Span::hours(1)), "From the first octet of a command to its last."),
        idle_timeout: r.between("limits.idle_timeout", Span::minutes(5), (Span::seconds(1), Span::hours(1)), "From one command to the next; the standard asks for 5 minutes."),
        data_rate: r.between("limits.data_rate", Size::of_octets(500), (Size::of_octets(1), Size::mib(1)), "Least message data per second, so that a trickle cannot hold a place."),
        queued_recipients: r.between("limits.queued_recipients", 20_000_000, (1_000, 1_000_000_000), "Recipients that may wait; past this, 452."),
        queued_size: r.between("limits.queued_size", Size::gib(200), (Size::mib(16), Size::gib(64 << 10)), "Octets that may wait; past this, 452."),
    }
}

// One setting a line: this is the table that people read.
#[rustfmt::skip]
fn store(r: &mut Reader<'_>, limits: &Limits) -> Store {
    let store = Store {
        segment_size: r.between("store.segment_size", Size::mib(64), (Size::mib(4), Size::gib(1)), "Length of one segment of the log."),
        reserve: reserve(r),
        ballast: r.between("store.ballast", Size::mib(64), (Size::mib(4), Size::gib(4)), "A file given up when the disk is full, so that outcomes can still be written."),
        cache: r.between("store.cache", Size::mib(16), (Size::mib(1), Size::gib(64)), "Memory of the index's cache."),
        memory: r.between("store.memory", Size::mib(128), (Size::mib(4), Size::gib(64)), "Memory for messages being received; who finds none waits, then hears 452."),
    };
    let needed = limits.message_size.octets().saturating_mul(3) / 2;
    if store.reserve.is_some_and(|reserve| reserve.octets() < needed) {
        let text = format!(
            "is below 1.5 times limits.message_size ({}); raise it or lower the message limit",
            limits.message_size
        );
        r.problem(r.origin("store.reserve"), "store.reserve", text);
    }
    store
}

fn reserve(r: &mut Reader<'_>) -> Option<Size> {
    let help = "Free disk below which mail is refused with 452. Unset: the lesser of 1 GiB and 5 % of the disk, at least 1.5 times the message limit.";
    let reserve = r.ask("store.reserve", None::<Size>, help);
    if reserve.is_some_and(|reserve| reserve < Size::mib(4)) {
        r.problem(r.origin("store.reserve"), "store.reserve", "is below the least, \"4 MiB\"");
    }
    reserve
}

// One setting a line: this is the table that people read.
#[rustfmt::skip]
fn queue(r: &mut Reader<'_>) -> Queue {
    let queue = Queue {
        first_retry: r.between("queue.first_retry", Span::minutes(1), (Span::seconds(1), Span::hours(12)), "From the first deferral to the second try; later waits grow."),
        longest_retry: r.between("queue.longest_retry", Span::hours(4), (Span::seconds(1), Span::days(1)), "Longest wait between two tries."),
        max_age: r.between("queue.max_age", Span::days(4), (Span::minutes(1), Span::days(30)), "Age at which a recipient expires, after one more try."),
        delay_warning: r.between("queue.delay_warning", Span::hours(4), (Span::minutes(1), Span::days(30)), "Age at which a delay is told, once."),
        connections: r.between("queue.connections", 500, (1, 20_000), "Connections to all destinations together."),
        connections_per_destination: r.between("queue.connections_per_destination", 20, (1, 1_000), "Connections to one destination."),
    };
    if queue.longest_retry < queue.first_retry {
        let text = "is shorter than queue.first_retry; raise it or lower the other";
        r.problem(r.origin("queue.longest_retry"), "queue.longest_retry", text);
    }
    queue
}

// One setting a line: this is the table that people read.
#[rustfmt::skip]
fn delivery(r: &mut Reader<'_>) -> Delivery {
    let step = (Span::seconds(1), Span::minutes(30));
    Delivery {
        port: r.between("delivery.port", 25, (1, 65_535), "The port of a host found by MX."),
        bounce_domain: r.ask("delivery.bounce_domain", None, "The domain of signed return paths; unset, the hostname."),
        allow_private_destinations: r.ask("delivery.allow_private_destinations", false, "Whether mail may go to loopback, private and own addresses that no route names."),
        dns_timeout: r.between("delivery.dns_timeout", Span::seconds(5), step, "For the answer to one question; each is asked up to three times."),
        connect_timeout: r.between("delivery.connect_timeout", Span::seconds(30), step, "For a connection."),
        greeting_timeout: r.between("delivery.greeting_timeout", Span::minutes(5), step, "For the greeting."),
        command_timeout: r.between("delivery.command_timeout", Span::minutes(5), step, "For the reply to a command."),
        data_timeout: r.between("delivery.data_timeout", Span::minutes(3), step, "For each piece of data."),
        dot_timeout: r.between("delivery.dot_timeout", Span::minutes(10), step, "For the reply to the final dot."),
        idle_timeout: r.between("delivery.idle_timeout", Span::seconds(5), (Span::ms(10), Span::minutes(5)), "How long an idle connection is kept for the next message."),
        messages_per_connection: r.between("delivery.messages_per_connection", 1_000, (1, 1_000_000), "Messages of one connection."),
    }
}

fn egress(r: &mut Reader<'_>) -> Vec<IpAddr> {
    let addresses = r.ask(
        "egress.addresses",
        Vec::<IpAddr>::new(),
        "Source addresses of the default pool, each on an interface of this machine; empty lets the system choose.",
    );
    let twice =
        addresses.iter().enumerate().find(|(i, a)| addresses.iter().take(*i).any(|b| b == *a));
    if let Some((_, address)) = twice {
        let text = format!("names {address} twice; an address belongs to one pool, once");
        r.problem(r.origin("egress.addresses"), "egress.addresses", text);
    }
    addresses
}

fn listeners(r: &mut Reader<'_>) -> (Vec<Listener>, Vec<Origin>) {
    let entries = r.sources.entries(LISTENER);
    if entries.len() > LISTENERS_MAX {
        let text = format!("more than {LISTENERS_MAX} listeners; leave some out");
        r.problem(Origin::Default, LISTENER, text);
    }
    let mut found: Vec<(Listener, Origin)> = Vec::new();
    for (index, entry) in entries.iter().enumerate().take(LISTENERS_MAX) {
        let key = format!("{LISTENER}[{index}]");
        let origin = entry.origin.clone().unwrap_or(Origin::Default);
        let Some(listener) = listener(r, entry, &key, &origin) else { continue };
        if found.iter().any(|(other, _)| other.address == listener.address) {
            let text = format!("{} is listened on already; give it another port", listener.address);
            r.problem(origin.clone(), &key, text);
        }
        found.push((listener, origin));
    }
    if entries.is_empty() {
        found = default_listeners().into_iter().map(|l| (l, Origin::Default)).collect();
    }
    found.into_iter().unzip()
}

/// The submission ports on every address (RFC 6409 §3.1, RFC 8314 §3.3).
pub(super) fn default_listeners() -> Vec<Listener> {
    let on =
        |port, mode| Listener { address: SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), mode };
    vec![on(587, Mode::Starttls), on(465, Mode::Tls)]
}

fn listener(r: &mut Reader<'_>, entry: &Entry, key: &str, origin: &Origin) -> Option<Listener> {
    const NAMES: [&str; 4] = ["address", "mode", "sources", "credential"];
    for (name, found) in &entry.values {
        if !NAMES.contains(&name.as_str()) {
            let near = super::reader::nearest(name, &NAMES);
            let text = near.map_or_else(
                || format!("unknown key; a listener has {}", NAMES.join(", ")),
                |near| format!("unknown key; did you mean `{near}`?"),
            );
            r.problem(found.origin.clone(), &format!("{key}.{name}"), text);
        }
    }
    for wanted in ["address", "mode"] {
        if !entry.values.contains_key(wanted) {
            let text = format!(
                "has no `{wanted}`; add one such as address = \"0.0.0.0:587\", mode = \"starttls\""
            );
            r.problem(origin.clone(), key, text);
        }
    }
    let address = r.entry_value::<SocketAddr>(entry, key, "address");
    let word = r.entry_value::<String>(entry, key, "mode")?;
    let mode = mode(r, entry, key, &word);
    Some(Listener { address: address?, mode: mode? })
}

fn mode(r: &mut Reader<'_>, entry: &Entry, key: &str, word: &str) -> Option<Mode> {
    let at = |name: &str| entry.values.get(name).map(|found| found.origin.clone());
    let mode = match word {
        "starttls" => Mode::Starttls,
        "tls" => Mode::Tls,
        "trusted" => return trusted(r, entry, key),
        _ => {
            let text = format!("{word:?} is none of starttls, tls, trusted");
            r.problem(at("mode")?, &format!("{key}.mode"), text);
            return None;
        }
    };
    for name in ["sources", "credential"] {
        if let Some(origin) = at(name) {
            let text =
                "belongs to a listener of mode \"trusted\" alone; take it away or change the mode";
            r.problem(origin, &format!("{key}.{name}"), text);
        }
    }
    Some(mode)
}

fn trusted(r: &mut Reader<'_>, entry: &Entry, key: &str) -> Option<Mode> {
    let sources = r.entry_value::<Vec<Network>>(entry, key, "sources").unwrap_or_default();
    let credential = r.entry_value::<String>(entry, key, "credential").unwrap_or_default();
    if sources.is_empty() || credential.is_empty() {
        let origin = entry.values.get("mode").map_or(Origin::Default, |found| found.origin.clone());
        let text = "trusts clients without AUTH, so it needs sources = [\"192.0.2.0/24\"] and credential = \"NAME\"";
        r.problem(origin, key, text);
        return None;
    }
    Some(Mode::Trusted { sources, credential })
}
