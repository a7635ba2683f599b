//! Any octets after 354, cut anywhere: the message ends at the first CRLF.CRLF and nowhere else, and what is taken without
//! a fault holds whole lines only.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::smtp::data::{DataReader, Piece};

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (step, octets) = (usize::from(input.0).max(1), input.1);
    let mut reader = DataReader::new(true);
    let (mut held, mut message) = (Vec::new(), Vec::new());
    let mut read = 0;
    for piece in octets.chunks(step) {
        held.extend_from_slice(piece);
        read += piece.len();
        loop {
            match reader.next(&held) {
                Piece::Text(n) => message.extend(held.drain(..n)),
                Piece::Skip(n) => drop(held.drain(..n)),
                Piece::More => break,
                Piece::End(n) => {
                    held.drain(..n);
                    check(&octets, read - held.len(), &message, reader.fault().is_none());
                    return;
                }
            }
        }
        assert!(held.len() <= 2);
    }
    assert_eq!(end_of(&octets), None);
});

fn check(octets: &[u8], end: usize, message: &[u8], clean: bool) {
    assert_eq!(end_of(octets), Some(end));
    if clean {
        assert!(message.is_empty() || message.ends_with(b"\r\n"));
        for (at, octet) in message.iter().enumerate() {
            match octet {
                b'\r' => assert_eq!(message.get(at + 1), Some(&b'\n')),
                b'\n' => assert_eq!(at.checked_sub(1).map(|before| message[before]), Some(b'\r')),
                octet => assert_ne!(*octet, 0),
            }
        }
    }
}

/// RFC 5321 §4.1.1.4, the slow way: the CRLF before a first dot is DATA's own.
fn end_of(octets: &[u8]) -> Option<usize> {
    if octets.starts_with(b".\r\n") {
        return Some(3);
    }
    octets.windows(5).position(|w| w == b"\r\n.\r\n").map(|at| at + 5)
}
