//! The submission listeners alone, with a door that keeps what it takes: for what clients hear, without a store.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use postrider::access::{Credential, Scope};
use postrider::clock::SystemClock;
use postrider::intake::Sender;
use postrider::mail::{Domain, EnhancedStatus, Envelope, Mailbox, MessageId, Reply, ReversePath};
use postrider::net::tls;
use postrider::smtp::{Limits, sasl::Login};
use postrider::submission::{
    CapLimits, Deadlines, Door, ListenerOptions, Mode, Options, Submission,
};

/// A message that got its 250.
pub struct Taken {
    pub envelope: Envelope,
    pub text: Vec<u8>,
}

#[derive(Default)]
struct Memory(Mutex<Vec<Taken>>);

/// Running listeners; user `ann`, password `secret`.
pub struct Listener {
    pub trusted: u16,
    pub submission: u16,
    pub tls: u16,
    door: Arc<Memory>,
    _submission: Submission,
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Listener {
    pub fn start(limits: Limits) -> Listener {
        let folder = tempfile::tempdir().unwrap();
        let (host, clock) = (Domain::parse("localhost").unwrap(), SystemClock::start());
        let pair = tls::self_signed(folder.path(), &host, &*clock).unwrap();
        let sources = vec!["127.0.0.0/8".parse().unwrap()];
        let trusted = Mode::Trusted { sources, credential: "ann".into() };
        let listeners = [trusted, Mode::StartTls, Mode::Tls]
            .map(|mode| ListenerOptions { address: ([127, 0, 0, 1], 0).into(), mode });
        let options = Options {
            host,
            listeners: listeners.into(),
            tls: Some(tls::server_config(&pair).unwrap()),
            limits,
            caps: CapLimits::default(),
            deadlines: Deadlines::default(),
            clock,
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let door = Arc::new(Memory::default());
        let submission = runtime.block_on(Submission::start(options, Arc::clone(&door))).unwrap();
        let [trusted, submission_port, tls] =
            [0, 1, 2].map(|number| submission.addresses()[number].port());
        Listener {
            trusted,
            submission: submission_port,
            tls,
            door,
            _submission: submission,
            _runtime: runtime,
            _folder: folder,
        }
    }

    /// What was taken since the last call.
    pub fn taken(&self) -> Vec<Taken> {
        std::mem::take(&mut self.door.0.lock().unwrap())
    }
}

fn ann() -> Arc<Credential> {
    Arc::new(Credential {
        number: 1,
        name: "ann".into(),
        tenant: 0,
        user: "ann".into(),
        scope: Scope::All,
        sources: Vec::new(),
        rate_per_second: None,
        recipients_per_day: None,
        enabled: true,
        created_ms: 0,
        unknown: Vec::new(),
    })
}

impl Door for Memory {
    type Receiving = Taken;

    fn authenticate(&self, login: &Login, _: IpAddr) -> Result<Arc<Credential>, Reply> {
        if login.user == "ann" && login.password.matches(b"secret") {
            return Ok(ann());
        }
        let enhanced = Some(EnhancedStatus::new(5, 7, 8));
        Err(Reply { code: 535, enhanced, text: "Authentication Credentials Invalid".into() })
    }

    fn trusted(&self, _: &str, _: IpAddr) -> Result<Arc<Credential>, Reply> {
        Ok(ann())
    }

    fn mail(&self, _: &Sender, _: &ReversePath, _: Option<u64>) -> Result<(), Reply> {
        Ok(())
    }

    fn recipient(&self, _: &Sender, _: &Envelope, _: &Mailbox) -> Result<(), Reply> {
        Ok(())
    }

    async fn begin(
        &self,
        _: &Arc<Sender>,
        envelope: Envelope,
        _: Option<u64>,
    ) -> Result<Taken, Reply> {
        Ok(Taken { envelope, text: Vec::new() })
    }

    async fn push(&self, taken: &mut Taken, octets: &[u8]) {
        taken.text.extend_from_slice(octets);
    }

    async fn accept(&self, taken: Taken) -> Result<MessageId, Reply> {
        self.0.lock().unwrap().push(taken);
        Ok(MessageId::new(0, 0, 1))
    }
}
