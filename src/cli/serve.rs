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
    #[cfg(feature = "test-hooks")]
    #[command(flatten)]
    hooks: Hooks,
}

/// What tests put in the machine's place; absent from releases.
#[cfg(feature = "test-hooks")]
#[derive(Debug, Args)]
struct Hooks {
    /// A socket on which `pass 60s` and `wall <unix ms>` move the clock.
    #[arg(long, value_name = "SOCKET")]
    test_clock: Option<std::path::PathBuf>,
    /// The disk's operation that fails, such as 17:eio, 17:enospc or 17:short.
    #[arg(long, value_name = "N:KIND")]
    fault: Option<String>,
}

#[cfg(feature = "test-hooks")]
impl Hooks {
    /// Must be called within the runtime.
    fn hands(&self) -> Result<Hands, Failure> {
        let mut hands = Hands::real();
        if let Some(path) = &self.test_clock {
            let clock = crate::app::hooks::clock_by_socket(path);
            hands.clock =
                clock.map_err(|error| Failure::usage(format!("--test-clock: {error}")))?;
        }
        if let Some(text) = &self.fault {
            let disk = store::FaultDisk::parse(hands.disk, text);
            let disk = disk.ok_or_else(|| Failure::usage("--fault: write for example 17:eio"))?;
            hands.disk = std::sync::Arc::new(disk);
        }
        Ok(hands)
    }
}

impl Serve {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let loaded = self.config.load(context.data.as_deref())?;
        // Before the ports: whoever has the folder has them too, and is the better answer.
        store::check_free(&loaded.config.data_dir).map_err(AppError::Open)?;
        check::host(&loaded, Ports::Try)?;
        telemetry::start(&loaded.config.log.level, loaded.config.log.format);
        super::serve_on(async move {
            #[cfg(feature = "test-hooks")]
            let hands = self.hooks.hands()?;
            #[cfg(not(feature = "test-hooks"))]
            let hands = Hands::real();
            until_ended(App::start(&loaded, hands).await?).await
        })
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
