//! What submission asks of the parts below it, so that it can be tested without them: who a client is, and what becomes of
//! its mail.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use crate::access::{Access, Credential};
use crate::intake::{Intake, Receiving, Sender};
use crate::mail::{Envelope, Mailbox, MessageId, Reply, ReversePath};
use crate::smtp::sasl::Login;

/// The way in for mail; every refusal is the reply that the client hears.
pub trait Door: Send + Sync + 'static {
    /// A message on its way in. Dropping it forgets the message.
    type Receiving: Send;

    /// Who logs in with this.
    fn authenticate(&self, login: &Login, client: IpAddr) -> Result<Arc<Credential>, Reply>;

    /// The credential of a trusted listener.
    fn trusted(&self, name: &str, client: IpAddr) -> Result<Arc<Credential>, Reply>;

    /// At MAIL.
    fn mail(&self, sender: &Sender, from: &ReversePath, size: Option<u64>) -> Result<(), Reply>;

    /// At RCPT, with the envelope so far; a mailbox comes once.
    fn recipient(&self, sender: &Sender, envelope: &Envelope, to: &Mailbox) -> Result<(), Reply>;

    /// Before the message: makes a place for it. Cancellation-safe.
    fn begin(
        &self,
        sender: &Arc<Sender>,
        envelope: Envelope,
        size: Option<u64>,
    ) -> impl Future<Output = Result<Self::Receiving, Reply>> + Send;

    /// Octets of the message.
    fn push(
        &self,
        receiving: &mut Self::Receiving,
        octets: &[u8],
    ) -> impl Future<Output = ()> + Send;

    /// After the message: `Ok` only when the disk has it.
    fn accept(
        &self,
        receiving: Self::Receiving,
    ) -> impl Future<Output = Result<MessageId, Reply>> + Send;
}

/// The real door: access and intake.
#[derive(Debug, Clone)]
pub struct MailDoor {
    /// Who clients are.
    pub access: Arc<Access>,
    /// What becomes of their mail.
    pub intake: Arc<Intake>,
}

impl Door for MailDoor {
    type Receiving = Receiving;

    fn authenticate(&self, login: &Login, client: IpAddr) -> Result<Arc<Credential>, Reply> {
        self.access
            .authenticate(&login.user, login.password.reveal(), client)
            .map_err(|denied| denied.reply())
    }

    fn trusted(&self, name: &str, client: IpAddr) -> Result<Arc<Credential>, Reply> {
        self.access.trusted(name, client).map_err(|denied| denied.reply())
    }

    fn mail(&self, sender: &Sender, from: &ReversePath, size: Option<u64>) -> Result<(), Reply> {
        self.intake.mail(sender, from, size).map_err(|refusal| refusal.reply())
    }

    fn recipient(&self, sender: &Sender, envelope: &Envelope, to: &Mailbox) -> Result<(), Reply> {
        self.intake.recipient(sender, envelope, to).map_err(|refusal| refusal.reply())
    }

    async fn begin(
        &self,
        sender: &Arc<Sender>,
        envelope: Envelope,
        size: Option<u64>,
    ) -> Result<Receiving, Reply> {
        self.intake.begin(sender, envelope, size).await.map_err(|refusal| refusal.reply())
    }

    async fn push(&self, receiving: &mut Receiving, octets: &[u8]) {
        receiving.push(octets).await;
    }

    async fn accept(&self, receiving: Receiving) -> Result<MessageId, Reply> {
        self.intake.accept(receiving).await.map_err(|refusal| refusal.reply())
    }
}
