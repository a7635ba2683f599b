//! `route`: where mail for some domains goes instead of their MX.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::Target;
use super::out::{Style, Table};
use super::{Context, Failure};
use crate::http::admin::shapes::{PREFIX, Page, RouteShape};

/// The port of a route that names none.
const PORT: u16 = 25;

/// What to do with routes.
#[derive(Debug, Subcommand)]
pub(super) enum RouteCommand {
    /// List routes, the most specific first.
    Ls(Ls),
    /// Add a route, in place of one for the same pattern.
    Add(Add),
    /// Remove a route.
    Rm(Rm),
}

/// The list.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider route ls
  postrider route ls --json")]
pub(super) struct Ls {}

/// A new route.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider route add example.net mx.example.org
  postrider route add '*.internal.example' 10.0.0.5:2525 --tls never
  postrider route add '*' relay.example.com:465 --tls implicit")]
pub(super) struct Add {
    /// example.org, *.example.org or *.
    pattern: String,
    /// A host name or address, with a port unless it is 25; an IPv6 address with a port stands in brackets.
    #[arg(value_name = "HOST[:PORT]")]
    host: String,
    /// never, opportunistic, require, verify or implicit.
    #[arg(long, value_name = "POLICY", default_value = "opportunistic")]
    tls: String,
}

/// Which one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider route rm example.net
  postrider route rm '*'")]
pub(super) struct Rm {
    /// Its pattern.
    pattern: String,
}

fn target() -> Target {
    Target::new(PREFIX).name("routes")
}

impl RouteCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut client = context.client().await?;
        match self {
            RouteCommand::Ls(Ls {}) => print(context, client.get(&target()).await?),
            RouteCommand::Add(Add { pattern, host, tls }) => {
                let (host, port) = split(&host)?;
                let new = RouteShape { pattern, host, port, tls };
                let value: Value = client.post(&target(), &new).await?;
                if context.out.json {
                    return context.out.json(&value);
                }
                let RouteShape { pattern, host, port, tls } = super::read(value)?;
                context
                    .out
                    .line(format!("mail for {pattern} goes to {host} port {port}, TLS {tls}"))
            }
            RouteCommand::Rm(Rm { pattern }) => {
                let _: Value = client.delete(&target().name(&pattern)).await?;
                context.done(&format!("removed {pattern}"))
            }
        }
    }
}

/// Host and port; an IPv6 address without brackets has no port.
fn split(text: &str) -> Result<(String, u16), Failure> {
    let whole = || Ok((text.to_owned(), PORT));
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return whole();
    }
    let Some((host, port)) = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) else {
        return whole();
    };
    let port = port.parse().map_err(|_| {
        Failure::usage(format!("{port:?} is no port; write for example {host}:2525"))
    })?;
    Ok((host.to_owned(), port))
}

fn print(context: &Context, value: Value) -> Result<(), Failure> {
    if context.out.json {
        return context.out.json(&value);
    }
    let page: Page<RouteShape> = super::read(value)?;
    let mut table = Table::new(&["FOR", "HOST", "PORT", "TLS"], "no routes: all mail goes by MX");
    for route in page.items {
        table.row([
            (Style::Name, route.pattern),
            (Style::Plain, route.host),
            (Style::Plain, route.port.to_string()),
            (Style::Plain, route.tls),
        ]);
    }
    context.out.table(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_parted_from_its_port() {
        for (text, host, port) in [
            ("mx.example.org", "mx.example.org", 25),
            ("127.0.0.1:2525", "127.0.0.1", 2525),
            ("[::1]:2525", "[::1]", 2525),
            ("[::1]", "[::1]", 25),
            ("::1", "::1", 25),
        ] {
            assert_eq!(split(text).unwrap(), (host.to_owned(), port), "for {text}");
        }
        assert!(split("mx.example.org:smtp").is_err());
    }
}
