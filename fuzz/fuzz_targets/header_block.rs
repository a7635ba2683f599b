//! Any octets as a message, cut anywhere: the header block ends in one place, and its fields are its octets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::message::header::Block;
use postrider::message::inspect::inspect;
use postrider::message::split::HeadCollector;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (step, octets) = (usize::from(input.0).max(1), input.1);
    let Some((head, body)) = split(&octets, step) else { return };
    assert_eq!(split(&octets, octets.len().max(1)), Some((head.clone(), body.clone())));
    assert_eq!([head.as_slice(), body.as_slice()].concat(), octets);
    let Ok(block) = Block::parse(&head) else { return };
    let fields: Vec<u8> = block.fields().iter().flat_map(|field| field.raw()).copied().collect();
    assert!(head.starts_with(&fields) && matches!(&head[fields.len()..], b"" | b"\r\n"));
    for utf8 in [false, true] {
        if let Ok(inspected) = inspect(&block, utf8) {
            assert!(!inspected.header_from.is_empty());
        }
    }
});

fn split(octets: &[u8], step: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut head, mut body) = (HeadCollector::new(), Vec::new());
    for chunk in octets.chunks(step) {
        body.extend_from_slice(head.push(chunk).ok()?);
    }
    Some((head.finish(), body))
}
