//! One transaction on an open connection: envelope, content, verdict. Every way it can go wrong ends in an outcome.

use std::time::Duration;

use bytes::Bytes;

use super::classify::{Stage, outcome};
use super::compose::Commands;
use super::content::{PIECE_OCTETS, Pieces, Source, Stuffer};
use super::deadlines::Deadlines;
use super::dial::Connection;
use super::transcript::Transcript;
use super::wire::Fault;
use crate::mail::{EnhancedStatus, Failure, FailureClass, Message, Outcome, Reply};
use crate::queue::Lease;

/// How long a host that closed on our content may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A transaction under way.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Open {
    pub(super) lease: Lease,
    /// Uptime when it began.
    pub(super) began: Duration,
    pub(super) transcript: Transcript,
    pub(super) dsn_passed_on: bool,
    commands: Commands,
    /// Whether RSET goes first, because the transaction before was given up.
    reset: bool,
    /// Whether the commands are on their way already.
    pub(super) sent: bool,
    /// Whether the connection carried mail before.
    pub(super) reused: bool,
}

/// What came of the envelope.
pub(super) enum Verdict {
    /// The content may be sent.
    Go,
    /// Refused; the connection is in step. `reset`: the next transaction must begin with RSET.
    Refused { outcome: Outcome, reset: bool },
    /// Refused or cut off; the connection is gone.
    Lost(Outcome),
    /// The connection went before the host had said a word on this transaction: it was not tried.
    Untried,
}

/// What came of the content.
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    /// The connection is gone.
    pub(super) lost: bool,
}

impl Open {
    pub(super) fn new(lease: Lease, commands: Commands, reset: bool, began: Duration) -> Open {
        let dsn_passed_on = commands.dsn_passed_on;
        Open {
            lease,
            began,
            transcript: Transcript::new(),
            dsn_passed_on,
            commands,
            reset,
            sent: false,
            reused: false,
        }
    }

    fn steps(&self, chunking: bool) -> impl Iterator<Item = (Stage, &str)> {
        let reset = self.reset.then_some((Stage::Ehlo, "RSET\r\n"));
        // With CHUNKING the content brings its own command (RFC 3030 §2).
        let data = (!chunking).then_some((Stage::Data, "DATA\r\n"));
        let paths = [(Stage::Mail, &*self.commands.mail), (Stage::Rcpt, &*self.commands.rcpt)];
        reset.into_iter().chain(paths).chain(data)
    }

    /// All commands of the envelope, for one write; the transcript takes them as sent.
    pub(super) fn pipeline(&mut self, chunking: bool) -> String {
        let text: String = self.steps(chunking).map(|(_, line)| line).collect();
        self.transcript.sent(&text);
        self.sent = true;
        text
    }
}

/// The envelope: in one write where the host pipelines, else step by step.
pub(super) async fn envelope(
    on: &mut Connection,
    open: &mut Open,
    deadlines: &Deadlines,
) -> Verdict {
    let (pipelining, again) = (on.offered.pipelining, open.reused);
    if again && !open.sent && on.wire.has_unread() {
        return Verdict::Untried;
    }
    if pipelining && !open.sent {
        let text = open.pipeline(on.offered.chunking);
        if let Err(fault) = on.wire.send(&mut text.as_bytes(), deadlines.command).await {
            return if again {
                Verdict::Untried
            } else {
                Verdict::Lost(lost(on, Stage::Mail, &fault))
            };
        }
    }
    let steps: Vec<(Stage, Option<String>)> = open
        .steps(on.offered.chunking)
        .map(|(stage, line)| (stage, (!pipelining).then(|| line.to_owned())))
        .collect();
    let mut refused = None;
    let mut go_ahead = false;
    for (index, (stage, line)) in steps.into_iter().enumerate() {
        let reply = match step(on, open, deadlines, (stage, line)).await {
            Ok(reply) if reply.code == 421 && index == 0 && again => return Verdict::Untried,
            Ok(reply) => reply,
            Err(_) if index == 0 && again => return Verdict::Untried,
            Err(fault) => return Verdict::Lost(refused.unwrap_or_else(|| lost(on, stage, &fault))),
        };
        // RFC 5321 §3.8: with 421 the host closes.
        let closing = reply.code == 421 || on.wire.is_spent();
        go_ahead |= stage == Stage::Data && reply.code == 354;
        if let Some(no) = refusal(on, stage, reply) {
            refused.get_or_insert(no);
        }
        match refused.take() {
            Some(outcome) if closing => return Verdict::Lost(outcome),
            Some(outcome) if !pipelining => {
                return Verdict::Refused { outcome, reset: stage != Stage::Mail };
            }
            kept => refused = kept,
        }
    }
    match refused {
        None => Verdict::Go,
        Some(outcome) if go_ahead => take_back(on, open, deadlines, outcome).await,
        Some(outcome) => Verdict::Refused { outcome, reset: true },
    }
}

