//! `send`: hands one message to the running server, as a client would.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::client::{Client, Target};
use super::{Context, Exit, Failure};
use crate::http::admin::shapes::{PREFIX, SendMessage, Sent};

/// Octets of a message that is read from a file or standard input: what the admin API takes.
const MESSAGE_OCTETS_MAX: u64 = 40 << 20;

/// What to send.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider send --from ann@example.org --to bob@example.net --subject Hello --body 'It works.'
  postrider send --from ann@example.org --to bob@example.net --file message.eml
  generate | postrider send --from ann@example.org --to bob@example.net --file -

The message takes the whole way: identity, suppression, signature, queue. `postrider trace <id>` tells its life.")]
pub(super) struct Send {
    /// MAIL FROM, and From of a message that is made here.
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    /// A recipient; may be repeated.
    #[arg(long = "to", value_name = "ADDRESS", required = true)]
    to: Vec<String>,
    /// The subject of a message that is made here.
    #[arg(long, value_name = "TEXT", default_value = "A test from Postrider")]
    subject: String,
    /// The text of a message that is made here.
    #[arg(long, value_name = "TEXT", default_value = "It works.")]
    body: String,
    /// A whole message, header and body; - is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["subject", "body"])]
    file: Option<PathBuf>,
    /// The credential that sends it; not needed where there is only one.
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
}

impl Send {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let message = match &self.file {
            Some(path) => read_message(path)?,
            None => compose(&self.from, &self.to, &self.subject, &self.body)?,
        };
        let Send { credential, from, to, .. } = self;
        let new = SendMessage { credential, from, to, message };
        let value = post(&mut context.client().await?, &new).await?;
        if context.out.json {
            return context.out.json(&value);
        }
        let sent: Sent = super::read(value)?;
        context
            .out
            .line(format!("accepted {0}: `postrider trace {0}` tells its life", sent.message_id))
    }
}

/// Hands a message over.
pub(super) async fn post(client: &mut Client, new: &SendMessage) -> Result<Value, Failure> {
    client.post(&Target::new(PREFIX).name("send"), new).await
}

/// A small message of text. What is given here stands in header fields, so it may hold no line end.
pub(super) fn compose(
    from: &str,
    to: &[String],
    subject: &str,
    body: &str,
) -> Result<String, Failure> {
    let to = to.join(", ");
    if [from, &to, subject].iter().any(|field| field.contains(['\r', '\n'])) {
        return Err(Failure::usage(
            "a header field cannot hold a line end; give whole messages with --file",
        ));
    }
    Ok(format!(
        "From: {from}\nTo: {to}\nSubject: {subject}\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}\n"
    ))
}

fn read_message(path: &Path) -> Result<String, Failure> {
    let cannot = |error: std::io::Error| {
        let exit =
            if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Io };
        Failure::new(exit, format!("{} cannot be read: {error}", path.display()))
    };
    let mut octets = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().take(MESSAGE_OCTETS_MAX).read_to_end(&mut octets).map_err(cannot)?;
    } else {
        let file = std::fs::File::open(path).map_err(cannot)?;
        file.take(MESSAGE_OCTETS_MAX).read_to_end(&mut octets).map_err(cannot)?;
    }
    String::from_utf8(octets).map_err(|_| {
        Failure::usage("the message is not UTF-8; hand it over by SMTP, which takes any octets")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_cannot_add_a_header_field() {
        let to = ["b@c.d".to_owned()];
        assert!(compose("a@b.c", &to, "x\r\nBcc: all@c.d", "").is_err());
        assert!(
            compose("a@b.c", &to, "x", "line\nline")
                .unwrap()
                .starts_with("From: a@b.c\nTo: b@c.d\n")
        );
    }
}
