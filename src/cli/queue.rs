//! `queue`: who waits, since when and why, and what an operator can do about it.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::Target;
use super::out::{Style, Table};
use super::{Context, Failure};
use crate::http::admin::shapes::{PREFIX, Page, WaitingShape};

/// What to do with the queue.
#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// List recipients that wait.
    Ls(Ls),
    /// Show the recipients of one message that wait.
    Show(Show),
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
        }
    }
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
