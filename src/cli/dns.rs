//! `dns`: what a sending domain must publish.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::client::Client;
use super::out::Style;
use super::{Context, Failure, domain};
use crate::http::admin::shapes::{DnsRecordShape, Page};
use crate::telemetry::printable;

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
    let out = context.out;
    if page.items.is_empty() {
        return out.line("nothing to publish: the domain of this address has no keys");
    }
    // Values are long: each stands on a line of its own, so that it can be copied whole.
    for record in &page.items {
        let (style, need) =
            if record.required { (Style::Bold, "required") } else { (Style::Dim, "recommended") };
        let name = out.style(Style::Name, &printable(&record.name).to_string());
        out.line(format!("{:<4} {name}  {}", record.kind, out.style(style, need)))?;
        out.line(format!("     {}", out.style(Style::Dim, &record.purpose)))?;
        out.line(format!("     {}", record.value))?;
    }
    Ok(())
}
