//! The event log as a whole: over a log whose segments end where the test says.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::samples::{self, START_MS};
use super::source::Pending;
use super::*;
use crate::clock::ManualClock;
use crate::mail::EventKind;
use crate::store::{Fault, FaultDisk, RealDisk, SegmentInfo, StoreFailed};

/// A log in memory; what was taken is gone from it, as from the real one sooner or later.
#[derive(Default)]
struct Log(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    events: Vec<(u64, Event)>,
    next: u64,
    segments: Vec<SegmentInfo>,
}

impl Log {
    fn write(&self, events: impl IntoIterator<Item = Event>) {
        let mut inner = self.0.lock();
        for event in events {
            let seq = inner.next;
            inner.events.push((seq, event));
            inner.next += 1;
        }
    }

    /// Ends a segment behind all that was written.
    fn cut(&self) {
        let mut inner = self.0.lock();
        let first_event = inner.segments.last().map_or(0, |segment| segment.next_event);
        let segment = u32::try_from(inner.segments.len()).unwrap() + 1;
        let next_event = inner.next;
        let info = SegmentInfo { segment, first_event, next_event, bytes: 1, events_taken: false };
        inner.segments.push(info);
    }
}

impl Source for Log {
    fn events_from(&self, seq: u64, limit: usize) -> Result<Vec<(u64, Event)>, StoreFailed> {
        let inner = self.0.lock();
        let start = inner.events.partition_point(|(other, _)| *other < seq);
        Ok(inner.events[start..].iter().take(limit).cloned().collect())
    }

    fn next_event(&self) -> u64 {
        self.0.lock().next
    }

    fn sealed_segments(&self) -> Vec<SegmentInfo> {
        self.0.lock().segments.clone()
    }

    fn taken(&self, segment: u32) -> Pending<'_, Result<(), StoreFailed>> {
        let mut inner = self.0.lock();
        let info = inner.segments.iter_mut().find(|info| info.segment == segment).unwrap();
        info.events_taken = true;
        let within = info.first_event..info.next_event;
        inner.events.retain(|(seq, _)| !within.contains(seq));
        Box::pin(async { Ok(()) })
    }

    fn wait_sealed(&self) -> Pending<'_, ()> {
        Box::pin(std::future::pending())
    }
}

fn open_at(log: &Arc<Log>, dir: &Path, clock: &Arc<ManualClock>, options: EventsOptions) -> Events {
    Events::over(log.clone(), RealDisk::shared(), dir, clock.clone(), options).unwrap()
}

fn open(log: &Arc<Log>, dir: &Path) -> Events {
    open_at(log, dir, &ManualClock::at(START_MS), EventsOptions::default())
}

fn seal(events: &Events) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(events.sealer.round()).unwrap();
}

/// A life of message `number`: two to four events.
fn life(number: u64) -> Vec<Event> {
    let mut events = vec![samples::send(number), samples::attempt(number)];
    match number % 3 {
        0 => events.push(samples::delivery(number)),
        1 => events.push(samples::bounce(number)),
        _ => {}
    }
    events
}

/// Files of `per_file` messages each, sealed, and as many messages in the live tail.
fn filled(log: &Arc<Log>, events: &Events, files: u64, per_file: u64) {
    for file in 0..files {
        log.write((file * per_file..(file + 1) * per_file).flat_map(life));
        log.cut();
        seal(events);
    }
    log.write((files * per_file..(files + 1) * per_file).flat_map(life));
}

fn all(events: &Events, filter: &Filter, order: Order, limit: usize) -> Vec<(u64, Event)> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = events.query(filter, cursor, limit, order).unwrap();
        assert!(page.events.len() <= limit);
        found.extend(page.events);
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

