//! Signs a header block: the signed fields are canonicalised once, each key adds its own DKIM-Signature field.

use super::body::BodyHash;
use super::key::{DkimKey, KeyError};
use crate::message::header::Field;
use data_encoding::BASE64;

/// Columns of a folded line without its CRLF (RFC 5322 §2.1.1).
const LINE_COLUMNS_MAX: usize = 78;
/// Columns of base64 on a line of its own.
const BASE64_COLUMNS: usize = 76;

/// Fields that are signed wherever they are present (RFC 6376 §5.4.1), in lower case, beside all that begin with
/// `content-`. Never those that hosts on the way add to or rewrite.
const SIGNED: [&str; 12] = [
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "mime-version",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "feedback-id",
    "x-postrider-id",
];

/// The DKIM-Signature fields of `keys`, one after the other, each with its CRLF, to stand before the header block.
///
/// `fields` are those of the block as it leaves, in order; `unix_s` becomes `t=`. No expiry is set: mail may wait for
/// days, and lists re-send it later. Takes an RSA operation per RSA key: call it off the reactor.
pub fn sign<'f, I>(
    fields: I,
    body: &BodyHash,
    keys: &[impl AsRef<DkimKey>],
    unix_s: u64,
) -> Result<Vec<u8>, KeyError>
where
    I: DoubleEndedIterator<Item = Field<'f>>,
{
    let mut canonical = Vec::with_capacity(2048);
    let mut names = Vec::with_capacity(24);
    // From the last to the first, as verifiers take repeated fields (RFC 6376 §5.4.2).
    for field in fields.rev() {
        let name = field.name().to_ascii_lowercase();
        if is_signed(&name) {
            write_relaxed(&name, field.value(), &mut canonical);
            canonical.extend_from_slice(b"\r\n");
            names.push(name);
        }
    }
    // One From more than there is: nobody can add a second one (RFC 6376 §8.15).
    names.push("from".to_owned());
    let shared = canonical.len();
    let mut out = Vec::with_capacity(1024 * keys.len());
    for key in keys {
        let unsigned = compose(key.as_ref(), body, &names, unix_s);
        canonical.truncate(shared);
        let (name, value) = unsigned.split_once(':').unwrap_or_default();
        write_relaxed(&name.to_ascii_lowercase(), value.as_bytes(), &mut canonical);
        let signature = key.as_ref().sign(&canonical)?;
        append_signature(unsigned, &signature, &mut out);
    }
    Ok(out)
}

fn is_signed(name: &str) -> bool {
    SIGNED.contains(&name) || name.starts_with("content-")
}

/// RFC 6376 §3.4.2: name in lower case, value unfolded, runs of spaces made one, none at its ends. No CRLF.
fn write_relaxed(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let start = out.len();
    let mut spaces = false;
    for octet in value.iter().copied() {
        match octet {
            b' ' | b'\t' => spaces = true,
            // Only folding has them: the parser refused all others.
            b'\r' | b'\n' => {}
            _ => {
                if spaces && out.len() > start {
                    out.push(b' ');
                }
                spaces = false;
                out.push(octet);
            }
        }
    }
}

/// The field up to and with its empty `b=`.
fn compose(key: &DkimKey, body: &BodyHash, names: &[String], unix_s: u64) -> String {
    let mut field = Folded::new("DKIM-Signature: v=1;");
    field.word(&format!("a={};", key.algorithm()));
    field.word("c=relaxed/relaxed;");
    field.word(&format!("d={};", key.domain()));
    field.word(&format!("s={};", key.selector()));
    field.word(&format!("t={unix_s};"));
    let last = names.len().saturating_sub(1);
    for (index, name) in names.iter().enumerate() {
        let end = if index == last { ";" } else { ":" };
        match index {
            0 => field.word(&format!("h={name}{end}")),
            _ => field.part(&format!("{name}{end}")),
        }
    }
    field.word(&format!("bh={};", BASE64.encode(body)));
    field.line("b=");
    field.text
}

/// Puts the signature behind `b=`, in lines: white space inside it means nothing (RFC 6376 §3.5).
fn append_signature(unsigned: String, signature: &str, out: &mut Vec<u8>) {
    let mut field = unsigned;
    let (first, mut rest) =
        signature.split_at_checked(BASE64_COLUMNS - 2).unwrap_or((signature, ""));
    field.push_str(first);
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(BASE64_COLUMNS).unwrap_or((rest, ""));
        field.push_str("\r\n ");
        field.push_str(line);
        rest = after;
    }
    field.push_str("\r\n");
    out.extend_from_slice(field.as_bytes());
}

/// A field that folds itself.
struct Folded {
    text: String,
    column: usize,
}

impl Folded {
    fn new(head: &str) -> Folded {
        Folded { text: head.to_owned(), column: head.len() }
    }

    /// After a space or on a new line.
    fn word(&mut self, word: &str) {
        if self.column + 1 + word.len() > LINE_COLUMNS_MAX {
            return self.line(word);
        }
        self.text.push(' ');
        self.text.push_str(word);
        self.column += 1 + word.len();
    }

    /// Right behind what stands there, or on a new line.
    fn part(&mut self, part: &str) {
        if self.column + part.len() > LINE_COLUMNS_MAX {
            return self.line(part);
        }
        self.text.push_str(part);
        self.column += part.len();
    }

    fn line(&mut self, word: &str) {
        self.text.push_str("\r\n ");
        self.text.push_str(word);
        self.column = 1 + word.len();
    }
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
