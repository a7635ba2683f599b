//! The instance key, wrapped for a backup: Argon2id over a passphrase or a key file, then the vault's own sealing.

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::super::{Exit, Failure};
use crate::store::vault::{self, KEY_OCTETS, Vault};
use crate::telemetry;

/// Fewer characters than this are guessed.
const PASSPHRASE_CHARS_MIN: usize = 12;
/// Octets of a key file.
const KEY_FILE_OCTETS: std::ops::RangeInclusive<usize> = 32..=4096;
/// What Argon2id costs: 64 MiB, three passes, as RFC 9106 §4 recommends where memory is scarce.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// More than this in a file's head is an attack on who reads it.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 16;
const SALT_OCTETS: usize = 16;
const CONTEXT: &[u8] = b"backup";

/// What a backup is opened with.
pub(super) struct Secret(telemetry::Secret);

/// The wrapped key as the file's head holds it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Wrapped {
    kdf: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    sealed: String,
}

impl Secret {
    pub(super) fn of_passphrase(text: &str) -> Result<Secret, Failure> {
        if text.chars().count() < PASSPHRASE_CHARS_MIN {
            let text = format!(
                "the passphrase is too short: take at least {PASSPHRASE_CHARS_MIN} characters"
            );
            return Err(Failure::usage(text));
        }
        Ok(Secret(telemetry::Secret::new(text.as_bytes())))
    }

    pub(super) fn of_passphrase_file(path: &Path) -> Result<Secret, Failure> {
        let text = read(path)?;
        let text = String::from_utf8_lossy(&text);
        Secret::of_passphrase(text.lines().next().unwrap_or_default())
    }

    pub(super) fn of_key_file(path: &Path) -> Result<Secret, Failure> {
        let octets = read(path)?;
        if !KEY_FILE_OCTETS.contains(&octets.len()) {
            let text = format!(
                "{} has {} octets; make one with: head -c 32 /dev/urandom > FILE",
                path.display(),
                octets.len()
            );
            return Err(Failure::usage(text));
        }
        Ok(Secret(telemetry::Secret::new(octets)))
    }

    fn stretched(&self, salt: &[u8], params: Params) -> Result<Vault, Failure> {
        let mut key = [0; KEY_OCTETS];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(self.0.reveal(), salt, &mut key)
            .map_err(|error| Failure::new(Exit::Internal, format!("Argon2id: {error}")))?;
        Vault::of_key(key).map_err(|error| Failure::new(Exit::Internal, error.to_string()))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::new(Exit::NotFound, format!("{}: {error}", path.display())))
}

impl Wrapped {
    /// Wraps the instance key.
    pub(super) fn wrap(secret: &Secret, instance: &Vault) -> Result<Wrapped, Failure> {
        let fault = |error: vault::VaultError| Failure::new(Exit::Internal, error.to_string());
        let salt = vault::chance::<SALT_OCTETS>().map_err(fault)?;
        let wrapper = secret.stretched(&salt, params(MEMORY_KIB, PASSES, LANES)?)?;
        let sealed = wrapper.seal(CONTEXT, instance.instance_key().reveal()).map_err(fault)?;
        Ok(Wrapped {
            kdf: "argon2id".into(),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: BASE64.encode(&salt),
            sealed: BASE64.encode(&sealed),
        })
    }

    /// The instance key; a wrong passphrase is told.
    pub(super) fn unwrap(&self, secret: &Secret) -> Result<[u8; KEY_OCTETS], Failure> {
        let damaged = || Failure::new(Exit::Io, "the backup's head is damaged");
        let bounded = self.kdf == "argon2id"
            && self.memory_kib <= MEMORY_KIB_MAX
            && self.passes <= PASSES_MAX
            && self.lanes <= PASSES_MAX;
        let octets = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| damaged());
        if !bounded {
            return Err(damaged());
        }
        let salt = octets(&self.salt)?;
        let wrapper = secret.stretched(&salt, params(self.memory_kib, self.passes, self.lanes)?)?;
        let key = wrapper.unseal(CONTEXT, &octets(&self.sealed)?).map_err(|_| {
            Failure::new(Exit::Denied, "the passphrase or key file does not open this backup")
        })?;
        key.reveal().try_into().map_err(|_| damaged())
    }
}

fn params(memory_kib: u32, passes: u32, lanes: u32) -> Result<Params, Failure> {
    Params::new(memory_kib, passes, lanes, Some(KEY_OCTETS))
        .map_err(|error| Failure::new(Exit::Io, format!("the backup's head is damaged: {error}")))
}