fn filters() -> impl Strategy<Value = Filter> {
    let maybe = |n: u64| prop::option::weighted(0.25, 0..n);
    (maybe(60), maybe(60), maybe(60), maybe(6), maybe(3), 0u64..128, 0..40u64, 20..80u64).prop_map(
        |(message, recipient, tag, pool, set, types, since, until)| Filter {
            message: message.map(samples::message),
            recipient: recipient.map(|n| format!("User{n}@example.net")),
            tag: tag.map(|n| ("campaign".into(), Some(format!("c{n}")))),
            from: tag.map(|_| "ann@example.org".into()),
            pool: pool.map(|n| u16::try_from(n).unwrap()),
            config_set: set.map(|n| u32::try_from(n).unwrap()),
            types: if types % 2 == 0 { Types::ALL } else { Types::from_bits(types) },
            since_ms: START_MS + since,
            until_ms: START_MS + until,
            ..Filter::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_query_over_sealed_files_and_the_live_tail_finds_what_a_plain_filter_finds(
        filter in filters(),
        cuts in prop::collection::vec(0u64..60, 0..6),
        sealed in 0usize..7,
        limit in 1usize..30,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::default());
        let events = open(&log, dir.path());
        let mut model = Vec::new();
        let mut cut_at = 0;
        for number in 0..60 {
            model.extend(life(number));
            log.write(life(number));
            for _ in cuts.iter().filter(|cut| **cut == number) {
                log.cut();
                cut_at += 1;
                if cut_at <= sealed {
                    seal(&events);
                }
            }
        }
        let mut want: Vec<(u64, Event)> = (0u64..).zip(model.clone()).filter(|(_, event)| {
            let send = model.iter().find_map(|other| match &other.kind {
                EventKind::Send(send) if other.message == event.message => Some(send),
                EventKind::Send(_)
                | EventKind::Attempt(_)
                | EventKind::Delivery(_)
                | EventKind::DeliveryDelay(_)
                | EventKind::Bounce(_)
                | EventKind::Reject { .. }
                | EventKind::Unknown(_) => None,
            });
            filter.matches_event(event) && send.is_some_and(|send| filter.matches_send(send))
        }).collect();
        prop_assert_eq!(&all(&events, &filter, Order::OldestFirst, limit), &want);
        want.reverse();
        prop_assert_eq!(&all(&events, &filter, Order::NewestFirst, limit), &want);
    }
}

#[test]
fn a_message_is_traced_from_its_first_event_to_its_last() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::default());
    let events = open(&log, dir.path());
    filled(&log, &events, 3, 20);
    log.write([samples::bounce(7)]);
    let traced = events.of_message(samples::message(7)).unwrap();
    let kinds: Vec<&str> = traced.iter().map(|(_, event)| event.kind.word()).collect();
    assert_eq!(kinds, ["Send", "Attempt", "Bounce", "Bounce"]);
    assert!(traced.is_sorted_by_key(|(seq, _)| *seq));
    assert_eq!(events.send_of(traced[1].0, samples::message(7)).unwrap().unwrap().tags[0].1, "c7");
    assert_eq!(events.of_message(samples::message(4711)).unwrap(), []);
}

#[test]
fn pages_go_on_rightly_while_segments_are_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::default());
    let events = open(&log, dir.path());
    filled(&log, &events, 1, 20);
    let first = events.query(&Filter::default(), None, 30, Order::NewestFirst).unwrap();
    log.cut();
    seal(&events);
    log.write(life(99));
    let rest = events.query(&Filter::default(), first.next, 1000, Order::NewestFirst).unwrap();
    let seqs: Vec<u64> = first.events.iter().chain(&rest.events).map(|(seq, _)| *seq).collect();
    let newest = *seqs.first().unwrap();
    assert_eq!(seqs, (0..=newest).rev().collect::<Vec<_>>());
}

#[test]
fn followers_read_each_event_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::default());
    let events = open(&log, dir.path());
    filled(&log, &events, 2, 20);
    let (mut at, mut seen) = (0, Vec::new());
    loop {
        let batch = events.after(at, 7).unwrap();
        let Some((last, _)) = batch.last() else { break };
        at = last + 1;
        seen.extend(batch.into_iter().map(|(seq, _)| seq));
    }
    assert_eq!(seen, (0..events.next_event()).collect::<Vec<_>>());
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Damages the second of three files and says how many events are still read, and what is named.
fn with_damage(damage: impl Fn(&mut Vec<u8>)) -> (usize, Vec<(String, String)>) {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::default());
    filled(&log, &open(&log, dir.path()), 3, 20);
    let path = &files(dir.path())[1];
    let mut octets = std::fs::read(path).unwrap();
    damage(&mut octets);
    std::fs::write(path, octets).unwrap();
    let events = open(&log, dir.path());
    let read = all(&events, &Filter::default(), Order::NewestFirst, 1000).len();
    (read, events.status().damaged)
}

#[test]
fn a_damaged_file_is_named_and_the_others_are_read() {
    let per_file = (0..20).flat_map(life).count();
    let whole = with_damage(|_| {});
    assert_eq!(whole.1, []);
    for (damage, word) in [
        (0usize, "footer"), // cut in half
        (20, "block"),      // a flipped bit in the only block
    ] {
        let (read, named) = with_damage(|octets| match damage {
            0 => octets.truncate(octets.len() / 2),
            place => octets[place] ^= 1,
        });
        assert!(whole.0 - read <= per_file + 1 && read < whole.0, "{word}: read {read}");
        assert_eq!(named.len(), 1, "{word}");
        assert!(sealed::is_sealed_name(&named[0].0) && named[0].1.contains(word), "{named:?}");
    }
}

