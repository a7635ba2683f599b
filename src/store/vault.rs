//! The instance key: what seals every secret at rest and gives each purpose its own HMAC key.
//!
//! The key lies in `keys/instance.key`, mode 0600, and is never printed, logged or handed out except to a backup that wraps
//! it. A vault never makes a new key in place of a missing one by itself: sealed secrets without their key are lost, and a
//! person must hear that.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE64;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{hkdf, hmac};

use crate::telemetry::Secret;

/// The file's name inside the key folder.
pub const KEY_FILE: &str = "instance.key";
/// Octets of the instance key.
pub const KEY_OCTETS: usize = 32;

/// What stands before the key in its file, so that a person knows what it is and a later format can differ.
const KEY_HEAD: &str = "postrider-instance-key-1:";
/// Longer than any key file of ours.
const KEY_FILE_OCTETS_MAX: u64 = 256;
/// First octet of a sealed value: its format.
const SEALED_VERSION: u8 = 1;

/// Seals, opens and derives with the instance key. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    key: Secret,
    sealing: LessSafeKey,
    root: hkdf::Prk,
}

/// Why a vault did not open, or did not open a value.
#[derive(Debug)]
pub enum VaultError {
    /// There is no key file.
    Missing(PathBuf),
    /// A key file stands there already.
    Exists(PathBuf),
    /// Others than its owner may read or write it.
    Exposed(PathBuf, u32),
    /// It holds no key.
    Damaged(PathBuf),
    /// It could not be read or written.
    Io(PathBuf, io::Error),
    /// The value was not sealed by this key for this purpose, or was changed since.
    Sealed,
    /// The machine gave no random octets.
    Chance,
}

impl Vault {
    /// Opens the key in `keys`; it must be there.
    pub fn open(keys: &Path) -> Result<Vault, VaultError> {
        let path = keys.join(KEY_FILE);
        let file = File::open(&path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                VaultError::Missing(path.clone())
            } else {
                VaultError::Io(path.clone(), error)
            }
        })?;
        let mut text = String::new();
        let io_error = |error| VaultError::Io(path.clone(), error);
        let mode = file.metadata().map_err(io_error)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(VaultError::Exposed(path, mode));
        }
        if file.take(KEY_FILE_OCTETS_MAX).read_to_string(&mut text).is_err() {
            return Err(VaultError::Damaged(path));
        }
        let octets = text
            .trim_end()
            .strip_prefix(KEY_HEAD)
            .and_then(|key| BASE64.decode(key.as_bytes()).ok())
            .and_then(|key| <[u8; KEY_OCTETS]>::try_from(key).ok())
            .ok_or(VaultError::Damaged(path))?;
        Vault::of_key(octets)
    }

    /// Makes a key by chance and puts it into `keys`, durably; for a data folder that holds no secret yet.
    pub fn create(keys: &Path) -> Result<Vault, VaultError> {
        Vault::install(keys, chance()?)
    }

    /// Puts a key that a backup brought into `keys`, durably.
    pub fn install(keys: &Path, key: [u8; KEY_OCTETS]) -> Result<Vault, VaultError> {
        let path = keys.join(KEY_FILE);
        if path.exists() {
            return Err(VaultError::Exists(path));
        }
        write_durably(keys, &path, &key).map_err(|error| VaultError::Io(path, error))?;
        Vault::of_key(key)
    }

    /// A vault over a key that lies in no file: for tests and for reading a backup.
    pub fn of_key(key: [u8; KEY_OCTETS]) -> Result<Vault, VaultError> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"postrider instance").extract(&key);
        let sealing = derive(&root, "seal");
        let sealing =
            UnboundKey::new(&CHACHA20_POLY1305, &sealing).map_err(|_| VaultError::Sealed)?;
        let sealing = LessSafeKey::new(sealing);
        Ok(Vault(Arc::new(Inner { key: Secret::new(key), sealing, root })))
    }

    /// The instance key itself, for a backup that wraps it.
    pub fn instance_key(&self) -> &Secret {
        &self.0.key
    }

    /// Seals `plain` so that only this key opens it, and only together with `context`: what it belongs to, such as
    /// `credential 7 secret`, so that a sealed value cannot be moved to another record.
    ///
    /// Nonces are chosen by chance, which is safe for 2³² values; a server seals some thousands in its life.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let nonce: [u8; NONCE_LEN] = chance()?;
        let mut sealed = plain.to_vec();
        let tag = self
            .0
            .sealing
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context),
                &mut sealed,
            )
            .map_err(|_| VaultError::Sealed)?;
        Ok([&[SEALED_VERSION], &nonce[..], &sealed, tag.as_ref()].concat())
    }

    /// Opens what [`Vault::seal`] sealed with the same `context`.
    pub fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Secret, VaultError> {
        let (version, rest) = sealed.split_first().ok_or(VaultError::Sealed)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(VaultError::Sealed)?;
        if *version != SEALED_VERSION {
            return Err(VaultError::Sealed);
        }
        let mut octets = rest.to_vec();
        let plain = self
            .0
            .sealing
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut octets)
            .map_err(|_| VaultError::Sealed)?;
        Ok(Secret::new(&*plain))
    }

    /// 32 octets that belong to `purpose` alone and are the same after every start.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        derive(&self.0.root, purpose)
    }

    /// The HMAC-SHA-256 key of `purpose`, such as `return path 1`.
    pub fn hmac_key(&self, purpose: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.derive(purpose))
    }
}