/// Sends one command, unless it is on its way, and reads its reply.
async fn step(
    on: &mut Connection,
    open: &mut Open,
    deadlines: &Deadlines,
    (stage, line): (Stage, Option<String>),
) -> Result<Reply, Fault> {
    if let Some(line) = line {
        open.transcript.sent(&line);
        on.wire.send(&mut line.as_bytes(), deadlines.command).await?;
    }
    let deadline = if stage == Stage::Data { deadlines.data } else { deadlines.command };
    let reply = on.wire.reply(deadline).await?;
    open.transcript.received(&reply);
    Ok(reply)
}

/// What a reply refuses, if it does.
fn refusal(on: &Connection, stage: Stage, reply: Reply) -> Option<Outcome> {
    let fits = match stage {
        Stage::Mail | Stage::Rcpt => reply.code / 100 == 2,
        Stage::Data => reply.code == 354,
        // RSET, which stands at EHLO's stage: a host that refuses it refuses MAIL too, and says there why.
        Stage::Connect
        | Stage::Greeting
        | Stage::Ehlo
        | Stage::Starttls
        | Stage::Content
        | Stage::Dot => true,
    };
    if fits {
        return None;
    }
    if reply.code / 100 == 2 {
        // DATA answered as if it were the dot (RFC 5321 §4.1.1.4): nothing was sent, so nothing was taken.
        return Some(lost(on, stage, &Fault::Early));
    }
    Some(outcome(stage, reply, &on.provider))
}

/// RFC 2920 §3.1: the host awaits content for nobody; a dot alone ends that.
async fn take_back(
    on: &mut Connection,
    open: &mut Open,
    deadlines: &Deadlines,
    outcome: Outcome,
) -> Verdict {
    open.transcript.sent(".");
    let sent = on.wire.send(&mut b".\r\n".as_slice(), deadlines.piece).await;
    match (sent, on.wire.reply(deadlines.dot).await) {
        (Ok(()), Ok(reply)) if reply.code != 421 => {
            open.transcript.received(&reply);
            Verdict::Refused { outcome, reset: false }
        }
        _ => Verdict::Lost(outcome),
    }
}

/// The content and its verdict; `tail` goes out in the same write, behind the final dot.
pub(super) async fn content(
    on: &mut Connection,
    open: &mut Open,
    deadlines: &Deadlines,
    tail: String,
) -> Ended {
    let message = std::sync::Arc::clone(&open.lease.message);
    let chunking = on.offered.chunking;
    open.transcript.note(if chunking {
        "content as one chunk, BDAT LAST"
    } else {
        "content, final dot"
    });
    if let Err(fault) = send(on, &message, deadlines, tail).await {
        return Ended { outcome: cut_off(on, open, fault).await, lost: true };
    }
    match on.wire.reply(deadlines.dot).await {
        Ok(reply) => {
            open.transcript.received(&reply);
            let lost = reply.code == 421 || on.wire.is_spent();
            Ended { outcome: outcome(Stage::Dot, reply, &on.provider), lost }
        }
        Err(fault) => Ended { outcome: lost(on, Stage::Dot, &fault), lost: true },
    }
}

async fn send(
    on: &mut Connection,
    message: &Message,
    deadlines: &Deadlines,
    tail: String,
) -> Result<(), Fault> {
    let mut source = Source::open(message).await.map_err(Fault::Content)?;
    let (mut stuffer, mut pieces, mut held) = (Stuffer::default(), Pieces::default(), 0);
    let chunking = on.offered.chunking;
    if chunking {
        pieces.push(format!("BDAT {} LAST\r\n", message.len()).into());
    }
    while let Some(piece) = source.next().await.map_err(Fault::Content)? {
        let piece = if chunking { piece } else { stuffer.stuff(piece) };
        held += piece.len();
        pieces.push(piece);
        if held >= PIECE_OCTETS {
            on.wire.send(&mut pieces, deadlines.piece).await?;
            held = 0;
        }
    }
    if !chunking {
        pieces.push(stuffer.end());
    }
    pieces.push(Bytes::from(tail));
    on.wire.send(&mut pieces, deadlines.piece).await
}

/// The content could not be sent to its end: the host may have said why before it closed.
async fn cut_off(on: &mut Connection, open: &mut Open, fault: Fault) -> Outcome {
    if matches!(fault, Fault::Io(_))
        && let Ok(reply) = on.wire.reply(LAST_WORDS).await
        && reply.code / 100 != 2
    {
        open.transcript.received(&reply);
        return outcome(Stage::Content, reply, &on.provider);
    }
    lost(on, Stage::Content, &fault)
}

/// No reply that could be a verdict: the message stays ours.
pub(super) fn lost(on: &Connection, stage: Stage, fault: &Fault) -> Outcome {
    let (subject, detail) = match fault {
        Fault::Reply(_) | Fault::Early => (5, 0),
        Fault::Content(_) => (3, 0),
        Fault::Deadline | Fault::Closed | Fault::Io(_) | Fault::Tls(_) => (4, 2),
    };
    let may =
        if stage == Stage::Dot { "; the message may have arrived and is sent again" } else { "" };
    let text = format!("{}[{}]: at {stage}: {fault}{may}", on.host, on.address.ip());
    Outcome::Deferred(Failure {
        reply: Reply::local(EnhancedStatus::new(4, subject, detail), &text),
        class: FailureClass::Infrastructure,
        whole_destination: false,
    })
}
