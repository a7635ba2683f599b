//! `serve`: the server, in the foreground, until it is told to stop.

use clap::Args;

use super::place::ConfigArgs;
use super::{Context, Exit, Failure};
use crate::app::{App, AppError, Ended, Hands};
use crate::config::check::{self, Ports};
use crate::{store, telemetry};

/// How to serve.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider serve --config /etc/postrider/postrider.toml
  POSTRIDER_HOSTNAME=mail.example.org postrider serve --data /var/lib/postrider
  postrider serve --set log.level=debug

SIGTERM and SIGINT drain for at most 30 seconds; a second one stops at once. SIGHUP reads the TLS files again.")]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
}

impl Serve {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let loaded = self.config.load(context.data.as_deref())?;
        // Before the ports: whoever has the folder has them too, and is the better answer.
        store::check_free(&loaded.config.data_dir).map_err(AppError::Open)?;
        check::host(&loaded, Ports::Try)?;
        telemetry::start(&loaded.config.log.level, loaded.config.log.format);
        super::serve_on(async move { until_ended(App::start(&loaded, Hands::real()).await?).await })
    }
}

/// Serves until a signal or the store ends it.
pub(super) async fn until_ended(app: App) -> Result<(), Failure> {
    match app.run().await? {
        Ended::Asked => Ok(()),
        Ended::StoreFailed(why) => Err(Failure::new(
            Exit::Io,
            format!(
                "the store failed: {why}; what was answered is safe, start again once the disk is well"
            ),
        )),
    }
}
