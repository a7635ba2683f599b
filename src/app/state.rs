//! Everything that remembers, opened: the store, its secrets, and what reads them.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use super::{AppError, Hands, options};
use crate::access::Access;
use crate::config::Config;
use crate::egress::Pools;
use crate::events::Events;
use crate::identity::Identities;
use crate::net::tls::{self, Certificate, KeyPair};
use crate::store::vault::{Vault, VaultError};
use crate::store::{Opened, Store};
use crate::suppression::Suppression;
use crate::{supervise, token};

/// The number of the one key that signs return paths; a second one comes with key rotation.
const RETURN_PATH_KEY: u16 = 1;
const NO_KEY: &str = "return paths have no key";

/// Everything that remembers: floor 2.
#[derive(Clone)]
pub(super) struct State {
    pub(super) store: Store,
    pub(super) events: Events,
    pub(super) access: Arc<Access>,
    pub(super) identities: Arc<Identities>,
    pub(super) certificate: Arc<Certificate>,
    pub(super) suppression: Suppression,
    pub(super) return_paths: token::Keys,
    pub(super) pools: Pools,
}

/// Opens everything, away from the reactor.
pub(super) async fn open(config: Arc<Config>, hands: Hands) -> Result<State, AppError> {
    let opening = supervise::blocking("open", move || {
        make_data_dir(&config.data_dir)?;
        let options = options::store(&config);
        let (store, opened) =
            Store::open(options, Arc::clone(&hands.clock), Arc::clone(&hands.disk))?;
        tell(&opened);
        let vault = open_vault(&store, &config.data_dir.join("keys"))?;
        let events = Events::open(&store, Arc::clone(&hands.clock), options::events(&config))
            .map_err(|error| AppError::file(&config.data_dir.join("events"), error))?;
        let access = Access::open(store.clone(), vault.clone(), Arc::clone(&hands.clock))
            .map_err(|error| AppError::Settings(error.to_string()))?;
        let keys = [(RETURN_PATH_KEY, vault.derive("return path"))];
        let return_paths =
            token::Keys::new(&keys).map_err(|_| AppError::Settings(NO_KEY.to_owned()))?;
        let bounce = options::bounce_domain(&config);
        let identities = Identities::open(store.clone(), vault, Arc::clone(&hands.clock), bounce)
            .map_err(|error| AppError::Settings(error.to_string()))?;
        Ok(State {
            events,
            access: Arc::new(access),
            identities: Arc::new(identities),
            certificate: certificate(&config, &hands)?,
            suppression: Suppression::open(store.clone())?,
            return_paths,
            pools: Pools::one(&config.egress_addresses, &config.hostname),
            store,
        })
    });
    opening.await.unwrap_or(Err(AppError::Panicked))
}

/// The data folder, for its owner's eyes alone.
fn make_data_dir(dir: &Path) -> Result<(), AppError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| AppError::file(dir, error))
}

/// The instance key; made at the first start, never in place of one that is missing beside settings it sealed.
fn open_vault(store: &Store, keys: &Path) -> Result<Vault, AppError> {
    match Vault::open(keys) {
        Err(VaultError::Missing(_)) if store.scan(b"c", None, 1)?.is_empty() => {
            make_data_dir(keys)?;
            Ok(Vault::create(keys)?)
        }
        other => Ok(other?),
    }
}

/// The configured certificate, or the self-signed one of this data folder.
fn certificate(config: &Config, hands: &Hands) -> Result<Arc<Certificate>, AppError> {
    let pair = match &config.tls {
        Some(files) => KeyPair { cert: files.cert.clone(), key: files.key.clone() },
        None => tls::self_signed(&config.data_dir.join("tls"), &config.hostname, &*hands.clock)?,
    };
    Ok(Certificate::read(pair)?)
}

/// What opening found, once, for the log.
fn tell(opened: &Opened) {
    if opened.fresh {
        tracing::info!("made a new data folder");
    }
    if opened.replayed > 0 || opened.torn_bytes > 0 {
        tracing::info!(
            store.replayed = opened.replayed,
            store.torn_bytes = opened.torn_bytes,
            "replayed {} commits of the log",
            opened.replayed
        );
    }
    for line in &opened.repaired {
        tracing::warn!("repaired: {line}");
    }
    for line in &opened.damaged {
        tracing::error!("damaged: {line}");
    }
}
