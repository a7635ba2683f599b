//! The part of a notice that people read, and text of others made fit for lines of ours.

use std::fmt::Write as _;

use super::{About, News};
use crate::mail::{Recipient, Reply};
use crate::message::date::header_date;

/// Columns of a line (RFC 5322 §2.1.1).
const LINE_COLUMNS_MAX: usize = 78;

/// The subject, in ASCII.
pub(super) fn subject(news: &News<'_>) -> &'static str {
    match news {
        News::Failed { .. } => "Your message was not delivered",
        News::Delayed { .. } => "Your message is delayed",
        News::Delivered { relayed: false, .. } => "Your message was delivered",
        News::Delivered { relayed: true, .. } => "Your message was passed on",
    }
}

/// What a person reads first.
pub(super) fn human(about: &About<'_>, recipient: &Recipient, utf8: bool) -> String {
    let accepted = header_date(about.message.facts.accepted_ms);
    let to = one_line(recipient.mailbox.as_str(), utf8);
    let (what, after) = sentences(about.news);
    let mut out = format!("Your message of {accepted}\r\n{what}\r\n\r\n    {to}\r\n\r\n");
    if let Some(reply) = reply_of(about.news) {
        match about.host {
            "" => out.push_str("The reason:\r\n\r\n"),
            host => {
                let _ = write!(out, "The mail server {} said:\r\n\r\n", one_line(host, utf8));
            }
        }
        write_wrapped(&mut out, "    ", &one_line(&reply.to_string(), utf8));
        out.push_str("\r\n");
    }
    let _ = write!(out, "{after}\r\n");
    out
}

/// What happened, before the address, and what follows from it.
fn sentences(news: News<'_>) -> (&'static str, String) {
    match news {
        News::Failed { expired: false, .. } => (
            "could not be delivered to",
            "No further attempt is made. If the address is right, send the message again\r\nonce the reason above is gone.".to_owned(),
        ),
        News::Failed { expired: true, .. } => (
            "could not be delivered in time to",
            "It was tried until its time ran out. No further attempt is made.".to_owned(),
        ),
        News::Delayed { until_ms, .. } => (
            "has not been delivered yet to",
            format!("You need not do anything: it is tried again until\r\n{}.", header_date(until_ms)),
        ),
        News::Delivered { relayed: false, .. } => (
            "was delivered to",
            "No further notice about this recipient follows.".to_owned(),
        ),
        News::Delivered { relayed: true, .. } => (
            "was passed on towards",
            "The mail server that took it sends no confirmations, so no further notice\r\nabout this recipient follows.".to_owned(),
        ),
    }
}

fn reply_of(news: News<'_>) -> Option<&Reply> {
    match news {
        News::Failed { reply, .. } | News::Delivered { reply, .. } => Some(reply),
        News::Delayed { reply, .. } => reply,
    }
}

/// Text of others on one line: what is not printable, and beyond ASCII unless `utf8`, becomes `?`.
pub(super) fn one_line(text: &str, utf8: bool) -> String {
    let plain = |c: char| match c {
        ' '..='~' => c,
        _ if utf8 && !c.is_control() && !c.is_ascii() => c,
        _ => '?',
    };
    text.chars().map(plain).collect()
}

/// `Name: value`, folded at spaces.
pub(super) fn write_folded(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, "{name}:");
    let mut column = name.len() + 1;
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        let width = word.chars().count();
        if column + 1 + width > LINE_COLUMNS_MAX && column > 1 {
            out.push_str("\r\n");
            column = 0;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + width;
    }
    out.push_str("\r\n");
}

/// Lines of words, each behind `indent`.
fn write_wrapped(out: &mut String, indent: &str, text: &str) {
    let mut column = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let width = word.chars().count();
        if column == 0 || column + 1 + width > LINE_COLUMNS_MAX {
            if column != 0 {
                out.push_str("\r\n");
            }
            out.push_str(indent);
            column = indent.len();
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push_str("\r\n");
}