#[test]
fn a_crash_before_the_store_was_told_seals_the_same_file_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::default());
    log.write((0..20).flat_map(life));
    log.cut();
    let written = log.events_from(0, 1000).unwrap();
    let mut file = sealed::Writing::start(&RealDisk, dir.path(), 0).unwrap();
    for (seq, event) in &written {
        file.add(*seq, event).unwrap();
    }
    file.finish().unwrap();
    std::fs::write(dir.path().join("00000000000000000099.ev.tmp"), b"half").unwrap();

    let events = open(&log, dir.path());
    assert_eq!(files(dir.path()).len(), 1, "what was never finished is removed");
    assert_eq!(all(&events, &Filter::default(), Order::OldestFirst, 1000), written);
    seal(&events);
    assert!(log.sealed_segments()[0].events_taken);
    assert_eq!(files(dir.path()).len(), 1);
    assert_eq!(all(&events, &Filter::default(), Order::OldestFirst, 1000), written);
}

#[test]
fn events_are_kept_for_their_time_and_within_their_size() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::default());
    let clock = ManualClock::at(START_MS);
    let day = Duration::from_hours(24);
    let options = EventsOptions { age_max: day, ..EventsOptions::default() };
    let events = open_at(&log, dir.path(), &clock, options);
    filled(&log, &events, 3, 20);
    clock.pass(day + Duration::from_millis(20));
    seal(&events);
    assert_eq!(events.status().files, 2, "events 0 to 19 ms are past their day");
    let oldest = all(&events, &Filter::default(), Order::OldestFirst, 1)[0].1.at_ms;
    assert_eq!((oldest, events.status().oldest_ms), (START_MS + 20, Some(oldest)));

    let bytes_max = events.status().bytes - 1;
    let options = EventsOptions { bytes_max, ..EventsOptions::default() };
    let events = open_at(&log, dir.path(), &clock, options);
    seal(&events);
    assert_eq!((events.status().files, files(dir.path()).len()), (1, 1));
}

#[test]
fn a_clock_that_jumps_ten_years_ahead_does_not_empty_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::default());
    let clock = ManualClock::at(START_MS);
    let events = open_at(&log, dir.path(), &clock, EventsOptions::default());
    filled(&log, &events, 2, 20);
    clock.step_wall(START_MS + 10 * 365 * 24 * 60 * 60 * 1000);
    seal(&events);
    assert_eq!(events.status().files, 2);
}

#[test]
fn a_disk_that_fails_at_any_moment_of_sealing_costs_no_event() {
    for at in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::default());
        log.write((0..20).flat_map(life));
        let written = log.events_from(0, 1000).unwrap();
        log.cut();
        let disk = Arc::new(FaultDisk::new(RealDisk::shared(), at, Fault::Eio));
        let clock = ManualClock::at(START_MS);
        let options = EventsOptions::default();
        let opened = Events::over(log.clone(), disk.clone(), dir.path(), clock.clone(), options);
        if let Ok(events) = opened {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let sealed = runtime.block_on(events.sealer.round());
            assert!(sealed.is_err() || log.sealed_segments()[0].events_taken);
            assert_eq!(all(&events, &Filter::default(), Order::OldestFirst, 1000), written);
        }
        let events = open(&log, dir.path());
        seal(&events);
        assert_eq!(all(&events, &Filter::default(), Order::OldestFirst, 1000), written);
        if !disk.struck() {
            assert!(at > 5, "sealing takes more than {at} operations");
            return;
        }
    }
}

/// Printed, not asserted: `POSTRIDER_LONG=1` makes it a million events.
#[test]
#[allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]
fn queries_over_many_events_say_how_long_they_take() {
    let many = std::env::var_os("POSTRIDER_LONG").is_some();
    let (count, per_file) = if many { (350_000u64, 17_500) } else { (3_500, 350) };
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::default());
    let clock = crate::clock::SystemClock::start();
    let events = open(&log, dir.path());
    filled(&log, &events, count / per_file - 1, per_file);
    let sealed = clock.uptime();
    let reopened = open(&log, dir.path());
    println!("{} events, sealed in {sealed:?}", events.next_event());
    let opened = clock.uptime().saturating_sub(sealed);
    println!("opened in {opened:?}, {} octets", events.status().bytes);
    let one = |filter: &Filter| {
        let start = clock.uptime();
        let found = reopened.query(filter, None, 50, Order::NewestFirst).unwrap().events.len();
        (found, clock.uptime().saturating_sub(start))
    };
    for (name, filter) in [
        ("newest", Filter::default()),
        ("message", Filter::of_message(samples::message(count / 3))),
        ("recipient", Filter { recipient: Some("user5@example.net".into()), ..Filter::default() }),
        ("absent", Filter { recipient: Some("nobody@example.net".into()), ..Filter::default() }),
        ("tag", Filter { tag: Some(("campaign".into(), Some("c9".into()))), ..Filter::default() }),
    ] {
        let (found, took) = one(&filter);
        println!("{name}: {found} found in {took:?}");
    }
}
