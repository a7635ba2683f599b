//! How long the listener waits for a client's next octets. Pure: time comes in as uptime.

use std::time::Duration;

use crate::smtp::Phase;

use super::options::Deadlines;

/// The deadlines of one connection as it goes on.
#[derive(Debug)]
pub(super) struct Pace {
    /// The commands that were finished when `until` was set.
    commands: u64,
    until: Duration,
    /// A part of a command has come, so `until` is that command's deadline.
    partial: bool,
    message: Option<Message>,
}

/// A message on its way in: only waits for the client count.
#[derive(Debug, Default)]
struct Message {
    waited: Duration,
    octets: u64,
}

/// What the listener knows when it is about to wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Uptime.
    pub(super) now: Duration,
    /// What the session waits for.
    pub(super) phase: Phase,
    /// Commands finished so far.
    pub(super) commands: u64,
    /// Whether a part of a command lies in the buffer.
    pub(super) partial: bool,
    /// Whether an account is known.
    pub(super) logged_in: bool,
}

impl Pace {
    pub(super) fn new(now: Duration, deadlines: &Deadlines) -> Pace {
        let until = now + deadlines.idle_before_login;
        Pace { commands: 0, until, partial: false, message: None }
    }

    /// How long to wait from this moment; nought when the client has used up its time.
    pub(super) fn wait(&mut self, moment: &Moment, deadlines: &Deadlines) -> Duration {
        if moment.phase == Phase::Message {
            let message = self.message.get_or_insert_default();
            let rate = u64::from(deadlines.message_bytes_per_second_min.max(1));
            let earned = Duration::from_millis(message.octets.saturating_mul(1000) / rate);
            return (deadlines.message_grace + earned).saturating_sub(message.waited);
        }
        let first = self.message.take().is_some() || moment.commands != self.commands;
        if first {
            self.commands = moment.commands;
            self.partial = false;
            self.until = moment.now + self.idle(moment.logged_in, deadlines);
        }
        if moment.partial && !self.partial {
            self.partial = true;
            self.until = self.until.min(moment.now + deadlines.command);
        }
        self.until.saturating_sub(moment.now)
    }

    #[allow(clippy::unused_self, reason = "reads as the pace's own rule")]
    fn idle(&self, logged_in: bool, deadlines: &Deadlines) -> Duration {
        if logged_in { deadlines.idle } else { deadlines.idle_before_login }
    }

    /// Octets came after a wait of `waited`.
    pub(super) fn received(&mut self, octets: usize, waited: Duration) {
        if let Some(message) = &mut self.message {
            message.octets = message.octets.saturating_add(octets as u64);
            message.waited += waited;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadlines() -> Deadlines {
        Deadlines {
            idle_before_login: Duration::from_mins(1),
            idle: Duration::from_mins(5),
            command: Duration::from_secs(30),
            message_grace: Duration::from_secs(10),
            message_bytes_per_second_min: 500,
            ..Deadlines::default()
        }
    }

    fn at(second: u64, commands: u64, partial: bool) -> Moment {
        let now = Duration::from_secs(second);
        Moment { now, phase: Phase::Idle, commands, partial, logged_in: false }
    }

    #[track_caller]
    fn check(pace: &mut Pace, moment: Moment, seconds: u64) {
        assert_eq!(pace.wait(&moment, &deadlines()), Duration::from_secs(seconds), "{moment:?}");
    }

    #[test]
    fn a_trickle_does_not_move_the_deadline_of_its_command() {
        let mut pace = Pace::new(Duration::ZERO, &deadlines());
        check(&mut pace, at(0, 0, false), 60);
        check(&mut pace, at(10, 0, true), 30);
        check(&mut pace, at(19, 0, true), 21);
        check(&mut pace, at(39, 0, true), 1);
        check(&mut pace, at(50, 0, true), 0);
        // The same holds for a line that is thrown away as it comes: no octet of it stays in the buffer.
        let mut pace = Pace::new(Duration::ZERO, &deadlines());
        check(&mut pace, at(10, 0, true), 30);
        check(&mut pace, at(30, 0, false), 10);
    }

    #[test]
    fn a_finished_command_gives_new_time() {
        let mut pace = Pace::new(Duration::ZERO, &deadlines());
        check(&mut pace, at(50, 1, false), 60);
        check(&mut pace, at(100, 1, true), 10);
        check(&mut pace, at(101, 2, true), 30);
        check(&mut pace, Moment { logged_in: true, ..at(110, 3, false) }, 300);
    }

    #[test]
    fn a_message_must_keep_to_the_least_rate_while_we_wait_for_it() {
        let mut pace = Pace::new(Duration::ZERO, &deadlines());
        let message = |second| Moment { phase: Phase::Message, ..at(second, 5, false) };
        check(&mut pace, message(0), 10);
        pace.received(5_000, Duration::from_secs(8));
        check(&mut pace, message(8), 12);
        // An hour of our own changes nothing.
        check(&mut pace, message(3_600), 12);
        pace.received(0, Duration::from_secs(12));
        check(&mut pace, message(3_612), 0);
    }
}
