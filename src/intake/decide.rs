//! What is decided once the header block is there: whose mail it is, which configuration set, which pool, which tags. Reads
//! settings from memory, does no I/O.

use std::sync::Arc;

use crate::access::Credential;
use crate::egress::Pools;
use crate::identity::{ConfigSet, Identities, Identity};
use crate::mail::{Envelope, Mailbox, ReversePath};
use crate::message::dkim::DkimKey;
use crate::message::inspect::TAGS_MAX;
use crate::message::{Asks, Block, Inspected, inspect};

use super::refusal::Refusal;

/// A message that may enter.
#[derive(Debug, Clone)]
pub(super) struct Decision {
    /// What its header block says.
    pub(super) inspected: Inspected,
    /// The identity of its first author, whose name events carry.
    pub(super) identity: Arc<Identity>,
    /// The keys that sign for it, RSA first; none where its domain is no identity.
    pub(super) keys: Vec<Arc<DkimKey>>,
    /// Its configuration set.
    pub(super) set: Option<Arc<ConfigSet>>,
    /// The number of its pool.
    pub(super) pool: u16,
    /// Its tags and those that the set adds.
    pub(super) tags: Vec<(String, String)>,
}

/// Where settings are looked up.
pub(super) struct Settings<'a> {
    pub(super) identities: &'a Identities,
    pub(super) pools: &'a Pools,
}

impl Settings<'_> {
    /// The identity of an address that `credential` may use.
    pub(super) fn identity(
        &self,
        credential: &Credential,
        place: &'static str,
        address: &Mailbox,
    ) -> Result<Arc<Identity>, Refusal> {
        let refused = || Refusal::Identity { place, address: address.clone() };
        if !credential.scope.allows(address) {
            return Err(refused());
        }
        let identity = self.identities.for_address(address).ok_or_else(refused)?;
        if identity.tenant == credential.tenant { Ok(identity) } else { Err(refused()) }
    }

    /// Whether `credential` may use this reverse path.
    pub(super) fn reverse_path(
        &self,
        credential: &Credential,
        from: &ReversePath,
    ) -> Result<(), Refusal> {
        match from.mailbox() {
            Some(address) => self.identity(credential, "MAIL FROM", address).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Decides about a header block.
    pub(super) fn decide(
        &self,
        credential: &Credential,
        envelope: &Envelope,
        head: &[u8],
    ) -> Result<Decision, Refusal> {
        let block = Block::parse(head).map_err(|error| Refusal::Head(error.into()))?;
        let inspected = inspect(&block, envelope.utf8)?;
        let mut authors = inspected.header_from.iter();
        // `inspect` refuses a From of nobody, so there is a first author.
        let first = authors.next().ok_or(Refusal::Head(crate::message::HeadError::FromEmpty))?;
        let identity = self.identity(credential, "From", first)?;
        for address in authors {
            self.identity(credential, "From", address)?;
        }
        if let Some(address) = &inspected.sender {
            self.identity(credential, "Sender", address)?;
        }
        let set = self.set(credential, &inspected.asks)?;
        let pool = self.pool(set.as_deref())?;
        let tags = tags(&inspected.asks, set.as_deref())?;
        let keys = self.keys(&identity)?;
        Ok(Decision { inspected, identity, keys, set, pool, tags })
    }

    fn set(&self, credential: &Credential, asks: &Asks) -> Result<Option<Arc<ConfigSet>>, Refusal> {
        let Some(name) = &asks.configuration_set else { return Ok(None) };
        let set = self.identities.config_set(name).filter(|set| set.tenant == credential.tenant);
        let set = set.ok_or_else(|| Refusal::UnknownSet(name.clone()))?;
        if !set.options.sending {
            return Err(Refusal::SetOff(name.clone()));
        }
        Ok(Some(set))
    }

    fn pool(&self, set: Option<&ConfigSet>) -> Result<u16, Refusal> {
        let Some(set) = set else { return Ok(Pools::DEFAULT) };
        let pool = self.pools.get(set.options.pool);
        pool.map(|pool| pool.number).ok_or_else(|| Refusal::UnknownPool(set.name.clone()))
    }

    fn keys(&self, identity: &Identity) -> Result<Vec<Arc<DkimKey>>, Refusal> {
        self.identities.signing_keys(identity).map_err(|error| {
            tracing::error!(identity.name = %identity.name, "the keys of an identity do not open: {error}");
            Refusal::SigningFailed
        })
    }
}

/// The message's tags, then the set's for names that the message does not give.
fn tags(asks: &Asks, set: Option<&ConfigSet>) -> Result<Vec<(String, String)>, Refusal> {
    let mut tags = asks.tags.clone();
    let defaults = set.map_or(&[][..], |set| &set.options.tags);
    tags.extend(
        defaults.iter().filter(|(n, _)| asks.tags.iter().all(|(own, _)| own != n)).cloned(),
    );
    if tags.len() > TAGS_MAX {
        return Err(Refusal::Tags { tags_max: TAGS_MAX });
    }
    Ok(tags)
}
