//! `trace`: the life of one message, or of the latest to one recipient.

use clap::Args;
use serde_json::Value;

use super::client::{Client, Target};
use super::life::{self, Telling};
use super::out::{Style, Table};
use super::{Context, Exit, Failure};
use crate::http::admin::shapes::{PREFIX, Page, Trace};
use crate::mail::MessageId;

/// Messages that are traced for one recipient.
const MESSAGES_MAX: usize = 5;

/// What to trace.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider trace 06dxm3q5n8000v4k2a7rj9w1zc      the id of the 250 that accepted it
  postrider trace bob@example.net                 the latest messages to a recipient
  postrider trace 06dxm3q5n8000v4k2a7rj9w1zc --no-transcript")]
pub(super) struct TraceArgs {
    /// A message's id, or a recipient's address.
    #[arg(value_name = "ID|ADDRESS")]
    what: String,
    /// Leave out the SMTP dialogues.
    #[arg(long)]
    no_transcript: bool,
}

impl TraceArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut client = context.client().await?;
        let ids = if self.what.contains('@') {
            latest_to(&mut client, &self.what).await?
        } else {
            vec![self.what.clone()]
        };
        let mut traces = Vec::new();
        for id in &ids {
            let target = Target::new(PREFIX).name("messages").name(id);
            traces.push(client.get::<Value>(&target).await?);
        }
        if context.out.json {
            // One message was named: one object. An address gives a list.
            return match (self.what.contains('@'), traces.first()) {
                (false, Some(one)) => context.out.json(one),
                _ => context.out.json(&traces),
            };
        }
        for (i, value) in traces.into_iter().enumerate() {
            if i > 0 {
                context.out.line("")?;
            }
            print(context, &super::read(value)?, !self.no_transcript)?;
        }
        Ok(())
    }
}

/// Ids of the latest messages to a recipient, the newest first.
async fn latest_to(client: &mut Client, address: &str) -> Result<Vec<String>, Failure> {
    let target = Target::new(PREFIX)
        .name("events")
        .with("recipient", Some(address))
        .with("limit", Some(200));
    let page: Page<Value> = client.get(&target).await?;
    let mut ids: Vec<String> = Vec::new();
    for event in &page.items {
        let id = event.pointer("/mail/messageId").and_then(Value::as_str).unwrap_or_default();
        let known = ids.iter().any(|other| other == id);
        if id.parse::<MessageId>().is_ok() && !known && ids.len() < MESSAGES_MAX {
            ids.push(id.to_owned());
        }
    }
    if ids.is_empty() {
        let text =
            format!("no event speaks of {address}; `postrider event ls` shows what is there");
        return Err(Failure::new(Exit::NotFound, text));
    }
    Ok(ids)
}

fn print(context: &Context, trace: &Trace, transcript: bool) -> Result<(), Failure> {
    let out = context.out;
    let title = format!("message {}, accepted {}", trace.message_id, trace.accepted);
    out.line(out.style(Style::Bold, &title))?;
    for event in &trace.events {
        life::tell(out, event, Telling { id: false, transcript })?;
    }
    if trace.recipients.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let mut table = Table::new(&["RECIPIENT", "STATE", "TRIES", "LAST REPLY"], "");
    for recipient in &trace.recipients {
        let style = match recipient.state.as_str() {
            "delivered" => Style::Good,
            "waiting" => Style::Warn,
            _ => Style::Bad,
        };
        table.row([
            (Style::Plain, recipient.address.clone()),
            (style, recipient.state.clone()),
            (Style::Plain, recipient.attempts.to_string()),
            (Style::Plain, recipient.last_reply.clone().unwrap_or_default()),
        ]);
    }
    out.table(&table)
}
