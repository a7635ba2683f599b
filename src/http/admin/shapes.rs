//! What goes over the admin API, as JSON: requests and answers, read by the server and by the commands alike.
//!
//! Times are RFC 3339 text in UTC, spans and sizes carry their unit in their name. A request with a field that is not here
//! is refused by name; an answer may grow fields, so the commands pass over what they do not know.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where all of it stands.
pub const PREFIX: &str = "/api/v1";

/// A page of things and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The things.
    pub items: Vec<T>,
    /// To be given back as `cursor` for what follows; absent at the end. A page may be short and still have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An answer with nothing else to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Done {}

/// `GET /status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Release.
    pub version: String,
    /// Its EHLO name.
    pub hostname: String,
    /// Process id.
    pub pid: u32,
    /// Since the process started.
    pub uptime_seconds: u64,
    /// Whether it takes mail: what `/readyz` says.
    pub ready: bool,
    /// Why not, for people, one line each.
    pub not_ready: Vec<String>,
    /// Since the process started.
    pub counts: Counts,
    /// The store.
    pub store: StoreShape,
    /// The event log.
    pub events: EventsShape,
}

/// Recipients and messages since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Counts {
    /// Messages accepted.
    pub accepted: u64,
    /// Recipients delivered.
    pub delivered: u64,
    /// Attempts that were put off.
    pub deferred: u64,
    /// Recipients bounced, by anyone and for any reason.
    pub bounced: u64,
    /// Messages rejected after acceptance.
    pub rejected: u64,
    /// Panics caught.
    pub panics: u64,
}

/// The store in `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreShape {
    /// Recipients that wait.
    pub waiting: u64,
    /// Segments of the log in use.
    pub segments: u64,
    /// Octets of the log on disk.
    pub log_bytes: u64,
    /// Octets of the index on disk.
    pub index_bytes: u64,
    /// Octets of log that a restart would replay.
    pub replay_bytes: u64,
    /// Octets of messages in memory.
    pub memory_bytes: u64,
    /// Commits that each cost one sync.
    pub groups: u64,
    /// Changes in them.
    pub changes: u64,
    /// Mean of a sync.
    pub sync_mean_us: u64,
    /// Octets free on its disk.
    pub free_bytes: u64,
    /// Octets that must stay free.
    pub reserve_bytes: u64,
    /// The error after which nothing is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// The event log in `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsShape {
    /// Sealed files.
    pub files: u64,
    /// Their octets.
    pub bytes: u64,
    /// How far back they reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// Number of the next event.
    pub next_event: u64,
    /// Files that cannot be read in full, with the reason.
    pub damaged: Vec<String>,
}

/// Query of `GET /events`. Conditions must all hold; an empty query means every event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct EventsQuery {
    /// A message's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// A recipient's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// A recipient's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// MAIL FROM or header From.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `name` or `name=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Types, separated by commas.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub types: Option<String>,
    /// A pool's name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// A source address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
    /// A mailbox provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// A configuration set's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_set: Option<String>,
    /// Not before: RFC 3339, or a span back from now such as `90m`, `2h`, `3d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Not after, in the same forms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Events in the answer, at most 1,000; 50 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Where the last page ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// `newest` (if absent) or `oldest` first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Stay and send new events as they come, one JSON object a line: from `cursor` if given, else from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
}

/// `GET /messages/{id}`: the life of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Its id.
    pub message_id: String,
    /// When it was accepted.
    pub accepted: String,
    /// Each recipient that events speak of, in the envelope's order.
    pub recipients: Vec<TraceRecipient>,
    /// Its events, oldest first, as `GET /events` shows them.
    pub events: Vec<Value>,
}

/// Where one recipient stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceRecipient {
    /// Its number in the envelope.
    pub number: u32,
    /// Its address.
    pub address: String,
    /// `waiting`, `delivered`, `bounced`, `suppressed`, `expired`, `damaged` or `bounced by the operator`.
    pub state: String,
    /// Tries so far.
    pub attempts: u32,
    /// The last reply, ours or the receiver's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reply: Option<String>,
}

/// A credential without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialShape {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// The SMTP user.
    pub user: String,
    /// Addresses and domains it may send as; empty is every identity.
    pub identities: Vec<String>,
    /// Addresses it may be used from, as CIDR; empty is everywhere.
    pub sources: Vec<String>,
    /// Recipients per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u32>,
    /// Recipients in 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients_per_day: Option<u64>,
    /// Whether it may be used.
    pub enabled: bool,
    /// When it was made.
    pub created: String,
    /// When it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
    /// Recipients in the last 24 hours.
    pub recipients_24h: u64,
}

/// `POST /credentials`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct NewCredentialShape {
    /// Its name.
    pub name: String,
    /// Addresses and domains it may send as; empty is every identity.
    pub identities: Vec<String>,
    /// Addresses it may be used from, as CIDR; empty is everywhere.
    pub sources: Vec<String>,
    /// Recipients per second; absent is without bound.
    pub rate_per_second: Option<u32>,
    /// Recipients in 24 hours; absent is without bound.
    pub recipients_per_day: Option<u64>,
}

