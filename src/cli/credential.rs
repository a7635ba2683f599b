//! `credential`: who may submit, and as whom.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::Target;
use super::out::{Style, Table};
use super::{Context, Failure};
use crate::http::admin::shapes::{
    CreatedCredential, CredentialShape, NewCredentialShape, PREFIX, Page,
};

/// What to do with credentials.
#[derive(Debug, Subcommand)]
pub(super) enum CredentialCommand {
    /// Make a credential; its password is shown once.
    Create(Create),
    /// List credentials.
    Ls(Ls),
    /// Take a credential away, at once and for good.
    Revoke(Revoke),
}

/// A new credential.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider credential create shop
  postrider credential create shop --identity example.org --source 192.0.2.0/24
  postrider credential create trial --rate 5 --per-day 1000 --json")]
pub(super) struct Create {
    /// Its name.
    name: String,
    /// A domain or address it may send as; may be repeated. Without it: every identity.
    #[arg(long = "identity", value_name = "DOMAIN|ADDRESS")]
    identities: Vec<String>,
    /// Addresses it may be used from; may be repeated. Without it: everywhere.
    #[arg(long = "source", value_name = "CIDR")]
    sources: Vec<String>,
    /// Recipients per second.
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Recipients in 24 hours.
    #[arg(long, value_name = "N")]
    per_day: Option<u64>,
}

/// The list.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider credential ls
  postrider credential ls --json")]
pub(super) struct Ls {}

/// Which one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider credential revoke shop")]
pub(super) struct Revoke {
    /// Its name, its user or its number.
    name: String,
}

fn target() -> Target {
    Target::new(PREFIX).name("credentials")
}

impl CredentialCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            CredentialCommand::Create(create) => create.run(context).await,
            CredentialCommand::Ls(Ls {}) => list(context).await,
            CredentialCommand::Revoke(revoke) => {
                let target = target().name(&revoke.name);
                let _: Value = context.client().await?.delete(&target).await?;
                context.done(&format!("revoked {}", revoke.name))
            }
        }
    }
}

impl Create {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let new = NewCredentialShape {
            name: self.name,
            identities: self.identities,
            sources: self.sources,
            rate_per_second: self.rate,
            recipients_per_day: self.per_day,
        };
        let made: CreatedCredential = context.client().await?.post(&target(), &new).await?;
        let user = &made.credential.user;
        if context.out.json {
            let name = &made.credential.name;
            let number = made.credential.number;
            return context.out.json(&serde_json::json!({
                "name": name, "number": number, "user": user, "password": made.password,
            }));
        }
        context.out.line(format!("user      {user}"))?;
        context.out.line(format!("password  {}", made.password))?;
        context.out.line("The password is shown this once; only the server can read it again.")
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let value: Value = context.client().await?.get(&target()).await?;
    if context.out.json {
        return context.out.json(&value);
    }
    let page: Page<CredentialShape> = super::read(value)?;
    let heads = ["NAME", "USER", "SENDS AS", "FROM", "24 H", "LAST USED", "STATE"];
    let mut table =
        Table::new(&heads, "no credentials; make one with `postrider credential create NAME`");
    for credential in page.items {
        let all = |list: &[String], empty: &str| match list {
            [] => empty.to_owned(),
            some => some.join(" "),
        };
        let bound = credential.recipients_per_day;
        let used = credential.recipients_24h;
        let (style, state) =
            if credential.enabled { (Style::Good, "on") } else { (Style::Bad, "off") };
        table.row([
            (Style::Name, credential.name),
            (Style::Plain, credential.user),
            (Style::Plain, all(&credential.identities, "all identities")),
            (Style::Plain, all(&credential.sources, "everywhere")),
            (Style::Plain, bound.map_or(used.to_string(), |bound| format!("{used}/{bound}"))),
            (Style::Plain, credential.last_used.unwrap_or_else(|| "never".into())),
            (style, state.into()),
        ]);
    }
    context.out.table(&table)
}
