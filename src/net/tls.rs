//! The TLS that our listeners speak: a certificate from files, or a self-signed one made at the first start.
//!
//! TLS 1.2 and 1.3 alone, with the suites of rustls. Never writes a key that others can read.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::clock::Clock;
use crate::mail::Domain;

/// Where a certificate chain and its key lie, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug)]
pub enum TlsError {
    /// A file could not be read or written.
    Io(PathBuf, io::Error),
    /// A file holds no PEM of the kind that must be there.
    Pem(PathBuf),
    /// Certificate and key do not fit together, or are of a kind we cannot use.
    Unusable(PathBuf, rustls::Error),
    /// The self-signed certificate could not be made.
    SelfSigned(String),
}

/// How long a self-signed certificate lasts; nobody checks it, but clients dislike one without an end.
const SELF_SIGNED_YEARS: i32 = 10;

/// A certificate that can be read again from its files while connections go on.
#[derive(Debug)]
pub struct Certificate {
    pair: KeyPair,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads certificate and key. Blocks.
    pub fn read(pair: KeyPair) -> Result<Arc<Certificate>, TlsError> {
        let current = RwLock::new(Arc::new(certified(&pair)?));
        Ok(Arc::new(Certificate { pair, current }))
    }

    /// Reads them again; new handshakes get the new certificate. On an error the old one stays. Blocks.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(certified(&self.pair)?);
        *self.current.write() = fresh;
        Ok(())
    }

    /// The server's side of TLS with this certificate, whichever it is at the handshake.
    pub fn server_config(self: &Arc<Certificate>) -> Result<Arc<ServerConfig>, TlsError> {
        // The provider is named, so that no other crate's choice can make this fail.
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Unusable(self.pair.cert.clone(), error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Certificate>::clone(self));
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

/// The server's side of TLS with the certificate that the files hold now.
pub fn server_config(pair: &KeyPair) -> Result<Arc<ServerConfig>, TlsError> {
    Certificate::read(pair.clone())?.server_config()
}

fn certified(pair: &KeyPair) -> Result<CertifiedKey, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(&pair.cert)
        .and_then(Iterator::collect)
        .map_err(|error| of_pem(&pair.cert, error))?;
    if chain.is_empty() {
        return Err(TlsError::Pem(pair.cert.clone()));
    }
    let key = PrivateKeyDer::from_pem_file(&pair.key).map_err(|error| of_pem(&pair.key, error))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| TlsError::Unusable(pair.cert.clone(), error))
}

/// The self-signed pair in `dir`, made for `host` if it is not there yet: folder 0700, files 0600.
pub fn self_signed(dir: &Path, host: &Domain, clock: &dyn Clock) -> Result<KeyPair, TlsError> {
    let pair = KeyPair { cert: dir.join("self-signed.pem"), key: dir.join("self-signed.key") };
    if pair.cert.exists() && pair.key.exists() {
        return Ok(pair);
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| TlsError::Io(dir.to_owned(), error))?;
    let (cert, key) = make(host, clock).map_err(|error| TlsError::SelfSigned(error.to_string()))?;
    // The key first: a pair that was cut off half-way is made anew.
    write_private(&pair.key, &key)?;
    write_private(&pair.cert, &cert)?;
    Ok(pair)
}

/// Certificate and key in PEM.
fn make(host: &Domain, clock: &dyn Clock) -> Result<(String, String), rcgen::Error> {
    let names = vec![host.to_string(), "localhost".to_owned()];
    let mut params = rcgen::CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, host.as_str());
    let now = jiff::Timestamp::from_millisecond(i64::try_from(clock.now_ms()).unwrap_or(i64::MAX))
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let year = i32::from(now.to_zoned(jiff::tz::TimeZone::UTC).year());
    params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + SELF_SIGNED_YEARS, 1, 1);
    let key = rcgen::KeyPair::generate()?;
    let cert = params.self_signed(&key)?;
    Ok((cert.pem(), key.serialize_pem()))
}

/// Replaces a file by one that only its owner may read; at no moment does the name hold a part of it.
fn write_private(path: &Path, text: &str) -> Result<(), TlsError> {
    let part = path.with_extension("part");
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|error| TlsError::Io(path.to_owned(), error))
}

fn of_pem(path: &Path, error: rustls_pki_types::pem::Error) -> TlsError {
    if let rustls_pki_types::pem::Error::Io(error) = error {
        TlsError::Io(path.to_owned(), error)
    } else {
        TlsError::Pem(path.to_owned())
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Io(path, error) => {
                write!(f, "cannot use {}: {error}, check its path and permissions", path.display())
            }
            TlsError::Pem(path) => {
                write!(f, "{} holds no certificate or key in PEM, convert it", path.display())
            }
            TlsError::Unusable(path, error) => write!(
                f,
                "certificate {} and its key cannot be used: {error}, check that they belong together",
                path.display()
            ),
            TlsError::SelfSigned(error) => {
                write!(f, "cannot make a self-signed certificate: {error}, name one in [tls]")
            }
        }
    }
}

impl std::error::Error for TlsError {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::clock::ManualClock;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_self_signed_pair_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let (tls, host) = (dir.path().join("tls"), Domain::parse("mail.example.net").unwrap());
        let clock = ManualClock::at(1_700_000_000_000);
        let pair = self_signed(&tls, &host, &*clock).unwrap();
        server_config(&pair).unwrap();
        assert_eq!((mode(&tls), mode(&pair.cert), mode(&pair.key)), (0o700, 0o600, 0o600));
        let before = fs::read(&pair.cert).unwrap();
        assert_eq!(self_signed(&tls, &host, &*clock).unwrap(), pair);
        assert_eq!(fs::read(&pair.cert).unwrap(), before);
    }

    #[test]
    fn what_is_no_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let pair = KeyPair { cert: dir.path().join("c"), key: dir.path().join("k") };
        assert!(matches!(server_config(&pair), Err(TlsError::Io(path, _)) if path == pair.cert));
        fs::write(&pair.cert, "hello").unwrap();
        assert!(matches!(server_config(&pair), Err(TlsError::Pem(path)) if path == pair.cert));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let host = Domain::parse("mail.example.net").unwrap();
        let clock = ManualClock::at(1_700_000_000_000);
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let one = self_signed(one.path(), &host, &*clock).map(|p| (p, one)).unwrap();
        let two = self_signed(two.path(), &host, &*clock).map(|p| (p, two)).unwrap();
        let mixed = KeyPair { cert: one.0.cert.clone(), key: two.0.key.clone() };
        assert!(matches!(server_config(&mixed), Err(TlsError::Unusable(..))));
    }
}