/// The answer to `POST /credentials`: the only time the secret is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedCredential {
    /// The credential.
    pub credential: CredentialShape,
    /// The SMTP password.
    pub password: String,
}

/// Query of lists that are read page by page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct PageQuery {
    /// Things in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Where the last page ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A suppressed address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuppressionShape {
    /// The address.
    pub address: String,
    /// `BOUNCE`, `COMPLAINT`, `MANUAL` or `UNSUBSCRIBE`.
    pub reason: String,
    /// Since when.
    pub since: String,
    /// The message whose event caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// `POST /suppressions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct NewSuppression {
    /// The address.
    pub address: String,
    /// Why; `MANUAL` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An identity: a domain with all addresses at it and below it, or one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityShape {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u32,
    /// `PENDING`, `SUCCESS` or `FAILED`: whether its records were found in DNS.
    pub verification: String,
    /// The domain of its return paths.
    pub bounce_domain: String,
    /// Whether failures are told to the sender where NOTIFY says nothing.
    pub feedback_forwarding: bool,
    /// Selectors of its DKIM keys.
    pub selectors: Vec<String>,
    /// When it was added.
    pub created: String,
}

/// `POST /domains`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct NewIdentityShape {
    /// A domain or an address.
    pub name: String,
    /// Where its bounces go; the server's own bounce domain if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounce_domain: Option<String>,
    /// Whether failures are told to the sender where NOTIFY says nothing; on if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback_forwarding: Option<bool>,
}

/// A DNS record to publish: `GET /domains/{name}/records`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecordShape {
    /// Its name, without a final dot.
    pub name: String,
    /// `TXT` or `MX`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its value.
    pub value: String,
    /// Whether mail is refused or not believed without it.
    pub required: bool,
    /// What it is for.
    pub purpose: String,
    /// The same as a line of a zone file.
    pub zone: String,
}

/// A configuration set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSetShape {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u32,
    /// The pool its mail leaves from.
    pub pool: String,
    /// `opportunistic`, `require` or `verify`.
    pub tls: String,
    /// `high`, `normal` or `bulk`.
    pub class: String,
    /// Whether its mail is sent.
    pub sending: bool,
    /// How long its recipients are tried; absent is as long as all mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
    /// Tags of mail that does not set them itself, name to value.
    pub tags: std::collections::BTreeMap<String, String>,
    /// Whether Received shows the client.
    pub show_client: bool,
    /// When it was made.
    pub created: String,
}

/// What a configuration set is to say; what is absent stays, or starts, as it is without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigSetEdit {
    /// The pool's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// `opportunistic`, `require` or `verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// `high`, `normal` or `bulk`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Whether its mail is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sending: Option<bool>,
    /// How long its recipients are tried; 0 takes the limit away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
    /// All its default tags, name to value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<std::collections::BTreeMap<String, String>>,
    /// Whether Received shows the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show_client: Option<bool>,
}

/// `POST /config-sets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct NewConfigSet {
    /// Its name.
    pub name: String,
    /// What it says.
    pub options: ConfigSetEdit,
}

/// `POST /send`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct SendMessage {
    /// The credential that sends it; absent is the only one there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// MAIL FROM; empty is the null path.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
    /// The message, header and body; lines may end in LF.
    pub message: String,
}

/// The answer to `POST /send`: the message is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its id.
    pub message_id: String,
}

/// Query of `GET /queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct QueueQuery {
    /// A recipient's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// A recipient's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Recipients in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Where the last page ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A recipient that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingShape {
    /// Its message.
    pub message_id: String,
    /// Its number in the envelope.
    pub recipient_number: u32,
    /// Its address.
    pub recipient: String,
    /// MAIL FROM.
    pub from: String,
    /// The pool's number.
    pub pool: u16,
    /// When the message was accepted.
    pub accepted: String,
    /// When it is tried next.
    pub due: String,
    /// When it stops being tried.
    pub expires: String,
    /// Tries so far.
    pub attempts: u32,
    /// What the last failure spoke of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_class: Option<String>,
    /// The last reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reply: Option<String>,
}

/// A route: `POST /routes` and what `GET /routes` lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct RouteShape {
    /// `example.org`, `*.example.org` or `*`.
    pub pattern: String,
    /// A host name or an address.
    pub host: String,
    /// The host's port.
    pub port: u16,
    /// `never`, `opportunistic` (if empty), `require`, `verify` or `implicit`.
    pub tls: String,
}

/// `POST /queue/flush` and `POST /queue/bounce`: which waiting recipients are meant; all conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct QueueAction {
    /// Of this message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// At this domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// From this address (MAIL FROM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Everybody; without it at least one condition must be given.
    pub all: bool,
    /// Said in event and notice of a bounce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How many recipients an action met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// How many.
    pub recipients: u64,
}
