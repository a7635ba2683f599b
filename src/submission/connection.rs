//! One client's connection: carries octets between its socket and its session, and does what the session asks.
//!
//! Decides nothing about mail. One task, one read buffer; replies to pipelined commands leave in one write.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::access::Credential;
use crate::clock::Clock;
use crate::intake::Sender;
use crate::mail::{EnhancedStatus, Envelope, MessageId, Reply};
use crate::smtp::sasl::Login;
use crate::smtp::{Action, Channel, Phase, Profile, Session};

use super::caps::{Caps, LoginPlace, Place};
use super::door::Door;
use super::options::Deadlines;
use super::pace::{Moment, Pace};
use super::stream::Stream;
use super::{Counters, Stop};

/// Octets of the read buffer. A message of 10 KiB fits with its commands.
const BUFFER_OCTETS: usize = 16 << 10;
/// With less room than this in it, the buffer is made whole again.
const ROOM_OCTETS_MIN: usize = 4 << 10;
/// A client that was silent for so long keeps only a small buffer, so that ten thousand of them cost little.
const IDLE_AFTER: Duration = Duration::from_secs(2);
/// That small buffer.
const IDLE_BUFFER_OCTETS: usize = 256;
/// How long and how much a client that was turned away may still send, so that a reset does not eat our last reply.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_OCTETS_MAX: usize = 256 << 10;

/// What all connections share.
pub(super) struct Shared<D> {
    pub(super) door: Arc<D>,
    pub(super) profile: Arc<Profile>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) caps: Arc<Caps>,
    pub(super) deadlines: Deadlines,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<Counters>,
}

/// How a client comes in.
#[derive(Debug)]
pub(super) enum Entry {
    /// Plain text; AUTH follows.
    Plain,
    /// TLS first; AUTH follows.
    Tls,
    /// Known by its address.
    Known(Arc<Credential>),
}

/// One connection.
pub(super) struct Connection<D: Door> {
    shared: Arc<Shared<D>>,
    stream: Stream,
    client: IpAddr,
    input: BytesMut,
    out: Vec<u8>,
    pace: Pace,
    stop: watch::Receiver<Stop>,
    sender: Option<Arc<Sender>>,
    receiving: Option<D::Receiving>,
    /// Held for the session of a credential.
    login: Option<LoginPlace>,
    /// Held to the end.
    _place: Place,
}

/// How a session ended when nothing broke.
enum End {
    /// By a reply or by QUIT.
    Closed,
    /// STARTTLS was agreed.
    StartTls,
}

/// How a connection was lost.
#[derive(Debug)]
enum Lost {
    /// The client closed it, or the network did.
    Gone,
    /// The client used up its time.
    Slow,
}

impl From<io::Error> for Lost {
    fn from(_: io::Error) -> Lost {
        Lost::Gone
    }
}

impl<D: Door> Connection<D> {
    pub(super) fn new(
        shared: Arc<Shared<D>>,
        stream: tokio::net::TcpStream,
        client: IpAddr,
        place: Place,
        stop: watch::Receiver<Stop>,
    ) -> Connection<D> {
        Connection {
            pace: Pace::new(shared.clock.uptime(), &shared.deadlines),
            shared,
            stream: Stream::Plain(stream),
            client,
            input: BytesMut::new(),
            out: Vec::new(),
            stop,
            sender: None,
            receiving: None,
            login: None,
            _place: place,
        }
    }

    /// Serves the client to its end.
    pub(super) async fn serve(self, entry: Entry) {
        let client = self.client;
        if let Err(lost) = self.talk(entry).await {
            tracing::debug!(client.address = %client, how = ?lost, "lost the connection from {client}");
        }
    }

    async fn talk(mut self, entry: Entry) -> Result<(), Lost> {
        let known = match entry {
            Entry::Plain => None,
            Entry::Tls => {
                self = self.secure().await?;
                None
            }
            Entry::Known(credential) => Some(credential),
        };
        if let Some(credential) = &known {
            match self.shared.caps.log_in(credential.number) {
                Some(place) => self.login = Some(place),
                None => return self.turn_away(&too_many_connections()).await,
            }
        }
        let mut session = self.session(known.clone());
        session.greet(&mut self.out);
        loop {
            match self.run(&mut session).await? {
                End::Closed => return self.close().await,
                End::StartTls => {
                    // RFC 3207 §4.2: nothing that was said in plain text is remembered.
                    self = self.secure().await?;
                    session = self.session(known.clone());
                }
            }
        }
    }

