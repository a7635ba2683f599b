//! A plain SMTP client over one connection: what it was told, word for word.

use std::io::{BufRead, BufReader, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects and reads the greeting.
    pub fn connect(address: impl ToSocketAddrs) -> Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_nodelay(true)?;
        let mut client = Client { stream: BufReader::new(stream) };
        client.reply()?;
        Ok(client)
    }

    pub fn write(&mut self, octets: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(octets)
    }

    /// One reply, its lines joined by line feeds. An end of the stream is an error.
    pub fn reply(&mut self) -> Result<String> {
        let mut whole = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let more = line.as_bytes().get(3) == Some(&b'-');
            whole.push_str(line.trim_end());
            if !more {
                return Ok(whole);
            }
            whole.push('\n');
        }
    }

    /// One command and its reply.
    pub fn say(&mut self, command: &str) -> Result<String> {
        self.write(format!("{command}\r\n").as_bytes())?;
        self.reply()
    }

    /// A whole transaction; the reply to the final dot, or the first one that refused.
    pub fn send(&mut self, from: &str, to: &str, message: &str) -> Result<String> {
        for command in [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>"), "DATA".into()] {
            let reply = self.say(&command)?;
            if !reply.starts_with(['2', '3']) {
                return Ok(reply);
            }
        }
        self.write(message.as_bytes())?;
        self.say(".")
    }
}
