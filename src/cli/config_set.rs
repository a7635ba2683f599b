//! `config-set`: streams of mail with a pool, a TLS policy and a switch of their own.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::Target;
use super::out::{Style, Table};
use super::{Context, Failure};
use crate::config::Span;
use crate::http::admin::shapes::{ConfigSetEdit, ConfigSetShape, NewConfigSet, PREFIX, Page};

/// What to do with configuration sets.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigSetCommand {
    /// List configuration sets.
    Ls(Ls),
    /// Make one; mail names it in X-SES-CONFIGURATION-SET.
    Create(Create),
    /// Change one; mail that was accepted keeps what it said then.
    Set(Set),
    /// Remove one; mail that names it is refused from then on.
    Rm(Rm),
}

/// The list.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider config-set ls
  postrider config-set ls --json")]
pub(super) struct Ls {}

/// A new one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider config-set create newsletter --class bulk --tag stream=news
  postrider config-set create invoices --tls verify --max-age 2d")]
pub(super) struct Create {
    /// Its name.
    name: String,
    #[command(flatten)]
    options: Options,
}

/// Changes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider config-set set newsletter --sending off
  postrider config-set set invoices --max-age 0s      take the limit away")]
pub(super) struct Set {
    /// Its name.
    name: String,
    #[command(flatten)]
    options: Options,
}

/// Which one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider config-set rm newsletter")]
pub(super) struct Rm {
    /// Its name.
    name: String,
}

/// What a set says; what is not given stays.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The pool its mail leaves from.
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// opportunistic, require or verify.
    #[arg(long, value_name = "POLICY")]
    tls: Option<String>,
    /// high, normal or bulk.
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// Whether its mail is sent.
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    sending: Option<bool>,
    /// How long its recipients are tried, such as 12h.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    max_age: Option<Span>,
    /// A tag of mail that does not set it itself; may be repeated, and replaces all the set had.
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
    /// Whether Received shows the client's address.
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    show_client: Option<bool>,
}

fn on_or_off(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off"),
    }
}

fn span(text: &str) -> Result<Span, String> {
    Span::parse(text).map_err(|error| format!("{error}; write for example 12h or 4d"))
}

fn tag(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Options {
    fn edit(self) -> ConfigSetEdit {
        let tags: BTreeMap<_, _> = self.tags.into_iter().collect();
        ConfigSetEdit {
            pool: self.pool,
            tls: self.tls,
            class: self.class,
            sending: self.sending,
            max_age_seconds: self.max_age.map(|span| span.duration().as_secs()),
            tags: (!tags.is_empty()).then_some(tags),
            show_client: self.show_client,
        }
    }
}

fn target() -> Target {
    Target::new(PREFIX).name("config-sets")
}

impl ConfigSetCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut client = context.client().await?;
        match self {
            ConfigSetCommand::Ls(Ls {}) => print(context, client.get(&target()).await?),
            ConfigSetCommand::Create(Create { name, options }) => {
                let new = NewConfigSet { name: name.clone(), options: options.edit() };
                let value: Value = client.post(&target(), &new).await?;
                said(context, &value, &format!("made {name}"))
            }
            ConfigSetCommand::Set(Set { name, options }) => {
                let value: Value = client.patch(&target().name(&name), &options.edit()).await?;
                said(context, &value, &format!("changed {name}"))
            }
            ConfigSetCommand::Rm(Rm { name }) => {
                let _: Value = client.delete(&target().name(&name)).await?;
                context.done(&format!("removed {name}"))
            }
        }
    }
}

fn said(context: &Context, value: &Value, text: &str) -> Result<(), Failure> {
    if context.out.json { context.out.json(value) } else { context.out.line(text) }
}

fn print(context: &Context, value: Value) -> Result<(), Failure> {
    if context.out.json {
        return context.out.json(&value);
    }
    let page: Page<ConfigSetShape> = super::read(value)?;
    let heads = ["NAME", "POOL", "CLASS", "TLS", "SENDING", "MAX AGE", "TAGS"];
    let mut table = Table::new(
        &heads,
        "no configuration sets; make one with `postrider config-set create NAME`",
    );
    for set in page.items {
        let (style, sending) = if set.sending { (Style::Good, "on") } else { (Style::Bad, "off") };
        let age = set.max_age_seconds.map(|seconds| Span::seconds(seconds).to_string());
        let tags: Vec<String> = set.tags.iter().map(|(n, v)| format!("{n}={v}")).collect();
        table.row([
            (Style::Name, set.name),
            (Style::Plain, set.pool),
            (Style::Plain, set.class),
            (Style::Plain, set.tls),
            (style, sending.to_owned()),
            (Style::Plain, age.unwrap_or_else(|| "as all mail".to_owned())),
            (Style::Plain, tags.join(" ")),
        ]);
    }
    context.out.table(&table)?;
    context.more(page.next.as_deref())
}
