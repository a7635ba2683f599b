//! `config`: is the bootstrap configuration right, and what holds?

use clap::{Args, Subcommand};

use super::out::{Style, Table};
use super::place::{self, ConfigArgs};
use super::{Context, Failure};
use crate::config::check::{self, Ports};
use crate::config::{Loaded, Origin, Setting, default_file};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check the file, the environment and what the host grants: files, addresses, ports.
    Check(Check),
    /// Show the settings that hold.
    Show(Show),
}

/// Which configuration.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider config check
  postrider config check --config /etc/postrider/postrider.toml")]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgs,
}

/// What to show.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider config show --origin      every value and where it came from
  postrider config show --default     the whole bootstrap file with its words, as `init` writes it")]
pub(super) struct Show {
    #[command(flatten)]
    config: ConfigArgs,
    /// Say where each value came from.
    #[arg(long)]
    origin: bool,
    /// Print the commented default file instead.
    #[arg(long, conflicts_with = "origin")]
    default: bool,
}

impl ConfigCommand {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            ConfigCommand::Check(check) => check.run(context),
            ConfigCommand::Show(show) => show.run(context),
        }
    }
}

impl Check {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let loaded = self.config.load(context.data.as_deref())?;
        // A running server holds its own ports, rightly.
        let running = place::control_socket(Some(&loaded.config.data_dir))
            .is_ok_and(|socket| std::os::unix::net::UnixStream::connect(socket).is_ok());
        check::host(&loaded, if running { Ports::Leave } else { Ports::Try })?;
        let from = loaded.path.as_ref().map(|path| path.display().to_string());
        if context.out.json {
            return context.out.json(&serde_json::json!({ "ok": true, "file": from }));
        }
        let from = from.unwrap_or_else(|| "the defaults, as there is no bootstrap file".into());
        context.out.line(format!("{} {from}", context.out.style(Style::Good, "ok")))
    }
}

impl Show {
    fn run(self, context: &Context) -> Result<(), Failure> {
        if self.default {
            return if context.out.json {
                context.out.json(&json_of(&crate::config::defaults()))
            } else {
                context.out.line(default_file::text(None, None).trim_end())
            };
        }
        let loaded = self.config.load(context.data.as_deref())?;
        if context.out.json {
            return context.out.json(&json_of(&loaded.settings));
        }
        if self.origin { table(context, &loaded) } else { lines(context, &loaded) }
    }
}

fn json_of(settings: &[Setting]) -> serde_json::Value {
    settings
        .iter()
        .map(|s| {
            serde_json::json!({
                "key": s.key,
                "value": s.value,
                "default": s.default,
                "bounds": s.bounds,
                "origin": s.origin.to_string(),
                "help": s.help,
            })
        })
        .collect()
}

fn table(context: &Context, loaded: &Loaded) -> Result<(), Failure> {
    let mut table = Table::new(&["SETTING", "VALUE", "ORIGIN"], "no settings");
    for setting in &loaded.settings {
        let style = if setting.origin == Origin::Default { Style::Dim } else { Style::Name };
        table.row([
            (Style::Plain, setting.key.to_owned()),
            (Style::Plain, setting.value.clone()),
            (style, setting.origin.to_string()),
        ]);
    }
    for (i, (listener, origin)) in
        loaded.config.listeners.iter().zip(&loaded.listener_origins).enumerate()
    {
        table.row([
            (Style::Plain, format!("listener[{i}]")),
            (Style::Plain, format!("{} {}", listener.mode.word(), listener.address)),
            (Style::Dim, origin.to_string()),
        ]);
    }
    context.out.table(&table)
}

fn lines(context: &Context, loaded: &Loaded) -> Result<(), Failure> {
    for setting in &loaded.settings {
        context.out.line(format!("{} = {}", setting.key, setting.value))?;
    }
    for (i, listener) in loaded.config.listeners.iter().enumerate() {
        context.out.line(format!(
            "listener[{i}] = {} {}",
            listener.mode.word(),
            listener.address
        ))?;
    }
    Ok(())
}
