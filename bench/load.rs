//! Sends many small messages over a few connections to many domains, as fast as the server takes them.
//!
//! `load PORT MESSAGES DOMAINS RECIPIENTS OCTETS`: recipient k of message n is at domain `(n * RECIPIENTS + k) mod DOMAINS`.
//! smtp-source cannot spread its recipients over domains; this is for the tests of a deep queue, not for the tables.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

const SESSIONS: u64 = 20;

fn main() -> std::io::Result<()> {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().expect("a number")).collect();
    let [port, messages, domains, recipients, octets] = numbers[..] else {
        panic!("load PORT MESSAGES DOMAINS RECIPIENTS OCTETS")
    };
    let next = AtomicU64::new(0);
    let body = format!("{}\r\n", "x".repeat(76)).repeat((octets / 78).max(1) as usize);
    std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..SESSIONS)
            .map(|_| scope.spawn(|| session(port as u16, &next, messages, (domains, recipients), &body)))
            .collect();
        sessions.into_iter().try_for_each(|s| s.join().expect("a session"))
    })
}

fn session(port: u16, next: &AtomicU64, messages: u64, spread: (u64, u64), body: &str) -> std::io::Result<()> {
    let (domains, recipients) = spread;
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    expect(&mut stream, 1)?;
    stream.get_mut().write_all(b"EHLO load.example\r\n")?;
    expect(&mut stream, 1)?;
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= messages {
            return stream.get_mut().write_all(b"QUIT\r\n");
        }
        let mut commands = String::from("MAIL FROM:<load@source.example>\r\n");
        for k in 0..recipients {
            let domain = (n * recipients + k) % domains;
            commands.push_str(&format!("RCPT TO:<u{n}@d{domain}.example>\r\n"));
        }
        commands.push_str("DATA\r\n");
        stream.get_mut().write_all(commands.as_bytes())?;
        expect(&mut stream, recipients + 2)?;
        let text = format!("From: <load@source.example>\r\nSubject: load {n}\r\n\r\n{body}.\r\n");
        stream.get_mut().write_all(text.as_bytes())?;
        expect(&mut stream, 1)?;
    }
}

/// Reads replies and insists that they are good ones.
fn expect(stream: &mut BufReader<TcpStream>, replies: u64) -> std::io::Result<()> {
    let mut line = String::new();
    for _ in 0..replies {
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            assert!(line.starts_with('2') || line.starts_with("354"), "refused: {line}");
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
    }
    Ok(())
}
