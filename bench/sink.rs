//! A counting SMTP sink that costs as little as it can, so that the servers are measured and not the harness.
//!
//! One blocking thread a connection, one buffer each; it takes every message, keeps none, and prints how many it has
//! taken whenever that changes, at most fifty times a second. `sink PORT`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static MESSAGES: AtomicU64 = AtomicU64::new(0);

fn main() {
    let port: u16 = std::env::args().nth(1).and_then(|p| p.parse().ok()).expect("sink PORT");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    std::thread::spawn(report);
    for stream in listener.incoming().flatten() {
        let _ = stream.set_nodelay(true);
        std::thread::Builder::new()
            .stack_size(256 * 1024)
            .spawn(move || drop(serve(stream)))
            .expect("a thread for a connection");
    }
}

fn report() {
    let mut last = u64::MAX;
    loop {
        let now = MESSAGES.load(Ordering::Relaxed);
        if now != last {
            println!("mesg={now}");
            last = now;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"220 sink.example ESMTP\r\n")?;
    let mut buffer = vec![0; 256 * 1024];
    let (mut filled, mut in_data) = (0, false);
    let mut replies = Vec::new();
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let mut used = 0;
        loop {
            let rest = &buffer[used..filled];
            if in_data {
                let Some(end) = end_of_data(rest) else {
                    // Keep what may be the beginning of the end, drop the rest.
                    used = filled - rest.len().min(4);
                    break;
                };
                used += end;
                in_data = false;
                MESSAGES.fetch_add(1, Ordering::Relaxed);
                replies.extend_from_slice(b"250 2.0.0 Ok\r\n");
                continue;
            }
            let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else { break };
            let verb: Vec<u8> = rest.iter().take(4).map(u8::to_ascii_uppercase).collect();
            used += end + 2;
            match &verb[..] {
                b"EHLO" => replies.extend_from_slice(b"250-sink.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n"),
                b"DATA" => {
                    in_data = true;
                    replies.extend_from_slice(b"354 go on\r\n");
                }
                b"QUIT" => {
                    replies.extend_from_slice(b"221 2.0.0 Bye\r\n");
                    return stream.write_all(&replies);
                }
                _ => replies.extend_from_slice(b"250 2.0.0 Ok\r\n"),
            }
        }
        buffer.copy_within(used..filled, 0);
        filled -= used;
        if !replies.is_empty() {
            stream.write_all(&replies)?;
            replies.clear();
        }
    }
}

/// Octets up to and with the final dot.
fn end_of_data(octets: &[u8]) -> Option<usize> {
    let mut from = 0;
    // A dot is rare in mail, so looking for it first makes this a search for one octet.
    while let Some(at) = octets[from..].iter().position(|&o| o == b'.').map(|at| from + at) {
        if at >= 2 && octets[at - 2..].starts_with(b"\r\n.\r\n") {
            return Some(at + 3);
        }
        from = at + 1;
    }
    None
}
