//! `doctor`: is everything as a mail server needs it, and what to do where it is not.
//!
//! It looks and changes nothing; `--rebuild` alone writes, and only into a data folder that no server has.

mod host;
mod network;
mod rebuild;
mod server;

use clap::Args;
use serde::Serialize;

use super::out::Style;
use super::place::ConfigArgs;
use super::{Context, Exit, Failure};
use crate::config::Loaded;

/// What to look at.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider doctor
  postrider doctor --json
  postrider doctor --offline                   leave out what asks the network
  postrider doctor --probe example.net         try port 25 at another domain's MX
  postrider doctor --rebuild --backup last.backup    make the index anew, with the server stopped

Exits 0 when nothing failed (warnings may stand), 69 when a check failed, 78 when the configuration is wrong.")]
pub(super) struct Doctor {
    #[command(flatten)]
    config: ConfigArgs,
    /// Ask no name server and connect to no other host.
    #[arg(long)]
    offline: bool,
    /// The domain whose MX is tried for outbound port 25.
    #[arg(long, value_name = "DOMAIN", default_value = "gmail.com")]
    probe: String,
    /// Make the index anew from the log, the sealed events and a backup; no server may run.
    #[arg(long)]
    rebuild: bool,
    /// The backup that --rebuild takes settings from which the log no longer has.
    #[arg(long, value_name = "FILE", requires = "rebuild")]
    backup: Option<std::path::PathBuf>,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mark {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Its name, stable.
    pub(super) id: &'static str,
    /// How it went.
    pub(super) mark: Mark,
    /// What was found.
    pub(super) found: String,
    /// What to do; empty where nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) fix: String,
}

impl Finding {
    pub(super) fn ok(id: &'static str, found: impl Into<String>) -> Finding {
        Finding { id, mark: Mark::Ok, found: found.into(), fix: String::new() }
    }

    pub(super) fn warn(
        id: &'static str,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        Finding { id, mark: Mark::Warn, found: found.into(), fix: fix.into() }
    }

    pub(super) fn fail(
        id: &'static str,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        Finding { id, mark: Mark::Fail, found: found.into(), fix: fix.into() }
    }
}

impl Doctor {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let loaded = self.config.load(context.data.as_deref())?;
        if self.rebuild {
            return rebuild::run(context, &loaded, self.backup.as_deref()).await;
        }
        let findings = self.look(&loaded).await;
        if context.out.json {
            context.out.json(&serde_json::json!({ "findings": findings }))?;
        } else {
            print(context, &findings)?;
        }
        let failed = findings.iter().filter(|finding| finding.mark == Mark::Fail).count();
        match failed {
            0 => Ok(()),
            _ if context.out.json => Err(Failure::new(Exit::Unavailable, "")),
            failed => Err(Failure::new(Exit::Unavailable, format!("{failed} checks failed"))),
        }
    }

    async fn look(&self, loaded: &Loaded) -> Vec<Finding> {
        let running = server::status(loaded).await;
        let mut findings = host::config(loaded, running.is_ok());
        findings.extend(server::store(loaded, running));
        findings.extend(host::disk(loaded));
        findings.push(host::clock());
        findings.extend(server::listeners(loaded).await);
        if !self.offline {
            findings.extend(network::look(loaded, &self.probe).await);
        }
        findings
    }
}

fn print(context: &Context, findings: &[Finding]) -> Result<(), Failure> {
    let out = context.out;
    for finding in findings {
        let (style, mark) = match finding.mark {
            Mark::Ok => (Style::Good, "ok  "),
            Mark::Warn => (Style::Warn, "warn"),
            Mark::Fail => (Style::Bad, "FAIL"),
        };
        out.line(format!("{}  {:<10} {}", out.style(style, mark), finding.id, finding.found))?;
        if !finding.fix.is_empty() {
            out.line(format!("                 {}", out.style(Style::Dim, &finding.fix)))?;
        }
    }
    Ok(())
}
