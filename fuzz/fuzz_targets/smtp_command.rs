//! Any line: the parser answers, and a path it takes is safe to write into a command.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::mail::Domain;
use postrider::smtp::command::Command;
use postrider::smtp::{line, path, sasl};

fuzz_target!(|octets: &[u8]| {
    let Ok(text) = line::as_text(octets) else { return };
    let host = Domain::parse("mail.example.net").unwrap();
    match Command::parse(text) {
        Ok(Command::Rcpt(path, parameters)) => {
            if let Ok(mailbox) = path::forward(path, &host) {
                assert!(!mailbox.as_str().chars().any(char::is_control));
            }
            let original = parameters.original.unwrap_or_default();
            assert!(original.bytes().all(|octet| octet.is_ascii_graphic()));
        }
        Ok(Command::Mail(path, parameters)) => {
            let _ = path::reverse(path);
            let envid = parameters.envid.unwrap_or_default();
            assert!(envid.bytes().all(|octet| octet.is_ascii_graphic()));
        }
        Ok(Command::Auth(mechanism, initial)) => {
            let _ = sasl::begin(mechanism, initial);
        }
        _ => {}
    }
});
