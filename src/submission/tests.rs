//! Listeners over real sockets, with a door that remembers.

use std::net::IpAddr;
use std::path::Path;

use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Entry};
use super::*;
use crate::access::{Credential, Scope};
use crate::clock::SystemClock;
use crate::intake::Sender;
use crate::mail::{Domain, EnhancedStatus, Envelope, Mailbox, MessageId, Reply, ReversePath};
use crate::net::tls;
use crate::smtp::Limits;
use crate::smtp::sasl::Login;

/// A message as it was handed in.
type Handed = (Arc<Sender>, Envelope, Vec<u8>);

/// Takes every message of Ann.
#[derive(Default)]
struct Memory {
    accepted: Mutex<Vec<Handed>>,
}

fn credential() -> Arc<Credential> {
    Arc::new(Credential {
        number: 7,
        name: "ann".to_owned(),
        tenant: 0,
        user: "ann".to_owned(),
        scope: Scope::All,
        sources: Vec::new(),
        rate_per_second: None,
        recipients_per_day: None,
        enabled: true,
        created_ms: 0,
        unknown: Vec::new(),
    })
}

fn no() -> Reply {
    let enhanced = Some(EnhancedStatus::new(5, 7, 8));
    Reply { code: 535, enhanced, text: "Authentication Credentials Invalid".to_owned() }
}

impl Door for Memory {
    type Receiving = Handed;

    fn authenticate(&self, login: &Login, _: IpAddr) -> Result<Arc<Credential>, Reply> {
        let good = login.user == "ann" && login.password.matches(b"secret");
        if good { Ok(credential()) } else { Err(no()) }
    }

    fn trusted(&self, name: &str, _: IpAddr) -> Result<Arc<Credential>, Reply> {
        if name == "ann" { Ok(credential()) } else { Err(no()) }
    }

    fn mail(&self, _: &Sender, _: &ReversePath, _: Option<u64>) -> Result<(), Reply> {
        Ok(())
    }

    fn recipient(&self, _: &Sender, _: &Envelope, _: &Mailbox) -> Result<(), Reply> {
        Ok(())
    }

    async fn begin(
        &self,
        sender: &Arc<Sender>,
        envelope: Envelope,
        _: Option<u64>,
    ) -> Result<Self::Receiving, Reply> {
        Ok((Arc::clone(sender), envelope, Vec::new()))
    }

    async fn push(&self, receiving: &mut Self::Receiving, octets: &[u8]) {
        receiving.2.extend_from_slice(octets);
    }

    async fn accept(&self, receiving: Self::Receiving) -> Result<MessageId, Reply> {
        self.accepted.lock().push(receiving);
        Ok(MessageId::new(0, 0, 1))
    }
}

struct Server {
    submission: Submission,
    door: Arc<Memory>,
    dir: tempfile::TempDir,
}

fn options(modes: Vec<Mode>, dir: &Path) -> Options {
    let host = Domain::parse("localhost").unwrap();
    let clock = SystemClock::start();
    let pair = tls::self_signed(dir, &host, &*clock).unwrap();
    let listeners = modes
        .into_iter()
        .map(|mode| ListenerOptions { address: ([127, 0, 0, 1], 0).into(), mode })
        .collect();
    Options {
        host,
        listeners,
        tls: Some(tls::server_config(&pair).unwrap()),
        limits: Limits::default(),
        caps: CapLimits::default(),
        deadlines: Deadlines::default(),
        clock,
    }
}

async fn start(modes: Vec<Mode>, change: impl FnOnce(&mut Options)) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(modes, dir.path());
    change(&mut options);
    let door = Arc::new(Memory::default());
    let submission = Submission::start(options, Arc::clone(&door)).await.unwrap();
    Server { submission, door, dir }
}

fn trusted() -> Mode {
    Mode::Trusted { sources: vec!["127.0.0.0/8".parse().unwrap()], credential: "ann".to_owned() }
}

/// A client that writes what it likes and reads whole replies.
struct Client<S> {
    stream: S,
    held: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// The next line; empty when the server closed.
    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.held.iter().position(|octet| *octet == b'\n') {
                return String::from_utf8(self.held.drain(..=end).collect()).unwrap();
            }
            if self.stream.read_buf(&mut self.held).await.unwrap_or(0) == 0 {
                return String::new();
            }
        }
    }

    /// The last line of the next reply.
    async fn reply(&mut self) -> String {
        loop {
            let line = self.line().await;
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    #[track_caller]
    fn wanted(line: &str, heard: &str, want: &str) {
        assert!(heard.starts_with(want), "after {line:?}: heard {heard:?}, wanted {want:?}");
    }

    /// Writes each line and checks how its reply begins.
    async fn check(&mut self, script: &[(&str, &str)]) {
        for (line, want) in script {
            self.write(&format!("{line}\r\n")).await;
            let heard = self.reply().await;
            Self::wanted(line, &heard, want);
        }
    }
}

impl Server {
    async fn connect(&self, listener: usize) -> Client<TcpStream> {
        let stream = TcpStream::connect(self.submission.addresses()[listener]).await.unwrap();
        Client { stream, held: Vec::new() }
    }

    async fn secure(
        &self,
        client: Client<TcpStream>,
    ) -> Client<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let pem = self.dir.path().join("self-signed.pem");
        roots.add(CertificateDer::from_pem_file(pem).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, client.stream).await;
        Client { stream: stream.unwrap(), held: Vec::new() }
    }
}

