//! `queue`: who waits, since when and why, and what an operator can do about it.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::Target;
use super::out::{Style, Table};
use super::{Context, Failure};
use crate::http::admin::shapes::{Acted, PREFIX, Page, QueueAction, WaitingShape};

/// What to do with the queue.
#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// List recipients that wait.
    Ls(Ls),
    /// Show the recipients of one message that wait.
    Show(Show),
    /// Try waiting recipients now.
    Flush(Flush),
    /// Give waiting recipients up, with an event and a notice to the sender.
    Bounce(Bounce),
}

/// Who is meant; all conditions must hold.
#[derive(Debug, Args)]
#[group(id = "who", required = true, multiple = true)]
pub(super) struct Who {
    /// Of this message.
    #[arg(long, value_name = "ID")]
    message: Option<String>,
    /// At this domain.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// From this address (MAIL FROM).
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Everybody.
    #[arg(long)]
    all: bool,
}

impl Who {
    fn action(self, reason: Option<String>) -> QueueAction {
        let Who { message, domain, from, all } = self;
        QueueAction { message, domain, from, all, reason }
    }
}

/// Who is tried.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider queue flush --domain example.net
  postrider queue flush --all")]
pub(super) struct Flush {
    #[command(flatten)]
    who: Who,
}

/// Who is given up.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider queue bounce --message 06dxm3q5n8000v4k2a7rj9w1zc
  postrider queue bounce --domain example.net --reason 'the domain is gone'")]
pub(super) struct Bounce {
    #[command(flatten)]
    who: Who,
    /// Said in the event and the notice.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Which.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider queue ls
  postrider queue ls --domain example.net --limit 500
  postrider queue ls --json")]
pub(super) struct Ls {
    /// A recipient's domain.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// A recipient's address.
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Where the last page ended.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

/// Which message.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider queue show 06dxm3q5n8000v4k2a7rj9w1zc")]
pub(super) struct Show {
    /// Its id.
    id: String,
}

fn target() -> Target {
    Target::new(PREFIX).name("queue")
}

impl QueueCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut client = context.client().await?;
        match self {
            QueueCommand::Ls(ls) => {
                let target = target()
                    .with("domain", ls.domain)
                    .with("recipient", ls.recipient)
                    .with("limit", Some(ls.limit))
                    .with("cursor", ls.cursor);
                print(context, client.get(&target).await?)
            }
            QueueCommand::Show(Show { id }) => {
                print(context, client.get(&target().name(&id)).await?)
            }
            QueueCommand::Flush(Flush { who }) => {
                let target = target().name("flush");
                let acted: Acted = client.post(&target, &who.action(None)).await?;
                said(context, acted, "are tried now")
            }
            QueueCommand::Bounce(Bounce { who, reason }) => {
                let target = target().name("bounce");
                let acted: Acted = client.post(&target, &who.action(reason)).await?;
                said(context, acted, "were given up")
            }
        }
    }
}

fn said(context: &Context, acted: Acted, what: &str) -> Result<(), Failure> {
    if context.out.json {
        return context.out.json(&acted);
    }
    context.out.line(format!("{} recipients {what}", acted.recipients))
}

fn print(context: &Context, value: Value) -> Result<(), Failure> {
    if context.out.json {
        return context.out.json(&value);
    }
    let page: Page<WaitingShape> = super::read(value)?;
    let heads = ["MESSAGE", "RECIPIENT", "TRIES", "NEXT", "EXPIRES", "CLASS", "LAST REPLY"];
    let mut table = Table::new(&heads, "nobody waits");
    for waiting in page.items {
        table.row([
            (Style::Name, waiting.message_id),
            (Style::Plain, waiting.recipient),
            (Style::Plain, waiting.attempts.to_string()),
            (Style::Plain, waiting.due),
            (Style::Dim, waiting.expires),
            (Style::Warn, waiting.last_class.unwrap_or_default()),
            (Style::Plain, waiting.last_reply.unwrap_or_default()),
        ]);
    }
    context.out.table(&table)?;
    context.more(page.next.as_deref())
}
