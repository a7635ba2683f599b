//! What `dev` says first: where it listens, as whom to send, and lines to paste that send.

use super::super::out::Style;
use super::super::{Context, Failure};
use super::{Account, DOMAIN, Dev};
use crate::config::Loaded;

pub(super) fn print(
    context: &Context,
    dev: &Dev,
    loaded: &Loaded,
    account: &Account,
) -> Result<(), Failure> {
    let out = context.out;
    let host = &loaded.config.hostname;
    let version = env!("CARGO_PKG_VERSION");
    let title = out.style(Style::Bold, &format!("Postrider {version}, for development"));
    out.line(format!("\n  {title}: nothing leaves this machine\n"))?;
    let rows = [
        ("STARTTLS", format!("127.0.0.1:{}", dev.submission_port), "user and password below"),
        ("TLS", format!("127.0.0.1:{}", dev.tls_port), "user and password below"),
        (
            "trusted",
            format!("127.0.0.1:{}", dev.trusted_port),
            "no AUTH, no TLS: for smtp-source and old programs",
        ),
        ("HTTP", format!("127.0.0.1:{}", dev.http_port), "/metrics /healthz /readyz"),
    ];
    for (what, place, note) in rows {
        out.line(format!("  {what:<10} {place:<16} {}", out.style(Style::Dim, note)))?;
    }
    out.line(format!("  {:<10} {}", "data", loaded.config.data_dir.display()))?;
    out.line(format!("  {:<10} {}", "user", out.style(Style::Name, &account.user)))?;
    out.line(format!("  {:<10} {}", "password", out.style(Style::Name, &account.password)))?;
    out.line(format!("  {:<10} anybody@{DOMAIN}", "from"))?;
    out.line(format!(
        "  {:<10} success@ bounce@ complaint@ ooto@ suppressionlist@ simulator.{host}\n",
        "to"
    ))?;
    out.line(format!("  {}\n", out.style(Style::Bold, "Paste this to send with swaks:")))?;
    out.line(swaks(dev, host.as_str(), account))?;
    out.line(format!("\n  {}\n", out.style(Style::Bold, "or this with Python:")))?;
    out.line(python(dev, host.as_str(), account))?;
    out.line(format!(
        "\n  {}\n",
        out.style(
            Style::Dim,
            "Below is the life of every message. Ctrl-C ends it; the data stays."
        )
    ))
}

fn swaks(dev: &Dev, host: &str, account: &Account) -> String {
    let Account { user, password } = account;
    format!(
        "swaks --server 127.0.0.1:{} --tls --auth PLAIN --auth-user {user} --auth-password {password} \
         --from ann@{DOMAIN} --to success@simulator.{host} --header 'Subject: Hello from swaks'",
        dev.submission_port
    )
}

fn python(dev: &Dev, host: &str, account: &Account) -> String {
    let Account { user, password } = account;
    format!(
        r#"python3 - <<'END'
import smtplib, ssl
tls = ssl.create_default_context(); tls.check_hostname = False; tls.verify_mode = ssl.CERT_NONE
with smtplib.SMTP("127.0.0.1", {port}) as smtp:
    smtp.starttls(context=tls)
    smtp.login("{user}", "{password}")
    smtp.sendmail("ann@{DOMAIN}", ["success@simulator.{host}"],
        "From: ann@{DOMAIN}\r\nTo: success@simulator.{host}\r\nSubject: Hello from Python\r\n\r\nHello!\r\n")
END"#,
        port = dev.submission_port
    )
}
