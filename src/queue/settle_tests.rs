//! Rules of [`super::settle`], as tables.

use std::time::Duration;

use super::courier::Report;
use super::options::QueueOptions;
use super::settle::{Case, Next, Owed, Settlement, attempted, waited};
use super::testing;
use super::time::QueueTime;
use crate::mail::event::{Attempt, BounceEnd};
use crate::mail::{EventKind, Failure, FailureClass, Outcome, Reply};
use crate::store::{Place, WaitKey, Waiting};

const T: u64 = 1_790_000_000_000;
const HOUR: u64 = 3_600_000;

/// Settles the first try of a message that was accepted `age_ms` ago.
fn settle(age_ms: u64, told: bool, outcome: Outcome) -> Settlement {
    with(age_ms, told, |case| {
        attempted(case, Report { outcome, attempt: Attempt::default(), dsn_passed_on: false })
    })
}

fn with<R>(age_ms: u64, told: bool, run: impl FnOnce(&Case<'_>) -> R) -> R {
    let facts = testing::facts(1, T, &["bob@example.net"]);
    let key = WaitKey { lane: facts.lane_of(0).unwrap(), due_ms: T, id: facts.id, n: 0 };
    let mut waiting = Waiting::new(Place { segment: 1, offset: 0, len: 9 });
    waiting.delay_told = told;
    let mut time = QueueTime::new(T, Duration::ZERO);
    time.observe(T + age_ms, Duration::from_millis(age_ms));
    let options = QueueOptions::default();
    run(&Case { key: &key, waiting: &waiting, facts: &facts, time: &time, options: &options })
}

fn failure(class: FailureClass, whole_destination: bool) -> Failure {
    Failure { reply: Reply::new(550, "5.0.0 said so"), class, whole_destination }
}

fn words(settlement: &Settlement) -> Vec<&'static str> {
    settlement.change.events.iter().map(|event| event.kind.word()).collect()
}

#[test]
fn a_delivery_ends_the_recipient_in_the_commit_of_its_event() {
    let settlement = settle(5, false, Outcome::Delivered(Reply::new(250, "2.0.0 ok")));
    assert_eq!(words(&settlement), ["Attempt", "Delivery"]);
    assert_eq!(settlement.next, Next::Done);
    assert_eq!(settlement.change.settled[0].next, None);
    assert!(matches!(settlement.owed, Some(Owed::Relayed(_))));
}

#[test]
fn only_a_bounce_of_class_recipient_suppresses() {
    for class in FailureClass::ALL {
        let bounced = settle(5, false, Outcome::Bounced(failure(class, false)));
        assert_eq!(words(&bounced), ["Attempt", "Bounce"]);
        assert_eq!(bounced.suppress.is_some(), class == FailureClass::Recipient, "{class} bounced");
        let deferred = settle(5, false, Outcome::Deferred(failure(class, false)));
        assert!(deferred.suppress.is_none(), "{class} deferred");
    }
}

#[test]
fn a_deferral_comes_back_in_about_a_minute_with_its_reply() {
    let settlement = settle(5, false, Outcome::Deferred(failure(FailureClass::Rate, false)));
    assert_eq!(words(&settlement), ["Attempt"]);
    let (due_ms, waiting) = settlement.change.settled[0].next.clone().unwrap();
    assert!((T + 5 + 48_000..=T + 5 + 72_000).contains(&due_ms), "{}", due_ms - T);
    assert_eq!(settlement.next, Next::At(due_ms));
    assert_eq!((waiting.attempts, waiting.last_class), (1, Some(FailureClass::Rate)));
    assert_eq!(waiting.last_reply.as_deref(), Some("550 5.0.0 said so"));
}

#[test]
fn a_delay_is_told_once() {
    let failed = || Outcome::Deferred(failure(FailureClass::Rate, false));
    assert_eq!(words(&settle(4 * HOUR, false, failed())), ["Attempt", "DeliveryDelay"]);
    assert_eq!(words(&settle(4 * HOUR, true, failed())), ["Attempt"]);
}

#[test]
fn a_failed_try_after_four_days_is_the_last() {
    let failed = || Outcome::Deferred(failure(FailureClass::Rate, false));
    assert_eq!(words(&settle(96 * HOUR - 1, true, failed())), ["Attempt"]);
    let settlement = settle(96 * HOUR, true, failed());
    assert_eq!(words(&settlement), ["Attempt", "Bounce"]);
    assert!(matches!(settlement.owed, Some(Owed::Failed(BounceEnd::Expired, _))));
    assert!(settlement.suppress.is_none());
}

#[test]
fn a_try_after_the_expiry_that_succeeds_is_a_delivery() {
    let settlement = settle(960 * HOUR, true, Outcome::Delivered(Reply::new(250, "ok")));
    assert_eq!(words(&settlement), ["Attempt", "Delivery"]);
}

#[test]
fn a_failure_of_the_whole_destination_leaves_the_record_alone() {
    let dead = || Outcome::Deferred(failure(FailureClass::Infrastructure, true));
    let settlement = settle(5, false, dead());
    assert_eq!(words(&settlement), ["Attempt"]);
    assert!(settlement.change.settled.is_empty());
    assert_eq!(settlement.next, Next::Unchanged);
    let late = settle(5 * HOUR, false, dead());
    assert_eq!(words(&late), ["Attempt", "DeliveryDelay"]);
    let (due_ms, waiting) = late.change.settled[0].next.clone().unwrap();
    assert_eq!((due_ms, waiting.attempts, waiting.delay_told), (T, 0, true));
}

#[test]
fn a_probe_after_the_expiry_ends_those_that_waited_for_it() {
    let why = Reply::new(0, "no host reachable");
    let ends = |age_ms: u64, probed_ms: u64| {
        let settled = with(age_ms, true, |case| waited(case, probed_ms, &why));
        settled.map(|settlement| settlement.next)
    };
    assert_eq!(ends(97 * HOUR, T + 95 * HOUR), None, "probed before, not since");
    assert_eq!(ends(97 * HOUR, T + 97 * HOUR), Some(Next::Done));
}

#[test]
fn events_carry_the_address_and_the_number_of_the_try() {
    let settlement = settle(5, false, Outcome::Delivered(Reply::new(250, "ok")));
    let event = &settlement.change.events[0];
    assert_eq!(event.recipient, Some((0, "bob@example.net".to_owned())));
    let EventKind::Attempt(attempt) = &event.kind else { panic!("{event:?}") };
    assert_eq!((attempt.number, attempt.result.as_str()), (1, "delivered"));
}
