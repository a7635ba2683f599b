//! The queue's own time: wall time without its steps. Pure: it is told what the clocks say.
//!
//! Deadlines are stored as wall time, but an administrator, NTP or a resumed machine may step the wall clock. *Queue
//! time* runs on through a step, so no deadline known to this process moves. A message lives in the wall time of its
//! birth: its stored times are read through the step that was in force when it was accepted, so that a retry written
//! before a step and one written after it are read alike. Across a restart the steps are forgotten and a
//! deadline may move by at most their size; one that is implausibly far away is taken as due.

use std::time::Duration;

use super::options::ms;

/// Less than this is the wall clock being slewed or read late; queue time follows it.
const STEP_MS_MIN: u64 = 5_000;

/// Steps remembered; beyond, the oldest are read as the next one is.
const EPOCHS_MAX: usize = 16;

/// No deadline lies further ahead than the longest hold (30 days, RFC 4865 §4) and a long retry: one that does was
/// written by a clock that was wrong.
pub const AHEAD_MS_MAX: u64 = 35 * 24 * 3600 * 1000;

/// Queue time of one process.
#[derive(Debug, Clone)]
pub struct QueueTime {
    /// Wall time and uptime as last seen together.
    seen: (u64, u64),
    /// Spans of wall time between two steps, oldest first; never empty.
    epochs: Vec<Epoch>,
}

/// A span in which the wall clock was not stepped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Epoch {
    /// Wall time less queue time, milliseconds.
    shift: i64,
    /// Its first moment, wall time in milliseconds.
    from: u64,
    /// Its last moment as far as known.
    until: u64,
}

/// A step of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How far it went; negative is back.
    pub by_ms: i64,
}

impl QueueTime {
    /// Starts with queue time equal to wall time.
    pub fn new(wall_ms: u64, uptime: Duration) -> QueueTime {
        QueueTime {
            seen: (wall_ms, ms(uptime)),
            epochs: vec![Epoch { shift: 0, from: 0, until: wall_ms }],
        }
    }

    /// Takes in what the clocks say; tells of a step since the last call.
    pub fn observe(&mut self, wall_ms: u64, uptime: Duration) -> Option<Step> {
        let (wall_before, up_before) = self.seen;
        let passed = ms(uptime).saturating_sub(up_before);
        let by_ms = wall_ms.cast_signed() - wall_before.saturating_add(passed).cast_signed();
        self.seen = (wall_ms, ms(uptime));
        let shift = self.shift_ms();
        if by_ms.unsigned_abs() < STEP_MS_MIN {
            if let Some(epoch) = self.epochs.last_mut() {
                epoch.until = epoch.until.max(wall_ms);
            }
            return None;
        }
        if self.epochs.len() == EPOCHS_MAX {
            self.epochs.remove(0);
        }
        self.epochs.push(Epoch { shift: shift + by_ms, from: wall_ms, until: wall_ms });
        Some(Step { by_ms })
    }