const MESSAGE: &[(&str, &str)] = &[
    ("MAIL FROM:<ann@example.org>", "250 2.1.0"),
    ("RCPT TO:<bob@example.net>", "250 2.1.5"),
    ("DATA", "354"),
    ("Subject: a\r\n\r\n..b\r\n.", "250 2.0.0 Ok 0"),
];

#[tokio::test]
async fn mail_comes_in_over_starttls_and_over_tls() {
    let server = start(vec![Mode::StartTls, Mode::Tls], |_| {}).await;
    let mut client = server.connect(0).await;
    assert_eq!(client.reply().await, "220 localhost ESMTP Postrider\r\n");
    client.check(&[("EHLO a", "250 "), ("AUTH PLAIN x", "538"), ("STARTTLS", "220 2.0.0")]).await;
    let mut secure = server.secure(client).await;
    // The session before TLS is forgotten, its EHLO as well.
    secure.check(&[("AUTH PLAIN AGFubgBzZWNyZXQ=", "503 5.5.1 Send EHLO")]).await;
    secure.check(&[("EHLO b", "250 "), ("AUTH PLAIN AGFubgBzZWNyZXQ=", "235")]).await;
    secure.check(MESSAGE).await;
    secure.check(MESSAGE).await;
    secure.check(&[("QUIT", "221")]).await;
    assert_eq!(secure.line().await, "");

    let mut secure = server.secure(server.connect(1).await).await;
    assert!(secure.reply().await.starts_with("220 "));
    secure.check(&[("EHLO c", "250 "), ("AUTH LOGIN YW5u", "334"), ("c2VjcmV0", "235")]).await;
    secure.check(MESSAGE).await;

    let accepted = server.door.accepted.lock();
    assert_eq!(accepted.len(), 3);
    let (sender, envelope, text) = &accepted[0];
    assert_eq!((sender.helo.as_str(), sender.protocol), ("b", "ESMTPSA"));
    assert!(sender.tls.as_deref().unwrap().starts_with("TLSv1.3 TLS13_"), "{:?}", sender.tls);
    assert_eq!(envelope.recipients.len(), 1);
    assert_eq!(text, b"Subject: a\r\n\r\n.b\r\n");
}

#[tokio::test]
async fn what_is_injected_behind_starttls_never_runs() {
    let server = start(vec![Mode::StartTls], |_| {}).await;
    let mut client = server.connect(0).await;
    client.reply().await;
    client.check(&[("EHLO a", "250 ")]).await;
    client.write("STARTTLS\r\nEHLO injected\r\n").await;
    assert!(client.reply().await.starts_with("554 5.5.0"));
    assert_eq!(client.line().await, "");
}

#[tokio::test]
async fn a_trusted_source_needs_neither_tls_nor_auth() {
    let stranger = Mode::Trusted {
        sources: vec!["192.0.2.0/24".parse().unwrap()],
        credential: "ann".to_owned(),
    };
    let unknown = Mode::Trusted {
        sources: vec!["127.0.0.1".parse().unwrap()],
        credential: "nobody".to_owned(),
    };
    let server = start(vec![trusted(), stranger, unknown], |_| {}).await;
    let mut client = server.connect(0).await;
    client.reply().await;
    client.check(&[("HELO a", "250 ")]).await;
    client.check(MESSAGE).await;
    assert_eq!(server.door.accepted.lock()[0].0.protocol, "SMTP");
    for listener in [1, 2] {
        let mut client = server.connect(listener).await;
        assert!(client.line().await.starts_with("554 5.7.1"));
        assert_eq!(client.line().await, "");
    }
}

#[tokio::test]
async fn past_a_cap_a_client_hears_421() {
    let server = start(vec![trusted(), Mode::Tls], |options| {
        options.caps.connections_per_address_max = 2;
        options.caps.connections_per_credential_max = 1;
    })
    .await;
    let mut one = server.connect(0).await;
    assert!(one.reply().await.starts_with("220"));
    let mut two = server.secure(server.connect(1).await).await;
    assert!(two.reply().await.starts_with("220"));
    two.check(&[("EHLO a", "250"), ("AUTH PLAIN AGFubgBzZWNyZXQ=", "421 4.7.0")]).await;
    assert_eq!(two.line().await, "");
    let mut three = server.connect(0).await;
    let heard = three.line().await;
    assert!(heard.starts_with("421 4.7.0 Too many concurrent SMTP connections"), "{heard:?}");
}

