//! The commands: one file each, thin faces on the server's admin API.
//!
//! A command decides nothing about mail. Those that change or read what a server holds talk to it over its control socket;
//! only `serve`, `dev` and `doctor --rebuild` open a data folder themselves.

#![allow(clippy::print_stderr, reason = "commands talk to people")]

mod backup;
mod client;
mod completions;
mod config;
mod config_set;
mod credential;
mod dev;
mod dns;
mod doctor;
mod domain;
mod event;
mod exit;
mod init;
mod life;
mod out;
mod place;
mod queue;
mod route;
mod send;
mod serve;
mod status;
mod suppression;
mod trace;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

pub use exit::{Exit, Failure};
use out::{Color, Out};

/// How long a server that has ended waits for threads that still block.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// Amazon SES that you own: one binary that takes mail over SMTP and delivers it, durably.
#[derive(Debug, Parser)]
#[command(
    name = "postrider",
    version,
    max_term_width = 100,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  postrider dev                                 try it: all on loopback, nothing leaves this machine
  postrider init --hostname mail.example.org    write a bootstrap file and a data folder
  postrider serve                               run the server
  postrider trace 01jd9k…                       the life of one message

Exit codes:
  0 ok                       66 not found          70 our fault            75 try again later
  64 wrong command line      69 no server, or a    73 exists already       77 not allowed
                                failed check       74 the disk failed      78 configuration"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, clap::Args)]
struct Global {
    /// The data folder [env: POSTRIDER_DATA_DIR] [default: ./postrider-data, then /var/lib/postrider].
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
    /// When to colour; NO_COLOR is heard too.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", hide_possible_values = true)]
    color: Color,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one of them in a process")]
enum Command {
    /// Run the server in the foreground.
    Serve(serve::Serve),
    /// Try it: everything on loopback and unprivileged ports, ready to be sent to.
    Dev(dev::Dev),
    /// Write a commented bootstrap file and make the data folder.
    Init(init::Init),
    /// Check or show the bootstrap configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Send one message through the running server.
    Send(send::Send),
    /// Tell the life of a message: accepted, signed, tried, delivered or not, with the SMTP dialogue.
    Trace(trace::TraceArgs),
    /// Add, list and remove the domains and addresses mail may be sent as.
    #[command(subcommand)]
    Domain(domain::DomainCommand),
    /// Show the DNS records of a domain.
    #[command(subcommand)]
    Dns(dns::DnsCommand),
    /// Make, change and remove configuration sets.
    #[command(subcommand)]
    ConfigSet(config_set::ConfigSetCommand),
    /// Make, list and revoke credentials.
    #[command(subcommand)]
    Credential(credential::CredentialCommand),
    /// Send mail for some domains to a host instead of their MX.
    #[command(subcommand)]
    Route(route::RouteCommand),
    /// See who waits, try them now, or give them up.
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// List, add and remove suppressed addresses.
    #[command(subcommand)]
    Suppression(suppression::SuppressionCommand),
    /// List or follow events.
    #[command(subcommand)]
    Event(event::EventCommand),
    /// Make, check and restore backups.
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    /// Check store, disk, clock, listeners, DNS and outbound port 25.
    Doctor(doctor::Doctor),
    /// Show how the server is.
    Status(status::StatusArgs),
    /// Print the version.
    Version,
    /// Print completions for a shell.
    Completions(completions::Completions),
}

/// What every command is given.
#[derive(Debug, Clone)]
struct Context {
    data: Option<PathBuf>,
    out: Out,
}

impl Context {
    /// A connection to the running server.
    async fn client(&self) -> Result<client::Client, Failure> {
        client::Client::connect(self.data.as_deref()).await
    }

    /// Says how to read on, where a list does.
    fn more(&self, next: Option<&str>) -> Result<(), Failure> {
        next.map_or(Ok(()), |next| self.out.line(format!("more: --cursor {next}")))
    }

    /// Says that something was done; as JSON, that nothing else is to say.
    fn done(&self, text: &str) -> Result<(), Failure> {
        if self.out.json {
            self.out.json(&serde_json::json!({ "done": true }))
        } else {
            self.out.line(text)
        }
    }
}

/// An answer as its shape.
fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| {
        let text = format!("the server's answer is not what this release expects: {error}");
        Failure::new(Exit::Internal, text)
    })
}

/// Runs a server to its end on a runtime of its own. Work that blocks and does not end is left behind after a moment: the
/// store is safe at any moment.
fn serve_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::Internal, format!("cannot start a runtime: {e}")))?;
    let ended = runtime.block_on(work);
    runtime.shutdown_timeout(LEFT_BEHIND);
    ended
}

/// Runs one request to the server on this thread.
fn block<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|e| Failure::new(Exit::Internal, format!("cannot start a runtime: {e}")))?;
    runtime.block_on(work)
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    // One provider of cryptography, set before anything could ask for another. Only a second call in one process fails.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            // Nobody is left to tell when even this cannot be printed.
            let _ = error.print();
            return exit.into();
        }
    };
    let context =
        Context { data: cli.global.data, out: Out::new(cli.global.json, cli.global.color) };
    match run(cli.command, &context) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            if !failure.text.is_empty() {
                eprintln!("postrider: {failure}");
            }
            failure.exit.into()
        }
    }
}

fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Serve(serve) => serve.run(context),
        Command::Dev(dev) => dev.run(context),
        Command::Init(init) => init.run(context),
        Command::Config(config) => config.run(context),
        Command::Send(send) => block(send.run(context)),
        Command::Route(route) => block(route.run(context)),
        Command::Queue(queue) => block(queue.run(context)),
        Command::Trace(trace) => block(trace.run(context)),
        Command::Domain(domain) => block(domain.run(context)),
        Command::Dns(dns) => block(dns.run(context)),
        Command::ConfigSet(set) => block(set.run(context)),
        Command::Credential(credential) => block(credential.run(context)),
        Command::Suppression(suppression) => block(suppression.run(context)),
        Command::Event(event) => block(event.run(context)),
        Command::Backup(backup) => block(backup.run(context)),
        Command::Doctor(doctor) => block(doctor.run(context)),
        Command::Status(status) => block(status.run(context)),
        Command::Version => version::run(context),
        Command::Completions(completions) => completions.run(context),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_does_something_shows_examples() {
        fn leaves(command: &clap::Command, found: &mut Vec<String>) {
            let plain = ["version", "completions"].contains(&command.get_name());
            if command.has_subcommands() {
                command.get_subcommands().for_each(|sub| leaves(sub, found));
            } else if !plain && command.get_after_help().is_none() {
                found.push(command.get_name().to_owned());
            }
        }
        let mut bare = Vec::new();
        leaves(&Cli::command(), &mut bare);
        assert_eq!(bare, Vec::<String>::new(), "commands without examples");
    }
}
