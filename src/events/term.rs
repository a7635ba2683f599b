//! Terms: what an event can be found by, as 64-bit hashes that are the same in every release.
//!
//! Pure. A term is a kind and a value; addresses and names are folded to lower case, so that a person finds what a client
//! spelled differently. Types are no terms: every block has a bitmap of them, which is exact and smaller.

use crate::mail::event::{Attempt, Bounce, Delay, Delivery, Send};
use crate::mail::{Event, EventKind, MessageId};

/// The hash of one term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Term(u64);

impl Term {
    /// The message's id.
    pub(super) fn message(id: MessageId) -> Term {
        hash(b'm', id.octets())
    }

    /// A recipient's address.
    pub(super) fn recipient(address: &str) -> Term {
        folded(b'r', address)
    }

    /// A recipient's domain.
    pub(super) fn domain(domain: &str) -> Term {
        folded(b'd', domain)
    }

    /// An address of MAIL FROM or header From.
    pub(super) fn from(address: &str) -> Term {
        folded(b'f', address)
    }

    /// A tag's name, with its value or with any.
    pub(super) fn tag(name: &str, value: Option<&str>) -> Term {
        match value {
            None => hash(b'n', name.bytes()),
            Some(value) => hash(b't', name.bytes().chain([0]).chain(value.bytes())),
        }
    }

    /// A pool's number.
    pub(super) fn pool(number: u16) -> Term {
        hash(b'p', number.to_be_bytes())
    }

    /// A configuration set's number.
    pub(super) fn config_set(number: u32) -> Term {
        hash(b'c', number.to_be_bytes())
    }

    /// A source address, as text.
    pub(super) fn exit(exit: &str) -> Term {
        folded(b'x', exit)
    }

    /// A mailbox provider's name.
    pub(super) fn provider(name: &str) -> Term {
        folded(b'v', name)
    }

    /// The hash itself.
    pub(super) const fn hash(self) -> u64 {
        self.0
    }
}

/// Hands every term of `event` to `put`; some may come twice.
pub(super) fn each(event: &Event, put: &mut dyn FnMut(Term)) {
    put(Term::message(event.message));
    put(Term::pool(event.pool));
    put(Term::config_set(event.config_set));
    if let Some((_, address)) = &event.recipient {
        put_recipient(address, put);
    }
    match &event.kind {
        EventKind::Send(send) => each_of_send(send, put),
        EventKind::Attempt(Attempt { exit, provider, .. })
        | EventKind::Delivery(Delivery { exit, provider, .. })
        | EventKind::Bounce(Bounce { exit, provider, .. }) => {
            put(Term::exit(exit));
            put(Term::provider(provider));
        }
        EventKind::DeliveryDelay(Delay { provider, .. }) => put(Term::provider(provider)),
        EventKind::Reject { .. } | EventKind::Unknown(_) => {}
    }
}

fn each_of_send(send: &Send, put: &mut dyn FnMut(Term)) {
    send.recipients.iter().for_each(|address| put_recipient(address, put));
    put(Term::from(&send.from));
    send.header_from.iter().for_each(|address| put(Term::from(address)));
    for (name, value) in &send.tags {
        put(Term::tag(name, None));
        put(Term::tag(name, Some(value)));
    }
}

fn put_recipient(address: &str, put: &mut dyn FnMut(Term)) {
    put(Term::recipient(address));
    put(Term::domain(domain_of(address)));
}

/// What follows the last `@`; all of it where there is none.
pub(super) fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain)
}

fn folded(kind: u8, text: &str) -> Term {
    // Letters beyond ASCII are left alone: the filter compares the same way.
    hash(kind, text.bytes().map(|octet| octet.to_ascii_lowercase()))
}

/// FNV-1a, then the finalizer of MurmurHash3, since FNV alone leaves the high bits of short texts alike.
fn hash(kind: u8, octets: impl IntoIterator<Item = u8>) -> Term {
    let mut hash =
        [kind].into_iter().chain(octets).fold(0xcbf2_9ce4_8422_2325, |hash: u64, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    Term(hash ^ (hash >> 33))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_never_change_between_releases() {
        assert_eq!(Term::recipient("ann@example.org").hash(), 9_201_491_295_497_007_511);
        assert_eq!(Term::tag("campaign", Some("spring")).hash(), 14_585_999_842_136_825_581);
    }

    #[test]
    fn a_term_is_found_however_its_letters_are_cased() {
        assert_eq!(Term::recipient("Ann@Example.ORG"), Term::recipient("ann@example.org"));
        assert_ne!(Term::tag("A", None), Term::tag("a", None), "SES's tags are exact");
    }

    #[test]
    fn the_same_text_is_another_term_in_another_place() {
        assert_ne!(Term::recipient("example.org"), Term::domain("example.org"));
        assert_ne!(Term::tag("a", Some("b")), Term::tag("ab", Some("")));
    }
}