    /// Queue time of the last [`QueueTime::observe`], Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.seen.0.saturating_sub_signed(self.shift_ms())
    }

    /// Wall time of the last [`QueueTime::observe`].
    pub fn wall_ms(&self) -> u64 {
        self.seen.0
    }

    /// Sum of all steps.
    fn shift_ms(&self) -> i64 {
        self.epochs.last().map_or(0, |epoch| epoch.shift)
    }

    /// A stored deadline in queue time; `born_ms` is the time in its message's id.
    ///
    /// One that lies further ahead than any can is due now.
    pub fn read(&self, stored_ms: u64, born_ms: u64) -> u64 {
        let deadline = stored_ms.saturating_sub_signed(self.shift_at(born_ms));
        if deadline > self.now_ms().saturating_add(AHEAD_MS_MAX) { self.now_ms() } else { deadline }
    }

    /// A deadline of queue time as it is stored for a message.
    pub fn write(&self, deadline_ms: u64, born_ms: u64) -> u64 {
        deadline_ms.saturating_add_signed(self.shift_at(born_ms))
    }

    /// The highest stored value that any deadline until now can have: what a read of the disk must reach.
    pub fn reach_ms(&self) -> u64 {
        let most = self.epochs.iter().map(|epoch| epoch.shift).max().unwrap_or(0);
        self.now_ms().saturating_add_signed(most)
    }

    /// The earliest queue time that a stored deadline of an unknown message can mean.
    pub fn earliest(&self, stored_ms: u64) -> u64 {
        let most = self.epochs.iter().map(|epoch| epoch.shift).max().unwrap_or(0);
        stored_ms.saturating_sub_signed(most)
    }

    /// When something accepted at wall time `accepted_ms` was accepted, in queue time: the youngest reading that is not in
    /// the future, so that nothing expires for a step's sake.
    pub fn accepted(&self, accepted_ms: u64) -> u64 {
        let now = self.now_ms();
        let holds = |epoch: &&Epoch| epoch.from <= accepted_ms || epoch.from == 0;
        self.epochs
            .iter()
            .filter(holds)
            .map(|epoch| accepted_ms.saturating_sub_signed(epoch.shift))
            .filter(|&accepted| accepted <= now)
            .max()
            .unwrap_or(now.min(accepted_ms))
    }

    /// The step in force at a message's birth: of the first epoch that saw that wall time, else of the nearest.
    fn shift_at(&self, born_ms: u64) -> i64 {
        let far = |epoch: &Epoch| {
            let before = epoch.from.saturating_sub(born_ms);
            let last = self.epochs.last() == Some(epoch);
            let after = if last { 0 } else { born_ms.saturating_sub(epoch.until) };
            before.max(after)
        };
        self.epochs.iter().min_by_key(|epoch| far(epoch)).map_or(0, |epoch| epoch.shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_790_000_000_000;
    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    const YEARS_10: u64 = 3653 * DAY;

    /// A clock that ran an hour and was then stepped to `wall_ms`; an hour and a bit later.
    fn stepped(wall_ms: u64) -> QueueTime {
        let mut time = QueueTime::new(T, Duration::ZERO);
        assert_eq!(time.observe(T + HOUR, Duration::from_millis(HOUR)), None);
        let step = time.observe(wall_ms, Duration::from_millis(HOUR + 1000)).unwrap();
        assert_eq!(step.by_ms, wall_ms.cast_signed() - (T + HOUR + 1000).cast_signed());
        assert_eq!(time.now_ms(), T + HOUR + 1000, "queue time runs through the step");
        time.observe(wall_ms + HOUR, Duration::from_millis(2 * HOUR + 1000));
        time
    }

    const STEPS: [u64; 5] = [T + DAY, T - DAY, T - YEARS_10, T + YEARS_10, T + 2 * HOUR];

    #[test]
    fn a_retry_written_before_a_step_is_due_when_it_would_have_been() {
        for wall in STEPS {
            let time = stepped(wall);
            let (born, due) = (T + 1000, T + HOUR + 60_000);
            assert_eq!(time.read(due, born), due, "after a step to {wall}");
            assert!(time.reach_ms() >= due, "a read reaches it after a step to {wall}");
        }
    }

    #[test]
    fn a_retry_written_after_a_step_waits_its_time_and_no_longer() {
        for wall in STEPS {
            let time = stepped(wall);
            for born in [T - DAY, T + 1000, wall, wall + 1000] {
                let due = time.now_ms() + 60_000;
                let stored = time.write(due, born);
                assert_eq!(time.read(stored, born), due, "born {born}, step to {wall}");
                assert!(time.earliest(stored) <= due);
            }
        }
    }

    #[test]
    fn new_mail_is_due_at_once_after_any_step() {
        for wall in STEPS {
            let time = stepped(wall);
            let now_wall = time.wall_ms();
            assert!(time.read(now_wall, now_wall) <= time.now_ms(), "step to {wall}");
            assert!(time.reach_ms() >= now_wall, "step to {wall}");
        }
    }

    #[test]
    fn a_step_makes_nothing_older() {
        for wall in STEPS {
            let time = stepped(wall);
            let now = time.now_ms();
            assert!(time.accepted(T + 1000) >= T + 1000, "old mail, step to {wall}");
            assert!(time.accepted(T + 1000) <= now);
            assert_eq!(time.accepted(time.wall_ms()), now, "new mail, step to {wall}");
        }
    }

    #[test]
    fn a_deadline_ten_years_ahead_is_due_now() {
        // A restart with the clock ten years back: the steps are forgotten, the stored times are not.
        let time = QueueTime::new(T - YEARS_10, Duration::ZERO);
        assert_eq!(time.read(T, T - DAY), T - YEARS_10);
        assert_eq!(time.read(T - YEARS_10 + DAY, T - YEARS_10), T - YEARS_10 + DAY);
    }

    #[test]
    fn slewing_is_followed_without_a_step() {
        let mut time = QueueTime::new(T, Duration::ZERO);
        for second in 1..100 {
            // One per cent fast.
            assert_eq!(time.observe(T + second * 1010, Duration::from_secs(second)), None);
        }
        assert_eq!(time.now_ms(), T + 99 * 1010);
    }

    #[test]
    fn steps_without_end_stay_bounded() {
        let mut time = QueueTime::new(T, Duration::ZERO);
        for second in 1..1000u64 {
            time.observe(T + second * 1_000_000, Duration::from_secs(second));
        }
        assert!(time.epochs.len() <= EPOCHS_MAX);
        assert_eq!(time.now_ms(), T + 999_000);
    }
}
