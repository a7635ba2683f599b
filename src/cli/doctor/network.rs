//! Checks of the network: do name servers answer, does this host's name lead here, does port 25 lead out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;

use super::Finding;
use super::host::sources;
use crate::config::{Loaded, check};
use crate::mail::Domain;
use crate::net::dns::{Dns, DnsFailure, DnsOptions};

/// From the first packet to the greeting; blocked ports are mostly silent.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// One question to one name server.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

pub(super) async fn look(loaded: &Loaded, probe: &str) -> Vec<Finding> {
    let servers = loaded.config.dns_servers.clone();
    let options = DnsOptions { servers, timeout: ANSWER_WITHIN, retries: 1 };
    let dns = match Dns::new(&options) {
        Ok(dns) => dns,
        Err(failure) => {
            let fix = "set dns.servers, or mend /etc/resolv.conf";
            return vec![Finding::fail("dns", format!("no name server: {failure:?}"), fix)];
        }
    };
    let (own, found) = tokio::join!(own_name(loaded, &dns), exchanger(&dns, probe));
    let mut findings = vec![own];
    match found {
        Ok((host, address)) => {
            let found = format!("name servers answer: MX of {probe} is {host}, {address}");
            findings.push(Finding::ok("dns", found));
            let port = u16::try_from(loaded.config.delivery.port).unwrap_or(25);
            for source in sources(loaded) {
                findings.push(outbound(source, SocketAddr::new(address, port)).await);
            }
        }
        Err(why) => {
            let fix = "check dns.servers or /etc/resolv.conf, and that UDP and TCP 53 lead out";
            findings.push(Finding::fail("dns", format!("no MX of {probe}: {why}"), fix));
        }
    }
    findings
}

/// Whether the greeting's name leads to this machine, which many receivers check.
async fn own_name(loaded: &Loaded, dns: &Dns) -> Finding {
    let name = &loaded.config.hostname;
    let own = check::own_addresses();
    match dns.addresses(name).await {
        Ok(answer) if answer.addresses.iter().any(|address| own.contains(address)) => {
            Finding::ok("hostname", format!("{name} leads to this machine"))
        }
        Ok(answer) => {
            let list =
                answer.addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
            let fix = "point its A and AAAA records here; behind a translated address this warning is expected";
            Finding::warn(
                "hostname",
                format!("{name} leads to {list}, not to an address of this machine"),
                fix,
            )
        }
        Err(failure) => {
            let fix = "publish an A record for it, and let the PTR of each sending address name it";
            Finding::warn(
                "hostname",
                format!("{name} has no address in DNS ({})", told(&failure)),
                fix,
            )
        }
    }
}

async fn exchanger(dns: &Dns, probe: &str) -> Result<(Domain, IpAddr), String> {
    let domain = Domain::parse(probe).map_err(|error| error.to_string())?;
    let answer = dns.mx(&domain).await.map_err(|failure| told(&failure))?;
    let hosts = answer.hosts.ok_or("it takes no mail")?;
    let (_, host) = hosts.first().ok_or("it has none")?;
    let answer = dns.addresses(host).await.map_err(|failure| told(&failure))?;
    // Where only one family leads out, IPv4 is it.
    let v4 = answer.addresses.iter().find(|address| address.is_ipv4());
    let address = v4.or(answer.addresses.first()).ok_or("its host has no address")?;
    Ok((host.clone(), *address))
}

/// Whether a server greets us when we come from `source`.
async fn outbound(source: Option<IpAddr>, to: SocketAddr) -> Finding {
    let from = source.map_or("the system's choice of address".to_owned(), |ip| ip.to_string());
    let fix = "many hosting providers block port 25 until asked; ask yours, or route mail through a relay with `postrider route add`";
    match tokio::time::timeout(CONNECT_WITHIN, greeting(source, to)).await {
        Ok(Ok(code)) if code == "220" => {
            Finding::ok("outbound", format!("{to} greets mail from {from}"))
        }
        Ok(Ok(code)) => {
            let found = format!("{to} greets {from} with {code}: it does not like this address");
            Finding::warn("outbound", found, "look the address up in the blocklists of receivers")
        }
        Ok(Err(error)) => {
            Finding::fail("outbound", format!("{from} does not reach {to} ({error})"), fix)
        }
        Err(_) => Finding::fail("outbound", format!("{from} gets no answer from {to}"), fix),
    }
}

async fn greeting(source: Option<IpAddr>, to: SocketAddr) -> std::io::Result<String> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source.filter(|source| source.is_ipv4() == to.is_ipv4()) {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let mut stream = socket.connect(to).await?;
    let mut code = [0; 3];
    stream.read_exact(&mut code).await?;
    Ok(String::from_utf8_lossy(&code).into_owned())
}

fn told(failure: &DnsFailure) -> String {
    match failure {
        DnsFailure::NoSuchName => "the name does not exist".to_owned(),
        DnsFailure::NoRecords => "it has no such records".to_owned(),
        DnsFailure::Unanswered(why) => format!("no answer: {why}"),
    }
}
