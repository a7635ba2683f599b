//! A client's octets, plain or over TLS. Knows nothing of SMTP.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A connection.
#[derive(Debug)]
pub(super) enum Stream {
    /// Plain text.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Reads what has come into the room that `into` has; nought is the end. Cancellation-safe.
    pub(super) async fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read_buf(into).await,
            Stream::Tls(stream) => stream.read_buf(into).await,
        }
    }

    /// Writes all of `octets`.
    pub(super) async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.write_all(octets).await,
            Stream::Tls(stream) => {
                stream.write_all(octets).await?;
                stream.flush().await
            }
        }
    }

    /// Tells the client that nothing more comes.
    pub(super) async fn shut(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.shutdown().await,
            Stream::Tls(stream) => stream.shutdown().await,
        }
    }

    /// Shakes hands; a connection that is TLS already stays as it is.
    pub(super) async fn secure(self, acceptor: &TlsAcceptor) -> io::Result<Stream> {
        match self {
            Stream::Plain(stream) => Ok(Stream::Tls(Box::new(acceptor.accept(stream).await?))),
            Stream::Tls(stream) => Ok(Stream::Tls(stream)),
        }
    }

    /// Protocol and cipher, such as `TLSv1.3 TLS13_AES_256_GCM_SHA384`, for the Received field.
    pub(super) fn tls(&self) -> Option<String> {
        let Stream::Tls(stream) = self else {
            return None;
        };
        let (_, connection) = stream.get_ref();
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
        Some(format!("{version} {}", suite.and_then(|s| s.as_str()).unwrap_or("unknown")))
    }
}