/// `N` random octets of the machine.
pub fn chance<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut octets = [0; N];
    SystemRandom::new().fill(&mut octets).map_err(|_| VaultError::Chance)?;
    Ok(octets)
}

fn derive(root: &hkdf::Prk, purpose: &str) -> [u8; 32] {
    let mut out = [0; 32];
    let info = [purpose.as_bytes()];
    // RFC 5869 §2.3: one block of SHA-256 is 32 octets, far below the limit of 255, so neither step can fail.
    if let Ok(okm) = root.expand(&info, hkdf::HKDF_SHA256) {
        let _filled = okm.fill(&mut out);
    }
    out
}

/// A file of its own first, then the name: a crash leaves a whole key or none.
fn write_durably(keys: &Path, path: &Path, key: &[u8]) -> io::Result<()> {
    fs::create_dir_all(keys)?;
    fs::set_permissions(keys, fs::Permissions::from_mode(0o700))?;
    let draft = keys.join(format!("{KEY_FILE}.new"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    writeln!(file, "{KEY_HEAD}{}", BASE64.encode(key))?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(keys)?.sync_all()
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}

impl fmt::Display for VaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VaultError::Missing(path) => write!(
                f,
                "the instance key {} is missing: without it no secret of this data folder can be read; restore it from a backup",
                path.display()
            ),
            VaultError::Exists(path) => {
                write!(f, "an instance key stands at {} already: move it away first", path.display())
            }
            VaultError::Exposed(path, mode) => write!(
                f,
                "the instance key {} has mode {mode:04o}, so others may read it: chmod 600 it",
                path.display()
            ),
            VaultError::Damaged(path) => {
                write!(f, "{} holds no instance key: restore it from a backup", path.display())
            }
            VaultError::Io(path, error) => write!(f, "the instance key {}: {error}", path.display()),
            VaultError::Sealed => f.write_str(
                "a sealed value does not open with this instance key: is it the key of this data folder?",
            ),
            VaultError::Chance => f.write_str("the machine gives no random octets"),
        }
    }
}

impl std::error::Error for VaultError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vault(octet: u8) -> Vault {
        Vault::of_key([octet; KEY_OCTETS]).unwrap()
    }

    proptest! {
        #[test]
        fn a_sealed_value_opens_with_its_key_and_context_alone(plain: Vec<u8>, context: Vec<u8>, flip: usize) {
            let mut sealed = vault(1).seal(&context, &plain).unwrap();
            prop_assert!(vault(1).unseal(&context, &sealed).unwrap().matches(&plain));
            prop_assert!(vault(2).unseal(&context, &sealed).is_err());
            prop_assert!(vault(1).unseal(&[&context[..], b"x"].concat(), &sealed).is_err());
            let at = flip % sealed.len();
            sealed[at] ^= 1;
            prop_assert!(vault(1).unseal(&context, &sealed).is_err());
        }

        #[test]
        fn no_octets_make_the_vault_panic(octets: Vec<u8>) {
            prop_assert!(vault(1).unseal(b"", &octets).is_err());
        }
    }

    #[test]
    fn each_purpose_has_its_own_key_and_keeps_it() {
        assert_eq!(vault(1).derive("return path 1"), vault(1).derive("return path 1"));
        assert_ne!(vault(1).derive("return path 1"), vault(1).derive("return path 2"));
        assert_ne!(vault(1).derive("return path 1"), vault(2).derive("return path 1"));
    }

    #[test]
    fn a_key_made_once_is_found_again_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        assert!(matches!(Vault::open(&keys), Err(VaultError::Missing(_))));
        let made = Vault::create(&keys).unwrap();
        let sealed = made.seal(b"a", b"b").unwrap();
        assert!(Vault::open(&keys).unwrap().unseal(b"a", &sealed).unwrap().matches(b"b"));
        assert!(matches!(Vault::create(&keys), Err(VaultError::Exists(_))));
        assert_eq!(fs::metadata(keys.join(KEY_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Vault::create(dir.path()).unwrap();
        let path = dir.path().join(KEY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Vault::open(dir.path()), Err(VaultError::Exposed(_, 0o640))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for text in [&b""[..], b"postrider-instance-key-1:AAAA", b"\xff\xfe", b"key"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(Vault::open(dir.path()), Err(VaultError::Damaged(_))), "{text:?}");
        }
    }

    #[test]
    fn a_vault_cannot_be_printed() {
        assert_eq!(format!("{:?}", vault(65)), "Vault(..)");
    }
}
