//! One connection's octets: writes with deadlines, replies within bounds. It knows nothing of transactions.
//!
//! mail-send 0.7.0 opens the connection and runs the handshake; from then on its stream is ours.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Buf;
use mail_send::SmtpClient;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::capabilities::EhloLines;
use super::reply::{Progress, ReplyError, ReplyReader};
use super::tls::Tls;
use crate::mail::Reply;

/// Octets read at once: the replies of one transaction fit.
const INPUT_OCTETS: usize = 4096;

/// Why a step of the conversation did not end.
#[derive(Debug)]
pub(super) enum Fault {
    /// It took too long.
    Deadline,
    /// The other side closed the connection.
    Closed,
    /// The network.
    Io(io::Error),
    /// What came is no reply.
    Reply(ReplyError),
    /// Octets came before they were asked for.
    Early,
    /// The handshake.
    Tls(String),
    /// Our copy of the content could not be read.
    Content(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Deadline => f.write_str("timed out"),
            Fault::Closed => f.write_str("connection closed by the host"),
            Fault::Io(error) => error.fmt(f),
            Fault::Reply(error) => error.fmt(f),
            Fault::Early => f.write_str("the host spoke out of turn"),
            Fault::Tls(why) => f.write_str(why),
            Fault::Content(error) => write!(f, "the message could not be read: {error}"),
        }
    }
}

impl From<mail_send::Error> for Fault {
    fn from(error: mail_send::Error) -> Fault {
        if let mail_send::Error::Io(error) = error {
            return Fault::Io(error);
        }
        let late = matches!(error, mail_send::Error::Timeout);
        if late { Fault::Deadline } else { Fault::Tls(error.to_string()) }
    }
}

/// One connection.
pub(super) struct Wire {
    stream: Stream,
    input: Box<[u8]>,
    unread: std::ops::Range<usize>,
    replies: ReplyReader,
    spent: bool,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Connects from `source`, or from where the system chooses.
    pub(super) async fn connect(
        source: Option<IpAddr>,
        to: SocketAddr,
        deadline: Duration,
    ) -> Result<Wire, Fault> {
        let client = match source {
            Some(source) => SmtpClient::connect_using(source, to, deadline).await?,
            None => SmtpClient::connect(to, deadline).await?,
        };
        // Commands go out whole: waiting for more to send would only add to the latency.
        client.stream.set_nodelay(true).map_err(Fault::Io)?;
        Ok(Wire::over(Stream::Plain(client.stream)))
    }

    fn over(stream: Stream) -> Wire {
        let input = vec![0; INPUT_OCTETS].into_boxed_slice();
        Wire { stream, input, unread: 0..0, replies: ReplyReader::default(), spent: false }
    }

    /// Runs the handshake and forgets all that was read before (RFC 3207 §4.2); octets that came behind the reply to
    /// STARTTLS were meant to be taken for ours, so they end the connection.
    pub(super) async fn into_tls(
        self,
        tls: &Tls,
        host: &str,
        (verify, deadline): (bool, Duration),
    ) -> Result<Wire, Fault> {
        if self.has_unread() {
            return Err(Fault::Early);
        }
        let Stream::Plain(stream) = self.stream else {
            return Err(Fault::Tls("TLS is on already".into()));
        };
        let client = SmtpClient { stream, timeout: deadline };
        let client = tls.upgrade(client, host, verify).await.map_err(|error| {
            // An end of the connection in the middle of the handshake is the handshake's failure.
            let late = matches!(error, mail_send::Error::Timeout);
            if late { Fault::Deadline } else { Fault::Tls(Fault::from(error).to_string()) }
        })?;
        Ok(Wire::over(Stream::Tls(Box::new(client.stream))))
    }

    /// Protocol and cipher; empty for plain text.
    pub(super) fn tls(&self) -> String {
        let Stream::Tls(stream) = &self.stream else { return String::new() };
        let session = stream.get_ref().1;
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        };
        match session.negotiated_cipher_suite() {
            Some(suite) => format!("{version} {:?}", suite.suite()),
            None => version.to_owned(),
        }
    }

    /// Whether something came that nobody asked for.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty() || self.replies.is_midway()
    }

    /// Whether the connection must not be used again.
    pub(super) fn is_spent(&self) -> bool {
        self.spent
    }

    /// Writes all of `octets`, in as few system calls as the stream allows.
    pub(super) async fn send(
        &mut self,
        octets: &mut impl Buf,
        deadline: Duration,
    ) -> Result<(), Fault> {
        match &mut self.stream {
            Stream::Plain(stream) => write(stream, octets, deadline).await,
            Stream::Tls(stream) => write(stream, octets, deadline).await,
        }
    }

    /// The next reply.
    pub(super) async fn reply(&mut self, deadline: Duration) -> Result<Reply, Fault> {
        // The usual case first: the reply is here already, and no timer is needed.
        if let Some(reply) = self.take_unread()? {
            return Ok(reply);
        }
        timeout(deadline, self.read_reply()).await.unwrap_or(Err(Fault::Deadline))
    }

    /// The reply to EHLO with its lines.
    pub(super) async fn ehlo_reply(
        &mut self,
        deadline: Duration,
    ) -> Result<(Reply, EhloLines), Fault> {
        self.replies.keep_lines();
        let reply = self.reply(deadline).await;
        let lines = self.replies.take_lines();
        Ok((reply?, lines))
    }

    async fn read_reply(&mut self) -> Result<Reply, Fault> {
        loop {
            let count = match &mut self.stream {
                Stream::Plain(stream) => stream.read(&mut self.input).await,
                Stream::Tls(stream) => stream.read(&mut self.input).await,
            };
            let count = count.map_err(Fault::Io)?;
            if count == 0 {
                return Err(Fault::Closed);
            }
            self.unread = 0..count;
            if let Some(reply) = self.take_unread()? {
                return Ok(reply);
            }
        }
    }

    fn take_unread(&mut self) -> Result<Option<Reply>, Fault> {
        let mut input = self.input.get(self.unread.clone()).unwrap_or_default();
        let progress = self.replies.feed(&mut input);
        self.unread.start = self.unread.end - input.len();
        match progress {
            Ok(Progress::Complete(reply)) => Ok(Some(reply)),
            Ok(Progress::Overlong(reply)) => {
                self.spent = true;
                Ok(Some(reply))
            }
            Ok(Progress::Partial) => Ok(None),
            Err(error) => {
                self.spent = true;
                Err(Fault::Reply(error))
            }
        }
    }
}

async fn write<S>(stream: &mut S, octets: &mut impl Buf, deadline: Duration) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let work = async {
        stream.write_all_buf(octets).await?;
        stream.flush().await
    };
    timeout(deadline, work).await.map_err(|_| Fault::Deadline)?.map_err(Fault::Io)
}
