//! `status`: how the server is, on one screen.

use clap::Args;
use serde_json::Value;

use super::client::Target;
use super::out::Style;
use super::{Context, Exit, Failure};
use crate::config::{Size, Span};
use crate::http::admin::shapes::{PREFIX, Status};

/// The server's state.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider status
  postrider status --json

Exits 0 when mail is taken, 69 when it is not.")]
pub(super) struct StatusArgs {}

impl StatusArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let target = Target::new(PREFIX).name("status");
        let value: Value = context.client().await?.get(&target).await?;
        let status: Status = super::read(value.clone())?;
        if context.out.json {
            context.out.json(&value)?;
        } else {
            print(context, &status)?;
        }
        if status.ready { Ok(()) } else { Err(Failure::new(Exit::Unavailable, "")) }
    }
}

fn print(context: &Context, status: &Status) -> Result<(), Failure> {
    let out = context.out;
    let up = Span::seconds(status.uptime_seconds);
    let head = format!("postrider {} on {}", status.version, status.hostname);
    out.line(format!("{}, up {up}, process {}", out.style(Style::Bold, &head), status.pid))?;
    let ready = if status.ready {
        out.style(Style::Good, "takes mail")
    } else {
        out.style(Style::Bad, &format!("takes no mail: {}", status.not_ready.join("; ")))
    };
    out.line(format!("state        {ready}"))?;
    let (counts, store, events) = (&status.counts, &status.store, &status.events);
    out.line(format!(
        "since start  {} accepted, {} delivered, {} put off, {} bounced, {} rejected, {} panics",
        counts.accepted,
        counts.delivered,
        counts.deferred,
        counts.bounced,
        counts.rejected,
        counts.panics,
    ))?;
    out.line(format!("queue        {} recipients wait", store.waiting))?;
    out.line(format!(
        "store        log {} in {} segments, index {}, a restart replays {}, a sync takes {} µs",
        round(store.log_bytes),
        store.segments,
        round(store.index_bytes),
        round(store.replay_bytes),
        store.sync_mean_us,
    ))?;
    out.line(format!(
        "disk         {} free, of which {} are kept back",
        round(store.free_bytes),
        round(store.reserve_bytes),
    ))?;
    let since = events.oldest.as_deref().unwrap_or("the start");
    out.line(format!(
        "events       {} sealed files, {}, back to {since}",
        events.files,
        round(events.bytes)
    ))?;
    for damaged in &events.damaged {
        out.line(out.style(Style::Bad, &format!("damaged      {damaged}")))?;
    }
    if let Some(failed) = &store.failed {
        out.line(out.style(Style::Bad, &format!("failed       {failed}")))?;
    }
    Ok(())
}

/// A size to about three digits: what people compare.
pub(super) fn round(octets: u64) -> String {
    let unit = [1u64 << 40, 1 << 30, 1 << 20, 1 << 10].into_iter().find(|unit| octets >= 10 * unit);
    let unit = unit.unwrap_or(1);
    Size::of_octets(octets / unit * unit).to_string()
}
