//! `event`: what happened, found by message, recipient, domain, tag and more, or followed as it happens.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::Target;
use super::life::{self, Telling};
use super::{Context, Failure};
use crate::http::admin::shapes::{PREFIX, Page};

/// What to do with events.
#[derive(Debug, Subcommand)]
pub(super) enum EventCommand {
    /// List events, the newest first.
    Ls(Ls),
    /// Follow events as they happen.
    Tail(Tail),
}

/// Conditions; all must hold.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Conditions {
    /// A message's id.
    #[arg(long, value_name = "ID")]
    message: Option<String>,
    /// A recipient's address.
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// A recipient's domain.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// MAIL FROM or header From.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// A tag.
    #[arg(long, value_name = "NAME[=VALUE]")]
    tag: Option<String>,
    /// Types, separated by commas: Send, Attempt, Delivery, DeliveryDelay, Bounce, Reject.
    #[arg(long = "type", value_name = "TYPES")]
    types: Option<String>,
    /// A pool.
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// A source address of ours.
    #[arg(long, value_name = "IP")]
    exit: Option<String>,
    /// A mailbox provider.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// A configuration set.
    #[arg(long, value_name = "NAME")]
    config_set: Option<String>,
}

/// What to list.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider event ls --recipient bob@example.net
  postrider event ls --type Bounce --since 24h --json
  postrider event ls --domain example.net --limit 200")]
pub(super) struct Ls {
    #[command(flatten)]
    conditions: Conditions,
    /// Not before: a moment such as 2026-11-22T12:00:00Z, or a span back from now such as 90m, 2h, 3d.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Not after, in the same forms.
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// How many, at most 1000.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Where the last page ended.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// The SMTP dialogue of every attempt.
    #[arg(long)]
    transcript: bool,
}

/// What to follow.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider event tail
  postrider event tail --type Bounce,DeliveryDelay
  postrider event tail --transcript --domain example.net")]
pub(super) struct Tail {
    #[command(flatten)]
    conditions: Conditions,
    /// The SMTP dialogue of every attempt.
    #[arg(long)]
    transcript: bool,
}

impl Conditions {
    fn target(self) -> Target {
        Target::new(PREFIX)
            .name("events")
            .with("message", self.message)
            .with("recipient", self.recipient)
            .with("domain", self.domain)
            .with("from", self.from)
            .with("tag", self.tag)
            .with("type", self.types)
            .with("pool", self.pool)
            .with("exit", self.exit)
            .with("provider", self.provider)
            .with("config_set", self.config_set)
    }
}

impl EventCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            EventCommand::Ls(ls) => ls.run(context).await,
            EventCommand::Tail(tail) => follow(context, tail.conditions, tail.transcript).await,
        }
    }
}

impl Ls {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let target = self
            .conditions
            .target()
            .with("since", self.since)
            .with("until", self.until)
            .with("limit", Some(self.limit))
            .with("cursor", self.cursor);
        let value: Value = context.client().await?.get(&target).await?;
        if context.out.json {
            return context.out.json(&value);
        }
        let page: Page<Value> = super::read(value)?;
        if page.items.is_empty() {
            context.out.line("no events")?;
        }
        for event in &page.items {
            life::tell(context.out, event, Telling { id: true, transcript: self.transcript })?;
        }
        context.more(page.next.as_deref())
    }
}

/// Prints events until the server or the reader goes away.
pub(super) async fn follow(
    context: &Context,
    conditions: Conditions,
    transcript: bool,
) -> Result<(), Failure> {
    let target = conditions.target().with("follow", Some(true));
    let out = context.out;
    let each = |line: &str| {
        if out.json {
            return out.line(line);
        }
        match serde_json::from_str::<Value>(line) {
            Ok(event) => life::tell(out, &event, Telling { id: true, transcript }),
            Err(_) => Ok(()),
        }
    };
    context.client().await?.lines(&target, each).await
}
