//! What somebody asks the event log for, and whether an event is it. Pure.
//!
//! An event says its own recipient, pool and exit; who sent the message and with which tags only its Send event says. A
//! filter by those therefore looks at the Send of the event's message, which the caller brings.

use crate::mail::event::{Attempt, Bounce, Delay, Delivery, Send};
use crate::mail::{Event, EventKind, MessageId};

use super::term::{self, Term};

/// Types of events, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Types(u64);

impl Types {
    /// The types that can be asked for by name: number in records and SES's word.
    pub const NAMED: [(u32, &'static str); 6] = [
        (1, "Send"),
        (2, "Attempt"),
        (3, "Delivery"),
        (4, "DeliveryDelay"),
        (5, "Bounce"),
        (6, "Reject"),
    ];

    /// Every type.
    pub const ALL: Types = Types(u64::MAX);
    /// None; a filter with it finds nothing.
    pub const NONE: Types = Types(0);
    /// Send alone.
    pub const SEND: Types = Types(1 << 1);

    /// The type of a word, in any case, with or without `_`, as the SES API and its JSON spell it.
    pub fn of_word(word: &str) -> Option<Types> {
        let plain = word.replace(['_', ' ', '-'], "");
        Types::NAMED
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(&plain))
            .map(|(number, _)| Types::of_number(*number))
    }

    /// The type of a kind.
    pub(super) fn of(kind: &EventKind) -> Types {
        Types::of_number(kind.number())
    }

    // Numbers of later releases share the last place, so that a block that holds one is never passed over for it.
    fn of_number(number: u32) -> Types {
        Types(1 << number.min(63))
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    /// Whether the sets share a type.
    pub(super) const fn meets(self, other: Types) -> bool {
        self.0 & other.0 != 0
    }

    /// As files hold it.
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// From a file.
    pub(super) const fn from_bits(bits: u64) -> Types {
        Types(bits)
    }
}

/// Conditions that an event must all meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The tenant's number.
    pub tenant: Option<u32>,
    /// One message.
    pub message: Option<MessageId>,
    /// A recipient's address, in any case of letters; a Send meets it if it names the address.
    pub recipient: Option<String>,
    /// A recipient's domain.
    pub domain: Option<String>,
    /// MAIL FROM or an address of header From, of the event's message.
    pub from: Option<String>,
    /// A tag of the event's message: its name and, unless any will do, its value.
    pub tag: Option<(String, Option<String>)>,
    /// Types.
    pub types: Types,
    /// The pool's number.
    pub pool: Option<u16>,
    /// The configuration set's number.
    pub config_set: Option<u32>,
    /// The source address, as text.
    pub exit: Option<String>,
    /// The mailbox provider.
    pub provider: Option<String>,
    /// Not before, Unix milliseconds.
    pub since_ms: u64,
    /// Not after, Unix milliseconds.
    pub until_ms: u64,
}

impl Default for Filter {
    /// Everything.
    fn default() -> Filter {
        Filter {
            tenant: None,
            message: None,
            recipient: None,
            domain: None,
            from: None,
            tag: None,
            types: Types::ALL,
            pool: None,
            config_set: None,
            exit: None,
            provider: None,
            since_ms: 0,
            until_ms: u64::MAX,
        }
    }
}

impl Filter {
    /// Every event of one message.
    pub fn of_message(id: MessageId) -> Filter {
        Filter { message: Some(id), ..Filter::default() }
    }

    /// Whether the event meets what it can answer itself.
    pub(super) fn matches_event(&self, event: &Event) -> bool {
        (self.since_ms..=self.until_ms).contains(&event.at_ms)
            && self.types.meets(Types::of(&event.kind))
            && self.tenant.is_none_or(|tenant| tenant == event.tenant)
            && self.message.is_none_or(|id| id == event.message)
            && self.pool.is_none_or(|pool| pool == event.pool)
            && self.config_set.is_none_or(|set| set == event.config_set)
            && self.recipient.as_ref().is_none_or(|want| {
                any_recipient(event, |address| address.eq_ignore_ascii_case(want))
            })
            && self.domain.as_ref().is_none_or(|want| {
                any_recipient(event, |a| term::domain_of(a).eq_ignore_ascii_case(want))
            })
            && self.exit.as_ref().is_none_or(|want| same(exit_of(&event.kind), want))
            && self.provider.as_ref().is_none_or(|want| same(provider_of(&event.kind), want))
    }

    /// Whether the Send of the event's message must be asked too.
    pub(super) fn asks_send(&self) -> bool {
        self.from.is_some() || self.tag.is_some()
    }

    /// Whether the Send of an event's message meets the rest.
    pub(super) fn matches_send(&self, send: &Send) -> bool {
        let from = self.from.as_ref().is_none_or(|want| {
            send.from.eq_ignore_ascii_case(want)
                || send.header_from.iter().any(|address| address.eq_ignore_ascii_case(want))
        });
        let tag = self.tag.as_ref().is_none_or(|(name, value)| {
            send.tags.iter().any(|(n, v)| n == name && value.as_ref().is_none_or(|want| v == want))
        });
        from && tag
    }

