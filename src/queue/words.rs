//! Our verdicts in SES's words: bounce types and delay types. Pure.

use crate::mail::event::{BounceEnd, BounceType};
use crate::mail::{EnhancedStatus, FailureClass, Reply};

/// `bounceType` and `bounceSubType` of an end. SES keeps `Permanent` for addresses that are no good: a receiver's "no" to
/// our content or standing says nothing about the address.
pub fn bounce(
    end: BounceEnd,
    class: Option<FailureClass>,
    reply: &Reply,
) -> (BounceType, &'static str) {
    match end {
        BounceEnd::Suppressed => (BounceType::Permanent, "OnAccountSuppressionList"),
        BounceEnd::Operator | BounceEnd::Damaged => (BounceType::Undetermined, "Undetermined"),
        BounceEnd::Expired => (BounceType::Transient, sub_type(class, reply)),
        BounceEnd::Receiver => match class {
            Some(FailureClass::Recipient) => (BounceType::Permanent, "General"),
            Some(_) => (BounceType::Transient, sub_type(class, reply)),
            None => (BounceType::Undetermined, "Undetermined"),
        },
    }
}

fn sub_type(class: Option<FailureClass>, reply: &Reply) -> &'static str {
    match class {
        Some(FailureClass::MailboxFull) => "MailboxFull",
        Some(FailureClass::Content) => "ContentRejected",
        _ if is_too_large(reply) => "MessageTooLarge",
        _ => "General",
    }
}

/// RFC 3463 §3.3, §3.4: X.2.3 and X.3.4.
fn is_too_large(reply: &Reply) -> bool {
    let places = |status: EnhancedStatus| (status.subject, status.detail);
    matches!(reply.enhanced.map(places), Some((2, 3) | (3, 4)))
}

/// `delayType` of a deferral.
pub fn delay(class: Option<FailureClass>, answered: bool) -> &'static str {
    match class {
        Some(FailureClass::MailboxFull) => "MailboxFull",
        Some(FailureClass::Content) => "SpamDetected",
        Some(FailureClass::Reputation | FailureClass::Rate) => "IPFailure",
        Some(FailureClass::Infrastructure) if !answered => "TransientCommunicationFailure",
        Some(FailureClass::Infrastructure | FailureClass::Recipient | FailureClass::Policy) => {
            "RecipientServerError"
        }
        None => "Undetermined",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(end: BounceEnd, class: FailureClass, reply: &str, want: (BounceType, &str)) {
        assert_eq!(bounce(end, Some(class), &Reply::new(552, reply)), want, "{end:?} {class}");
    }

    #[test]
    fn only_a_verdict_on_the_address_is_permanent() {
        check(
            BounceEnd::Receiver,
            FailureClass::Recipient,
            "5.1.1 no",
            (BounceType::Permanent, "General"),
        );
        check(
            BounceEnd::Receiver,
            FailureClass::MailboxFull,
            "5.2.2 full",
            (BounceType::Transient, "MailboxFull"),
        );
        check(
            BounceEnd::Receiver,
            FailureClass::Policy,
            "5.3.4 big",
            (BounceType::Transient, "MessageTooLarge"),
        );
        check(
            BounceEnd::Receiver,
            FailureClass::Reputation,
            "5.7.1 no",
            (BounceType::Transient, "General"),
        );
        check(
            BounceEnd::Expired,
            FailureClass::Recipient,
            "5.1.1 no",
            (BounceType::Transient, "General"),
        );
    }
}