    fn session(&self, known: Option<Arc<Credential>>) -> Session<Arc<Credential>> {
        let profile = Arc::clone(&self.shared.profile);
        let channel = match (&self.stream, &self.shared.tls) {
            (Stream::Tls(_), _) => Channel::Tls,
            (Stream::Plain(_), Some(_)) => Channel::PlainWithStartTls,
            (Stream::Plain(_), None) => Channel::Plain,
        };
        match known {
            Some(credential) => Session::trusted(profile, channel, credential),
            None => Session::new(profile, channel),
        }
    }

    /// Shakes hands; what was read before is thrown away.
    async fn secure(mut self) -> Result<Connection<D>, Lost> {
        self.flush().await?;
        let acceptor = self.shared.tls.clone().ok_or(Lost::Gone)?;
        let stream = timeout(self.shared.deadlines.handshake, self.stream.secure(&acceptor))
            .await
            .map_err(|_| Lost::Slow)??;
        Ok(Connection { stream, input: BytesMut::new(), sender: None, ..self })
    }

    /// Runs a session until it ends or must change its channel.
    async fn run(&mut self, session: &mut Session<Arc<Credential>>) -> Result<End, Lost> {
        loop {
            match session.next(&mut self.input, &mut self.out) {
                Action::Read => self.read(session).await?,
                Action::Data(octets) => self.push(octets).await,
                Action::Recipient(mailbox) => {
                    let verdict = match (&self.sender, session.envelope()) {
                        (Some(sender), Some(envelope)) => {
                            self.shared.door.recipient(sender, envelope, &mailbox)
                        }
                        _ => Err(out_of_order()),
                    };
                    session.recipient_checked(verdict, &mut self.out);
                }
                Action::Mail { from, size } => {
                    let verdict = match self.sender(session) {
                        Some(sender) => self.shared.door.mail(&sender, &from, size),
                        None => Err(out_of_order()),
                    };
                    session.mail_checked(verdict, &mut self.out);
                }
                Action::Begin { envelope, size } => {
                    let verdict = self.begin(envelope, size).await;
                    session.begun(verdict, &mut self.out);
                }
                Action::EndLine => {
                    if let Some(receiving) = &mut self.receiving {
                        self.shared.door.push(receiving, b"\r\n").await;
                    }
                }
                Action::Abandon => self.receiving = None,
                Action::Accept => {
                    let verdict = self.accept().await;
                    session.accepted(verdict, &mut self.out);
                }
                Action::Authenticate(login) => {
                    let verdict = self.authenticate(&login);
                    session.authenticated(verdict, &mut self.out);
                }
                Action::StartTls => return Ok(End::StartTls),
                Action::Close => return Ok(End::Closed),
            }
        }
    }

    fn authenticate(&mut self, login: &Login) -> Result<Arc<Credential>, Reply> {
        let credential = self.shared.door.authenticate(login, self.client).inspect_err(|said| {
            self.shared.counters.logins_refused.fetch_add(1, Ordering::Relaxed);
            let client = self.client;
            tracing::info!(
                client.address = %client, reply.code = said.code,
                "refused a login from {client}"
            );
        })?;
        let place = self.shared.caps.log_in(credential.number);
        self.login = Some(place.ok_or_else(too_many_connections)?);
        Ok(credential)
    }

    /// Who hands the next message in; made anew only when the client said another name.
    fn sender(&mut self, session: &Session<Arc<Credential>>) -> Option<Arc<Sender>> {
        let (hello, protocol) = (session.hello(), session.protocol());
        let known = self.sender.as_ref();
        if known.is_none_or(|sender| sender.helo != hello || sender.protocol != protocol) {
            self.sender = Some(Arc::new(Sender {
                credential: Arc::clone(session.account()?),
                client: self.client,
                helo: hello.to_owned(),
                protocol,
                tls: self.stream.tls(),
            }));
        }
        self.sender.clone()
    }

    async fn begin(&mut self, envelope: Envelope, size: Option<u64>) -> Result<(), Reply> {
        let sender = self.sender.as_ref().ok_or_else(out_of_order)?;
        self.receiving = Some(self.shared.door.begin(sender, envelope, size).await?);
        Ok(())
    }

    async fn push(&mut self, octets: usize) {
        if let (Some(receiving), Some(text)) = (&mut self.receiving, self.input.get(..octets)) {
            self.shared.door.push(receiving, text).await;
        }
        self.input.advance(octets);
    }

    async fn accept(&mut self) -> Result<MessageId, Reply> {
        let receiving = self.receiving.take().ok_or_else(out_of_order)?;
        let id = self.shared.door.accept(receiving).await?;
        self.shared.counters.messages_accepted.fetch_add(1, Ordering::Relaxed);
        Ok(id)
    }

