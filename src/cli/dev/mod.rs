//! `dev`: the whole appliance on loopback and unprivileged ports, ready to be sent to, telling the life of every message.
//!
//! Nothing leaves this machine: no DNS is asked, and mail for anybody goes to the mailbox simulator unless a route says
//! otherwise.

mod greeting;
mod settings;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::event::{self, Conditions};
use super::{Context, Exit, Failure, send};
use crate::access::NewCredential;
use crate::app::{App, Hands};
use crate::config::Loaded;
use crate::config::check::{self, Ports};
use crate::http::admin::shapes::SendMessage;
use crate::identity::{IdentityError, IdentityName, NewIdentity};
use crate::{store, supervise, telemetry};

/// The credential that is ready, and that the trusted listener's clients are.
const CREDENTIAL: &str = "dev";
/// The domain that is ready to be sent as.
const DOMAIN: &str = "example.test";
/// From the first event that is followed to the message we send ourselves.
const FOLLOWER_START: Duration = Duration::from_millis(200);

/// Where to serve.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  postrider dev
  postrider dev --data /tmp/mail --submission-port 3525
  postrider dev --quiet                        print no life of messages
  postrider dev --json                         tell events as JSON, one a line

It keeps its data in ./postrider-data; other commands work on it while it runs, such as
`postrider event ls` or `postrider route add example.net 127.0.0.1:1025`.")]
pub(super) struct Dev {
    /// The port of submission with STARTTLS.
    #[arg(long, value_name = "PORT", default_value_t = 2525)]
    submission_port: u16,
    /// The port of submission with TLS from the first octet.
    #[arg(long, value_name = "PORT", default_value_t = 2465)]
    tls_port: u16,
    /// The port for clients without AUTH and TLS, on loopback alone.
    #[arg(long, value_name = "PORT", default_value_t = 2526)]
    trusted_port: u16,
    /// The port of /metrics, /healthz and /readyz.
    #[arg(long, value_name = "PORT", default_value_t = 8025)]
    http_port: u16,
    /// Print no life of messages.
    #[arg(long)]
    quiet: bool,
    /// Any setting of the bootstrap file; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

/// What a client needs to send.
pub(super) struct Account {
    user: String,
    password: String,
}

impl Dev {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let data = super::place::named_data_dir(context.data.as_deref())
            .unwrap_or_else(|| PathBuf::from("postrider-data"));
        let loaded = settings::load(&self, &data)?;
        store::check_free(&loaded.config.data_dir).map_err(crate::app::AppError::Open)?;
        check::host(&loaded, Ports::Try).map_err(|error| {
            Failure::new(Exit::Config, format!("{error}\nor move it: see `postrider dev --help`"))
        })?;
        telemetry::start(&loaded.config.log.level, loaded.config.log.format);
        let context = Context { data: Some(data), out: context.out };
        super::serve_on(async move { self.serve(&loaded, context).await })
    }

    async fn serve(self, loaded: &Loaded, context: Context) -> Result<(), Failure> {
        let app = App::start(loaded, Hands::real()).await?;
        app.route_all_to_simulator().await?;
        let account = prepare(&app).await?;
        if !context.out.json {
            greeting::print(&context, &self, loaded, &account)?;
        }
        if !self.quiet {
            let context = context.clone();
            drop(supervise::spawn("life of messages", async move { tell(&context).await }));
        }
        let host = loaded.config.hostname.to_string();
        drop(supervise::spawn("first message", async move {
            tokio::time::sleep(FOLLOWER_START).await;
            if let Err(failure) = send_one(&context, &host).await {
                tracing::warn!("the first message was not sent: {failure}");
            }
        }));
        super::serve::until_ended(app).await
    }
}

/// Makes what a newcomer would otherwise have to make: a domain to send as and a credential. A second start finds them.
async fn prepare(app: &App) -> Result<Account, Failure> {
    let internal = |error: &dyn std::fmt::Display| Failure::new(Exit::Internal, error.to_string());
    let name = IdentityName::parse(DOMAIN).map_err(|error| internal(&error))?;
    match app.identities().add(NewIdentity::named(name)).await {
        Ok(_) | Err(IdentityError::Taken(_)) => {}
        Err(error) => return Err(internal(&error)),
    }
    let access = app.access();
    let known = access.list().into_iter().find(|(credential, _)| credential.name == CREDENTIAL);
    let credential = if let Some((credential, _)) = known {
        credential
    } else {
        let made = access.create(NewCredential::named(CREDENTIAL)).await;
        made.map_err(|error| internal(&error))?.credential
    };
    let secret = access.secret(credential.number).map_err(|error| internal(&error))?;
    let password = String::from_utf8_lossy(secret.reveal()).into_owned();
    Ok(Account { user: credential.user.clone(), password })
}

/// Follows the server's own events over its own control socket, as `event tail` does.
async fn tell(context: &Context) {
    if let Err(failure) = event::follow(context, Conditions::default(), true).await
        && failure.exit != Exit::Ok
        && failure.exit != Exit::Unavailable
    {
        tracing::warn!("the life of messages is not told any more: {failure}");
    }
}

/// Sends one message, so that there is something to see.
async fn send_one(context: &Context, host: &str) -> Result<(), Failure> {
    let from = format!("postrider@{DOMAIN}");
    let to = vec![format!("success@simulator.{host}")];
    let body = "This message took the whole way: accepted, signed, delivered.";
    let message = send::compose(&from, &to, "Hello from Postrider", body)?;
    let credential = Some(CREDENTIAL.to_owned());
    let new = SendMessage { credential, from, to, message };
    send::post(&mut context.client().await?, &new).await.map(drop)
}
