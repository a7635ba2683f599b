//! What a refusal speaks of: a reply and the stage it came at, turned into a class by the rules of
//! `assets/replies.toml`. Pure; runs for refusals only, in time linear in the reply's length.

use std::fmt;
use std::sync::LazyLock;

use regex::bytes::{RegexSet, RegexSetBuilder};
use serde::Deserialize;

use crate::mail::{EnhancedStatus, Failure, FailureClass, Outcome, Reply};

/// How far the conversation had come when the reply arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The connection was being opened.
    Connect,
    /// The greeting was awaited.
    Greeting,
    /// EHLO or HELO was sent.
    Ehlo,
    /// STARTTLS was sent, or the handshake ran.
    Starttls,
    /// MAIL was sent.
    Mail,
    /// RCPT was sent.
    Rcpt,
    /// DATA was sent.
    Data,
    /// The content was being sent.
    Content,
    /// The final dot (or the last chunk) was sent.
    Dot,
}

impl Stage {
    /// Its name for people.
    pub const fn word(self) -> &'static str {
        match self {
            Stage::Connect => "connect",
            Stage::Greeting => "greeting",
            Stage::Ehlo => "EHLO",
            Stage::Starttls => "STARTTLS",
            Stage::Mail => "MAIL",
            Stage::Rcpt => "RCPT",
            Stage::Data => "DATA",
            Stage::Content => "content",
            Stage::Dot => "final dot",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a refusal speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The class.
    pub class: FailureClass,
    /// Whether it speaks of all mail from here to there, so that one probe speaks for all recipients.
    pub whole_destination: bool,
}

/// Reads a reply to one of the commands of a transaction. RFC 5321 §4.2.1: the first digit decides.
pub fn outcome(stage: Stage, reply: Reply, provider: &str) -> Outcome {
    if reply.code / 100 == 2 {
        return Outcome::Delivered(reply);
    }
    let Verdict { class, whole_destination } = classify(stage, &reply, provider);
    let bounced = reply.code / 100 == 5;
    let failure = Failure { reply, class, whole_destination };
    // Anything but a 5 (a 3 where none was asked for, too) is no verdict on the recipient, so we keep the message.
    if bounced { Outcome::Bounced(failure) } else { Outcome::Deferred(failure) }
}

/// What a refusal speaks of, by the first rule that fits; without one, the receiving host.
pub fn classify(stage: Stage, reply: &Reply, provider: &str) -> Verdict {
    let texts = RULES.texts.matches(reply.text.as_bytes());
    let fits = |rule: &&Compiled| {
        rule.text.is_none_or(|index| texts.matched(index))
            && (rule.codes.is_empty() || rule.codes.contains(&reply.code))
            && (rule.statuses.is_empty() || rule.fits_status(reply.enhanced))
            && (rule.stages.is_empty() || rule.stages.contains(&stage.for_rules()))
            && (rule.providers.is_empty() || rule.providers.iter().any(|name| name == provider))
    };
    match RULES.rules.iter().find(fits) {
        Some(rule) => Verdict { class: rule.class, whole_destination: rule.whole },
        None => Verdict { class: FailureClass::Infrastructure, whole_destination: false },
    }
}

impl Stage {
    /// Rules do not tell the content from its end.
    fn for_rules(self) -> Stage {
        if self == Stage::Dot { Stage::Content } else { self }
    }
}

#[derive(Debug)]
struct Rules {
    rules: Vec<Compiled>,
    texts: RegexSet,
}

#[derive(Debug)]
struct Compiled {
    class: FailureClass,
    whole: bool,
    codes: Vec<u16>,
    /// Subject, and detail unless any will do.
    statuses: Vec<(u16, Option<u16>)>,
    stages: Vec<Stage>,
    providers: Vec<String>,
    /// Its place in the set of texts.
    text: Option<usize>,
}

impl Compiled {
    fn fits_status(&self, status: Option<EnhancedStatus>) -> bool {
        status.is_some_and(|status| {
            self.statuses.iter().any(|&(subject, detail)| {
                subject == status.subject && detail.is_none_or(|detail| detail == status.detail)
            })
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    class: String,
    #[serde(default)]
    status: Vec<String>,
    #[serde(default)]
    code: Vec<u16>,
    #[serde(default)]
    stage: Vec<Stage>,
    #[serde(default)]
    provider: Vec<String>,
    text: Option<String>,
    #[serde(default)]
    whole: bool,
}

#[allow(clippy::panic, reason = "the rules are part of the program, and a test compiles them")]
static RULES: LazyLock<Rules> = LazyLock::new(|| {
    compile(include_str!("../../assets/replies.toml")).unwrap_or_else(|why| panic!("{why}"))
});

fn compile(text: &str) -> Result<Rules, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut texts = Vec::new();
    let mut rules = Vec::new();
    for rule in file.rule {
        let text = rule.text.map(|text| {
            texts.push(text);
            texts.len() - 1
        });
        rules.push(Compiled {
            class: FailureClass::of_word(&rule.class)
                .ok_or(format!("no class is called {}", rule.class))?,
            whole: rule.whole,
            codes: rule.code,
            statuses: rule
                .status
                .iter()
                .map(|status| parse_status(status))
                .collect::<Result<_, _>>()?,
            stages: rule.stage,
            providers: rule.provider,
            text,
        });
    }
    let texts = RegexSetBuilder::new(texts)
        .case_insensitive(true)
        .unicode(false)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(Rules { rules, texts })
}

fn parse_status(text: &str) -> Result<(u16, Option<u16>), String> {
    let wrong = || format!("{text} is no subject.detail");
    let (subject, detail) = text.split_once('.').ok_or_else(wrong)?;
    let detail = if detail == "*" { None } else { Some(detail.parse().map_err(|_| wrong())?) };
    Ok((subject.parse().map_err(|_| wrong())?, detail))
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
