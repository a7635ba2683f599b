//! `dns`: what a sending domain must publish.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::client::Client;
use super::out::{Style, Table};
use super::{Context, Failure, domain};
use crate::http::admin::shapes::{DnsRecordShape, Page};

/// What to do about DNS.
#[derive(Debug, Subcommand)]
pub(super) enum DnsCommand {
    /// Show the records to publish for a domain.
    Records(Records),
}

/// Whose, and how.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider dns records example.org
  postrider dns records example.org --format zone >> example.org.zone
  postrider dns records example.org --json")]
pub(super) struct Records {
    /// The domain.
    domain: String,
    /// How to print them.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How records are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// Lines of a zone file.
    Zone,
}

impl DnsCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let DnsCommand::Records(Records { domain, format }) = self;
        let value = records(&mut context.client().await?, &domain).await?;
        if context.out.json {
            return context.out.json(&value);
        }
        let page: Page<DnsRecordShape> = super::read(value)?;
        match format {
            Format::Table => print(context, &page),
            Format::Zone => page.items.iter().try_for_each(|record| context.out.line(&record.zone)),
        }
    }
}

/// The records of a domain, as the server answers.
pub(super) async fn records(client: &mut Client, name: &str) -> Result<Value, Failure> {
    client.get(&domain::target().name(name).name("records")).await
}

pub(super) fn print(context: &Context, page: &Page<DnsRecordShape>) -> Result<(), Failure> {
    let heads = ["TYPE", "NAME", "NEED", "FOR", "VALUE"];
    let mut table =
        Table::new(&heads, "nothing to publish: the domain of this address has no keys");
    for record in &page.items {
        let (style, need) =
            if record.required { (Style::Bold, "required") } else { (Style::Dim, "recommended") };
        table.row([
            (Style::Plain, record.kind.clone()),
            (Style::Name, record.name.clone()),
            (style, need.to_owned()),
            (Style::Plain, record.purpose.clone()),
            (Style::Plain, record.value.clone()),
        ]);
    }
    context.out.table(&table)
}
