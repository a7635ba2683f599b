//! `domain`: whom mail may be sent as, with the keys that sign it.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::Target;
use super::out::{Style, Table};
use super::{Context, Failure, dns};
use crate::http::admin::shapes::{IdentityShape, NewIdentityShape, PREFIX, Page};

/// What to do with sending domains.
#[derive(Debug, Subcommand)]
pub(super) enum DomainCommand {
    /// Add a domain (or one address) to send as; makes its DKIM keys and shows the DNS records to publish.
    Add(Add),
    /// List domains and addresses.
    Ls(Ls),
    /// Show one.
    Show(Name),
    /// Remove one with its keys; mail that was accepted is still delivered.
    Rm(RmName),
}

/// A new domain.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider domain add example.org
  postrider domain add example.org --bounce-domain bounces.example.org
  postrider domain add ann@example.net --no-feedback-forwarding")]
pub(super) struct Add {
    /// A domain with all addresses at it and below it, or one address.
    #[arg(value_name = "DOMAIN|ADDRESS")]
    name: String,
    /// Where its bounces go; the server's own bounce domain if absent.
    #[arg(long, value_name = "DOMAIN")]
    bounce_domain: Option<String>,
    /// Tell no failure to the sender where NOTIFY says nothing.
    #[arg(long)]
    no_feedback_forwarding: bool,
}

/// The list.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider domain ls
  postrider domain ls --json")]
pub(super) struct Ls {}

/// Which one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider domain show example.org")]
pub(super) struct Name {
    /// Its name.
    name: String,
}

/// Which one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider domain rm example.org")]
pub(super) struct RmName {
    /// Its name.
    name: String,
}

pub(super) fn target() -> Target {
    Target::new(PREFIX).name("domains")
}

impl DomainCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            DomainCommand::Add(add) => add.run(context).await,
            DomainCommand::Ls(Ls {}) => list(context).await,
            DomainCommand::Show(Name { name }) => show(context, &name).await,
            DomainCommand::Rm(RmName { name }) => {
                let _: Value = context.client().await?.delete(&target().name(&name)).await?;
                context.done(&format!("removed {name}"))
            }
        }
    }
}

impl Add {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let new = NewIdentityShape {
            name: self.name,
            bounce_domain: self.bounce_domain,
            feedback_forwarding: self.no_feedback_forwarding.then_some(false),
        };
        let mut client = context.client().await?;
        let value: Value = client.post(&target(), &new).await?;
        if context.out.json {
            return context.out.json(&value);
        }
        let identity: IdentityShape = super::read(value)?;
        context.out.line(format!("added {}", identity.name))?;
        if identity.selectors.is_empty() {
            return Ok(());
        }
        context.out.line("publish these DNS records; mail is signed from now on:")?;
        context.out.line("")?;
        let records = dns::records(&mut client, &identity.name).await?;
        dns::print(context, &super::read(records)?)
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let value: Value = context.client().await?.get(&target()).await?;
    if context.out.json {
        return context.out.json(&value);
    }
    let page: Page<IdentityShape> = super::read(value)?;
    let heads = ["NAME", "DNS", "SELECTORS", "BOUNCES TO", "FAILURES TOLD", "SINCE"];
    let mut table =
        Table::new(&heads, "no domains; add one with `postrider domain add example.org`");
    for identity in page.items {
        let style = if identity.verification == "SUCCESS" { Style::Good } else { Style::Warn };
        let told = if identity.feedback_forwarding { "yes" } else { "no" };
        table.row([
            (Style::Name, identity.name),
            (style, identity.verification),
            (Style::Plain, identity.selectors.join(" ")),
            (Style::Plain, identity.bounce_domain),
            (Style::Plain, told.to_owned()),
            (Style::Dim, identity.created),
        ]);
    }
    context.out.table(&table)?;
    context.more(page.next.as_deref())
}

async fn show(context: &Context, name: &str) -> Result<(), Failure> {
    let value: Value = context.client().await?.get(&target().name(name)).await?;
    if context.out.json {
        return context.out.json(&value);
    }
    let identity: IdentityShape = super::read(value)?;
    let told = if identity.feedback_forwarding { "told to the sender" } else { "not told" };
    for (what, is) in [
        ("name", identity.name.as_str()),
        ("DNS records", identity.verification.as_str()),
        ("selectors", &identity.selectors.join(", ")),
        ("bounces to", &identity.bounce_domain),
        ("failures", told),
        ("since", &identity.created),
    ] {
        context.out.line(format!("{what:<12} {is}"))?;
    }
    context.out.line(format!("see `postrider dns records {name}` for what to publish"))
}
