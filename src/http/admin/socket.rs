//! The control socket: who may speak to the admin API.
//!
//! The file is 0600, and the kernel says of every connection which user is behind it: root and the server's own user
//! enter, everyone else is cut off without an answer. There is no password to lose.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use crate::supervise;

use super::super::connection;

/// Connections at once: commands of operators, a few of which follow events.
const CONNECTIONS_MAX: usize = 64;
/// How long the listener rests after accept failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Octets of a path in `sockaddr_un`, with its final NUL.
const PATH_OCTETS_MAX: usize = 108;

/// Binds the socket, in place of one that an earlier process left. The caller holds the data folder's lock.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if path.as_os_str().len() >= PATH_OCTETS_MAX {
        let why = format!(
            "{}: a socket's path has at most {} octets: use a data folder with a shorter path",
            path.display(),
            PATH_OCTETS_MAX - 1
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // Between these two lines the folder's 0700 and the check of the peer stand guard.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves `router` to those who may enter, until `stop` turns true.
pub(super) async fn serve(listener: UnixListener, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = connection::stopped(&mut stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if !is_welcome(&stream) {
            continue;
        }
        let (router, stop) = (router.clone(), stop.clone());
        let serving = async move {
            connection::serve(stream, router, stop).await;
            drop(place);
        };
        drop(supervise::spawn("admin connection", serving));
    }
}

fn is_welcome(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if may_enter(peer.uid(), own) => true,
        Ok(peer) => {
            tracing::warn!(peer.uid = peer.uid(), "user {} may not use the admin api", peer.uid());
            false
        }
        Err(error) => {
            tracing::warn!(error = %error, "the system does not say who connected: {error}");
            false
        }
    }
}

/// Root and the server's own user.
fn may_enter(peer_uid: u32, own_uid: u32) -> bool {
    peer_uid == 0 || peer_uid == own_uid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_servers_own_user_enter() {
        assert!(may_enter(0, 1000));
        assert!(may_enter(1000, 1000));
        assert!(!may_enter(1001, 1000));
        assert!(!may_enter(1000, 0), "a server that runs as root serves root alone");
    }

    #[tokio::test]
    async fn the_socket_is_for_its_owner_and_replaces_a_stale_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        drop(bind(&path).unwrap());
        let _listener = bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let long = dir.path().join("x".repeat(PATH_OCTETS_MAX));
        assert_eq!(bind(&long).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
