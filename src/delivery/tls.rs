//! TLS towards the next hop: one configuration that takes any certificate, one that wants a public authority's.

use std::sync::Arc;

use mail_send::SmtpClient;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The two ways to check a host's certificate.
#[derive(Clone)]
pub(super) struct Tls {
    any: TlsConnector,
    verified: TlsConnector,
}

impl Tls {
    /// With the public authorities, and `extra` ones of the operator's.
    pub(super) fn new(extra: &[CertificateDer<'static>]) -> Result<Tls, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
        };
        let mut roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        for root in extra {
            roots.add(root.clone())?;
        }
        let any = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(Arc::clone(&provider))))
            .with_no_client_auth();
        let verified = builder()?.with_root_certificates(roots).with_no_client_auth();
        Ok(Tls { any: Arc::new(any).into(), verified: Arc::new(verified).into() })
    }

    /// Runs the handshake; `verify` demands a trusted certificate for `host`. Deadline: `client.timeout`.
    pub(super) async fn upgrade(
        &self,
        client: SmtpClient<TcpStream>,
        host: &str,
        verify: bool,
    ) -> mail_send::Result<SmtpClient<TlsStream<TcpStream>>> {
        client.into_tls(if verify { &self.verified } else { &self.any }, host).await
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// Takes any certificate, as RFC 7435 §3 does for opportunistic security; the handshake must still be signed with it.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