#[tokio::test]
async fn a_client_that_trickles_is_cut_off_with_421() {
    let short = Duration::from_millis(50);
    let server = start(vec![trusted()], |options| {
        options.deadlines.command = short;
        options.deadlines.message_grace = short;
    })
    .await;
    let mut client = server.connect(0).await;
    client.reply().await;
    client.check(&[("EHLO a", "250")]).await;
    client.write("NO").await;
    assert!(client.reply().await.starts_with("421 4.4.2"));
    assert_eq!(client.line().await, "");

    let mut client = server.connect(0).await;
    client.reply().await;
    client.check(&[("EHLO a", "250")]).await;
    client.check(&MESSAGE[..3]).await;
    client.write("Subject").await;
    assert!(client.reply().await.starts_with("421 4.4.2"));
    assert!(server.door.accepted.lock().is_empty());
}

#[tokio::test]
async fn draining_lets_a_transaction_end_and_tells_the_idle() {
    let server = start(vec![trusted()], |_| {}).await;
    let (mut idle, mut busy) = (server.connect(0).await, server.connect(0).await);
    for client in [&mut idle, &mut busy] {
        client.reply().await;
        client.check(&[("EHLO a", "250")]).await;
    }
    busy.check(&MESSAGE[..3]).await;
    let address = server.submission.addresses()[0];
    let (submission, door) = (server.submission, server.door);
    let drained = supervise::spawn("test", submission.drain(Duration::from_mins(1)));
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    assert_eq!(idle.line().await, "");
    busy.check(&MESSAGE[3..]).await;
    assert!(busy.reply().await.starts_with("421 4.3.2"));
    drained.await.unwrap().unwrap();
    assert_eq!(door.accepted.lock().len(), 1);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn draining_ends_what_does_not_end_by_itself() {
    let server = start(vec![trusted()], |_| {}).await;
    let mut busy = server.connect(0).await;
    busy.reply().await;
    busy.check(&[("EHLO a", "250")]).await;
    busy.check(&MESSAGE[..3]).await;
    server.submission.drain(Duration::from_millis(30)).await;
    assert_eq!(busy.line().await, "");
    assert!(server.door.accepted.lock().is_empty());
}

#[tokio::test]
async fn a_pipelined_batch_is_answered_in_order() {
    let server = start(vec![trusted()], |_| {}).await;
    let mut client = server.connect(0).await;
    client.reply().await;
    client
        .write("EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 12 LAST\r\na: b\r\n\r\nhi\r\nNOOP\r\nQUIT\r\n")
        .await;
    for want in ["250 E", "250 2.1.0", "250 2.1.5", "250 2.0.0 Ok 0", "250 2.0.0 Ok\r", "221", ""] {
        let heard = client.reply().await;
        assert!(heard.starts_with(want), "heard {heard:?}, wanted {want:?}");
    }
}

#[tokio::test]
async fn listeners_start_all_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut taken = options(vec![Mode::StartTls, Mode::StartTls], dir.path());
    let blocker = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    taken.listeners[0].address = free;
    taken.listeners[1].address = blocker.local_addr().unwrap();
    let door = Arc::new(Memory::default());
    let error = Submission::start(taken, Arc::clone(&door)).await.err().unwrap();
    assert!(error.to_string().contains("choose another address"), "{error}");
    assert!(TcpStream::connect(free).await.is_err());
    let mut bare = options(vec![Mode::Tls], dir.path());
    bare.tls = None;
    let error = Submission::start(bare, door).await.err().unwrap();
    assert!(matches!(error, StartError::NoCertificate(_)));
}

#[tokio::test]
async fn a_connection_costs_little_memory_beside_its_buffers() {
    let server = start(vec![trusted()], |_| {}).await;
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
    let caps = Caps::new(CapLimits::default());
    let client = IpAddr::from([127, 0, 0, 1]);
    let place = caps.enter(client).unwrap();
    let (_stop, stopped) = watch::channel(Stop::Running);
    let shared = Arc::new(Shared {
        door: Arc::clone(&server.door),
        profile: Arc::new(Profile {
            host: Domain::parse("localhost").unwrap(),
            limits: Limits::default(),
            clock: SystemClock::start(),
        }),
        tls: None,
        caps,
        deadlines: Deadlines::default(),
        clock: SystemClock::start(),
        counters: Arc::default(),
    });
    let task = Connection::new(shared, stream, client, place, stopped).serve(Entry::Plain);
    assert!(size_of_val(&task) < 6 << 10, "{} octets", size_of_val(&task));
}
