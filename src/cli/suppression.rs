//! `suppression`: who must not be mailed.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::Target;
use super::out::{Style, Table};
use super::{Context, Failure};
use crate::http::admin::shapes::{NewSuppression, PREFIX, Page, SuppressionShape};

/// What to do with the list.
#[derive(Debug, Subcommand)]
pub(super) enum SuppressionCommand {
    /// List suppressed addresses.
    Ls(Ls),
    /// Suppress an address: mail to it is accepted and not sent.
    Add(Add),
    /// Let an address be mailed again.
    Rm(Rm),
}

/// Which page.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider suppression ls
  postrider suppression ls --limit 1000 --json")]
pub(super) struct Ls {
    /// How many, at most 1000.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Where the last page ended.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

/// Whom.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider suppression add bob@example.net
  postrider suppression add bob@example.net --reason COMPLAINT")]
pub(super) struct Add {
    /// The address.
    address: String,
    /// BOUNCE, COMPLAINT, MANUAL or UNSUBSCRIBE; MANUAL if absent.
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
}

/// Whom.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider suppression rm bob@example.net")]
pub(super) struct Rm {
    /// The address.
    address: String,
}

fn target() -> Target {
    Target::new(PREFIX).name("suppressions")
}

impl SuppressionCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            SuppressionCommand::Ls(ls) => ls.run(context).await,
            SuppressionCommand::Add(Add { address, reason }) => {
                let new = NewSuppression { address: address.clone(), reason };
                let _: Value = context.client().await?.post(&target(), &new).await?;
                context.done(&format!("suppressed {address}"))
            }
            SuppressionCommand::Rm(Rm { address }) => {
                let target = target().name(&address);
                let _: Value = context.client().await?.delete(&target).await?;
                context.done(&format!("{address} may be mailed again"))
            }
        }
    }
}

impl Ls {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let target = target().with("limit", Some(self.limit)).with("cursor", self.cursor);
        let value: Value = context.client().await?.get(&target).await?;
        if context.out.json {
            return context.out.json(&value);
        }
        let page: Page<SuppressionShape> = super::read(value)?;
        let heads = ["ADDRESS", "REASON", "SINCE", "MESSAGE"];
        let mut table = Table::new(&heads, "nobody is suppressed");
        for entry in page.items {
            table.row([
                (Style::Name, entry.address),
                (Style::Plain, entry.reason),
                (Style::Plain, entry.since),
                (Style::Dim, entry.message.unwrap_or_default()),
            ]);
        }
        context.out.table(&table)?;
        context.more(page.next.as_deref())
    }
}
