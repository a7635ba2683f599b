//! One delivery to the simulator: drives the session of a receiver, keeps no octet of the message.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::mail::{Domain, EnhancedStatus, MessageId, Reply};
use crate::smtp::{Action, Channel, Profile, Session};

use super::behaviour;

/// How long a silent client keeps its place (RFC 5321 §4.5.3.2.7).
const IDLE: Duration = Duration::from_mins(5);
/// Octets read at once.
const BUFFER_OCTETS: usize = 16 << 10;

/// What every connection of a simulator shares.
#[derive(Clone)]
pub(super) struct Simulation {
    pub(super) profile: Arc<Profile>,
    pub(super) domains: Arc<[Domain]>,
}

/// Numbers the messages taken, for the text of the 250.
static TAKEN: AtomicU64 = AtomicU64::new(0);

impl Simulation {
    /// Serves a client to its end.
    pub(super) async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut input, mut out) = (BytesMut::new(), Vec::new());
        // Deliveries come from this process alone, so everyone may mail; whom is for the address to say.
        let mut session = Session::trusted(Arc::clone(&self.profile), Channel::Plain, ());
        session.greet(&mut out);
        loop {
            match session.next(&mut input, &mut out) {
                Action::Read => {
                    stream.write_all(&out).await?;
                    out.clear();
                    input.reserve(BUFFER_OCTETS);
                    if timeout(IDLE, stream.read_buf(&mut input)).await?? == 0 {
                        return Ok(());
                    }
                }
                Action::Close | Action::StartTls => {
                    stream.write_all(&out).await?;
                    return stream.shutdown().await;
                }
                Action::Data(octets) => input.advance(octets),
                // The octets are thrown away as they come, so there is nothing to end and nothing to forget.
                Action::EndLine | Action::Abandon => {}
                Action::Mail { .. } => session.mail_checked(Ok(()), &mut out),
                Action::Recipient(to) => {
                    session.recipient_checked(behaviour::answer(&self.domains, &to), &mut out);
                }
                Action::Begin { .. } => session.begun(Ok(()), &mut out),
                Action::Accept => session.accepted(Ok(self.id()), &mut out),
                // AUTH is not offered without TLS.
                Action::Authenticate(_) => session.authenticated(Err(no_login()), &mut out),
            }
        }
    }

    fn id(&self) -> MessageId {
        let unique = TAKEN.fetch_add(1, Ordering::Relaxed);
        MessageId::new(self.profile.clock.now_ms(), 0, unique)
    }
}

fn no_login() -> Reply {
    let enhanced = Some(EnhancedStatus::new(5, 7, 8));
    Reply { code: 535, enhanced, text: "Nobody logs in here".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::Simulator;
    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn the_simulator_answers_a_delivery_over_a_real_connection() {
        let host = Domain::parse("mail.example.net").unwrap();
        let simulator = Simulator::start(&host, ManualClock::at(1_700_000_000_000)).await.unwrap();
        assert!(simulator.address().ip().is_loopback());
        let mut stream = TcpStream::connect(simulator.address()).await.unwrap();
        stream
            .write_all(
                b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<bounce+x@simulator.mail.example.net>\r\n\
                  RCPT TO:<success@simulator.mail.example.net>\r\nBDAT 6 LAST\r\na: b\r\nQUIT\r\n",
            )
            .await
            .unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        let heard: Vec<&str> =
            heard.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).collect();
        let want = [
            "220 simulator.mail",
            "250 ",
            "250 2.1.0",
            "550 5.1.1",
            "250 2.1.5",
            "250 2.0.0 Ok 0",
            "221",
        ];
        assert_eq!(heard.len(), want.len(), "{heard:?}");
        assert!(heard.iter().zip(want).all(|(heard, want)| heard.starts_with(want)), "{heard:?}");
        let address = simulator.address();
        drop(simulator);
        // The listener ends with it: in the end nobody answers.
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