    /// Writes the replies, then waits for more octets, for the client's deadline, or, between transactions, for the end
    /// of the server.
    async fn read(&mut self, session: &mut Session<Arc<Credential>>) -> Result<(), Lost> {
        self.flush().await?;
        let idle = session.phase() == Phase::Idle;
        if idle && self.is_stopping() {
            session.close(&shutting_down(), &mut self.out);
            return Ok(());
        }
        let moment = Moment {
            now: self.shared.clock.uptime(),
            phase: session.phase(),
            commands: session.commands(),
            partial: !self.input.is_empty(),
            logged_in: session.account().is_some(),
        };
        let wait = self.pace.wait(&moment, &self.shared.deadlines);
        let (stream, input) = (&mut self.stream, &mut self.input);
        let octets = if idle {
            tokio::select! {
                biased;
                octets = fill(stream, input, wait) => octets,
                _ = self.stop.changed() => return Ok(()),
            }
        } else {
            fill(stream, input, wait).await
        };
        match octets {
            Ok(0) => Err(Lost::Gone),
            Ok(octets) => {
                let waited = self.shared.clock.uptime().saturating_sub(moment.now);
                self.pace.received(octets, waited);
                Ok(())
            }
            Err(Lost::Slow) => {
                session.close(&too_slow(), &mut self.out);
                Ok(())
            }
            Err(lost) => Err(lost),
        }
    }

    /// A server that is gone without a word stops as well.
    fn is_stopping(&mut self) -> bool {
        *self.stop.borrow_and_update() != Stop::Running || self.stop.has_changed().is_err()
    }

    async fn flush(&mut self) -> Result<(), Lost> {
        if self.out.is_empty() {
            return Ok(());
        }
        timeout(self.shared.deadlines.write, self.stream.write(&self.out))
            .await
            .map_err(|_| Lost::Slow)??;
        self.out.clear();
        Ok(())
    }

    async fn turn_away(mut self, said: &Reply) -> Result<(), Lost> {
        let mut session = self.session(None);
        session.close(said, &mut self.out);
        self.close().await
    }

    /// Writes what is left and closes. A client that still sends is heard out for a moment.
    async fn close(mut self) -> Result<(), Lost> {
        self.flush().await?;
        self.stream.shut().await?;
        if self.input.is_empty() {
            return Ok(());
        }
        let mut octets = 0;
        let hear_out = async {
            while octets < LINGER_OCTETS_MAX {
                self.input.clear();
                self.input.reserve(ROOM_OCTETS_MIN);
                match self.stream.read(&mut self.input).await {
                    Ok(0) | Err(_) => break,
                    Ok(more) => octets += more,
                }
            }
        };
        // Whether the client was quick enough changes nothing.
        let _ = timeout(LINGER, hear_out).await;
        Ok(())
    }
}

/// Reads what comes within `wait`; after a while of silence with a small buffer.
async fn fill(stream: &mut Stream, input: &mut BytesMut, wait: Duration) -> Result<usize, Lost> {
    if input.capacity() - input.len() < ROOM_OCTETS_MIN {
        input.reserve(BUFFER_OCTETS.saturating_sub(input.len()).max(ROOM_OCTETS_MIN));
    }
    let mut wait = wait;
    if input.is_empty() && wait > IDLE_AFTER {
        if let Ok(octets) = timeout(IDLE_AFTER, stream.read(input)).await {
            return Ok(octets?);
        }
        *input = BytesMut::with_capacity(IDLE_BUFFER_OCTETS);
        wait -= IDLE_AFTER;
    }
    match timeout(wait, stream.read(input)).await {
        Ok(octets) => Ok(octets?),
        Err(_) => Err(Lost::Slow),
    }
}

fn said(code: u16, status: EnhancedStatus, text: &str) -> Reply {
    Reply { code, enhanced: Some(status), text: text.to_owned() }
}

fn shutting_down() -> Reply {
    said(421, EnhancedStatus::new(4, 3, 2), "Shutting down, try again in a moment")
}

fn too_slow() -> Reply {
    said(421, EnhancedStatus::new(4, 4, 2), "Timeout, closing the connection")
}

fn too_many_connections() -> Reply {
    said(421, EnhancedStatus::new(4, 7, 0), "Too many concurrent SMTP connections")
}

/// A session that asks in an order that it cannot ask in.
fn out_of_order() -> Reply {
    said(451, EnhancedStatus::new(4, 3, 0), "Internal error, try again")
}