    /// Terms that a block must hold to have anything for us.
    pub(super) fn terms(&self) -> Vec<Term> {
        let mut terms = Vec::new();
        terms.extend(self.message.map(Term::message));
        terms.extend(self.recipient.as_deref().map(Term::recipient));
        terms.extend(self.domain.as_deref().map(Term::domain));
        terms.extend(self.exit.as_deref().map(Term::exit));
        terms.extend(self.provider.as_deref().map(Term::provider));
        terms.extend(self.pool.map(Term::pool));
        terms.extend(self.config_set.map(Term::config_set));
        // The Send may lie in another block than the events of its message.
        if self.types == Types::SEND {
            terms.extend(self.from.as_deref().map(Term::from));
            terms.extend(self.tag.as_ref().map(|(n, v)| Term::tag(n, v.as_deref())));
        }
        terms
    }

    /// Whether a stretch of events with these times and types may hold one for us.
    pub(super) fn may_meet(&self, min_ms: u64, max_ms: u64, types: Types) -> bool {
        min_ms <= self.until_ms && self.since_ms <= max_ms && self.types.meets(types)
    }
}

fn any_recipient(event: &Event, meets: impl Fn(&str) -> bool) -> bool {
    let own = event.recipient.as_ref().is_some_and(|(_, address)| meets(address));
    match &event.kind {
        EventKind::Send(send) => own || send.recipients.iter().any(|address| meets(address)),
        EventKind::Attempt(_)
        | EventKind::Delivery(_)
        | EventKind::DeliveryDelay(_)
        | EventKind::Bounce(_)
        | EventKind::Reject { .. }
        | EventKind::Unknown(_) => own,
    }
}

fn exit_of(kind: &EventKind) -> Option<&str> {
    match kind {
        EventKind::Attempt(Attempt { exit, .. })
        | EventKind::Delivery(Delivery { exit, .. })
        | EventKind::Bounce(Bounce { exit, .. }) => Some(exit),
        EventKind::Send(_)
        | EventKind::DeliveryDelay(_)
        | EventKind::Reject { .. }
        | EventKind::Unknown(_) => None,
    }
}

fn provider_of(kind: &EventKind) -> Option<&str> {
    match kind {
        EventKind::Attempt(Attempt { provider, .. })
        | EventKind::Delivery(Delivery { provider, .. })
        | EventKind::Bounce(Bounce { provider, .. })
        | EventKind::DeliveryDelay(Delay { provider, .. }) => Some(provider),
        EventKind::Send(_) | EventKind::Reject { .. } | EventKind::Unknown(_) => None,
    }
}

fn same(have: Option<&str>, want: &str) -> bool {
    have.is_some_and(|have| have.eq_ignore_ascii_case(want))
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[track_caller]
    fn check(filter: &Filter, event: &Event, want: bool) {
        assert_eq!(filter.matches_event(event), want, "{filter:?}");
        if want {
            let mut terms = Vec::new();
            term::each(event, &mut |term| terms.push(term));
            assert!(filter.terms().iter().all(|term| terms.contains(term)), "{filter:?}");
        }
    }

    #[test]
    fn a_filter_finds_what_it_names_and_nothing_else() {
        let event = samples::bounce(7);
        let all = Filter::default;
        check(&all(), &event, true);
        check(&Filter { recipient: Some("USER7@example.net".into()), ..all() }, &event, true);
        check(&Filter { recipient: Some("user8@example.net".into()), ..all() }, &event, false);
        check(&Filter { domain: Some("Example.net".into()), ..all() }, &event, true);
        check(&Filter { domain: Some("example.org".into()), ..all() }, &event, false);
        check(&Filter { types: Types::SEND, ..all() }, &event, false);
        check(&Filter { pool: Some(event.pool), ..all() }, &event, true);
        check(&Filter { pool: Some(99), ..all() }, &event, false);
        check(&Filter { exit: Some("192.0.2.9".into()), ..all() }, &event, true);
        check(&Filter { provider: Some("nobody".into()), ..all() }, &event, false);
        check(&Filter { since_ms: event.at_ms, until_ms: event.at_ms, ..all() }, &event, true);
        check(&Filter { since_ms: event.at_ms + 1, ..all() }, &event, false);
        check(&Filter::of_message(event.message), &event, true);
        check(&Filter { tenant: Some(5), ..all() }, &event, false);
    }

    #[test]
    fn a_send_is_found_by_any_of_its_recipients() {
        let event = samples::send(7);
        let filter = |r: &str| Filter { recipient: Some(r.into()), ..Filter::default() };
        check(&filter("user7@example.net"), &event, true);
        check(&filter("user9@example.net"), &event, false);
    }

    #[test]
    fn sender_and_tags_are_asked_of_the_send() {
        let EventKind::Send(send) = samples::send(7).kind else { panic!("a Send") };
        let from = |a: &str| Filter { from: Some(a.into()), ..Filter::default() };
        assert!(from("ANN@example.org").matches_send(&send));
        assert!(!from("eve@example.org").matches_send(&send));
        let tag = |n: &str, v: Option<&str>| Filter {
            tag: Some((n.into(), v.map(str::to_owned))),
            ..Filter::default()
        };
        assert!(tag("campaign", None).matches_send(&send));
        assert!(tag("campaign", Some("c7")).matches_send(&send));
        assert!(!tag("campaign", Some("c8")).matches_send(&send));
    }

    #[test]
    fn a_type_is_known_in_the_spelling_of_json_and_of_the_api() {
        assert_eq!(Types::of_word("DELIVERY_DELAY"), Types::of_word("DeliveryDelay"));
        assert_eq!(Types::of_word("send"), Some(Types::SEND));
        assert_eq!(Types::of_word("opened"), None);
    }
}
