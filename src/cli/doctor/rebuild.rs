//! `doctor --rebuild`: the index made anew with the server stopped.
//!
//! It may repeat a delivery, it never loses one; the old index is set aside, never removed.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::super::{Context, Exit, Failure, backup};
use crate::clock::{Clock, SystemClock};
use crate::config::Loaded;
use crate::events::Events;
use crate::mail::Event;
use crate::store::{self, Disk, OpenError, RealDisk, RebuildReport};
use crate::supervise;

pub(super) async fn run(
    context: &Context,
    loaded: &Loaded,
    from: Option<&Path>,
) -> Result<(), Failure> {
    let stream = from.map(backup::stream_of).transpose()?;
    let options = crate::app::store_options(&loaded.config);
    let data = loaded.config.data_dir.clone();
    let made = supervise::blocking("rebuild", move || {
        let clock: Arc<dyn Clock> = SystemClock::start();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let events = data.join("events");
        let mut sealed = |each: &mut dyn FnMut(&Event)| {
            Events::each_sealed(Arc::clone(&disk), &events, Arc::clone(&clock), each)
        };
        let mut stream = stream;
        let backup = stream.as_mut().map(|stream| stream as &mut dyn Read);
        store::rebuild(&options, &*clock, &disk, &mut sealed, backup)
    });
    match made.await {
        Some(Ok(report)) => tell(context, &report),
        Some(Err(error)) => Err(Failure::new(code(&error), error.to_string())),
        None => Err(Failure::new(Exit::Internal, "rebuilding panicked")),
    }
}

fn code(error: &OpenError) -> Exit {
    match error {
        OpenError::InUse { .. } => Exit::Temporary,
        OpenError::Options(_) => Exit::Config,
        OpenError::Io { .. } | OpenError::Index(_) | OpenError::Format(_) => Exit::Io,
    }
}

fn tell(context: &Context, report: &RebuildReport) -> Result<(), Failure> {
    let RebuildReport { commits, waiting, ended, records, set_aside, damaged } = report;
    if context.out.json {
        return context.out.json(&serde_json::json!({
            "commits": commits, "waiting": waiting, "ended": ended, "records": records,
            "setAside": set_aside, "damaged": damaged,
        }));
    }
    context.out.line(format!(
        "made the index anew from {commits} commits and {records} records of the backup: {waiting} recipients wait, {ended} had ended"
    ))?;
    if let Some(aside) = set_aside {
        context.out.line(format!("the old index lies in {}", aside.display()))?;
    }
    damaged.iter().try_for_each(|line| context.out.line(line))
}
