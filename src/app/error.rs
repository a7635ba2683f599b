//! Why the server did not start, or ended, and with which exit code.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::cli::{Exit, Failure};
use crate::config::check::refused_port;
use crate::net::tls::TlsError;
use crate::store::vault::VaultError;
use crate::store::{OpenError, StoreFailed};
use crate::submission::StartError;

/// Why the server did not start, or had to end.
#[derive(Debug)]
pub enum AppError {
    /// The data folder did not open.
    Open(OpenError),
    /// The instance key did not open.
    Vault(VaultError),
    /// The certificate cannot be used.
    Tls(TlsError),
    /// The store failed.
    Store(StoreFailed),
    /// A file or folder.
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A port.
    Port {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The SMTP listeners.
    Listen(StartError),
    /// Settings in the store that cannot be read.
    Settings(String),
    /// Something of the machine is missing, such as signals or name servers.
    Machine(String),
    /// A fault of ours; the log has it.
    Panicked,
}

impl AppError {
    pub(super) fn file(path: &Path, error: io::Error) -> AppError {
        AppError::File { path: path.to_owned(), error }
    }

    /// What the process ends with.
    pub fn exit(&self) -> Exit {
        match self {
            AppError::Open(OpenError::InUse { .. }) => Exit::Temporary,
            AppError::Open(OpenError::Options(_) | OpenError::Format(_))
            | AppError::Vault(_)
            | AppError::Tls(_)
            | AppError::Port { .. }
            | AppError::Listen(_) => Exit::Config,
            AppError::Open(OpenError::Io { error, .. }) | AppError::File { error, .. } => {
                if error.kind() == io::ErrorKind::PermissionDenied {
                    Exit::Denied
                } else {
                    Exit::Io
                }
            }
            AppError::Open(OpenError::Index(_)) | AppError::Store(_) => Exit::Io,
            AppError::Settings(_) | AppError::Machine(_) | AppError::Panicked => Exit::Internal,
        }
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppError::Open(error) => error.fmt(f),
            AppError::Vault(error) => error.fmt(f),
            AppError::Tls(error) => error.fmt(f),
            AppError::Store(error) => error.fmt(f),
            AppError::File { path, error } => {
                write!(f, "{}: {error}; check the path and its permissions", path.display())
            }
            AppError::Port { address, error } => f.write_str(&refused_port(*address, error)),
            AppError::Listen(StartError::Bind(address, error)) => {
                f.write_str(&refused_port(*address, error))
            }
            AppError::Listen(error) => error.fmt(f),
            AppError::Settings(text) | AppError::Machine(text) => f.write_str(text),
            AppError::Panicked => f.write_str("a part failed while it started; the log says which"),
        }
    }
}

impl std::error::Error for AppError {}

impl From<OpenError> for AppError {
    fn from(error: OpenError) -> AppError {
        AppError::Open(error)
    }
}

impl From<VaultError> for AppError {
    fn from(error: VaultError) -> AppError {
        AppError::Vault(error)
    }
}

impl From<TlsError> for AppError {
    fn from(error: TlsError) -> AppError {
        AppError::Tls(error)
    }
}

impl From<StoreFailed> for AppError {
    fn from(error: StoreFailed) -> AppError {
        AppError::Store(error)
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Failure {
        Failure::new(error.exit(), error.to_string())
    }
}
