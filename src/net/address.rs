//! Which addresses are the public Internet's, and which are ours or our network's. Pure, apart from [`own_addresses`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether mail found by DNS may go to this address: a unicast address of the public Internet (RFC 6890 §2.2).
///
/// Loopback, private, link-local, shared, documentation, multicast and reserved ranges are not, in either family and
/// also where an IPv6 address carries an IPv4 one.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match carried_v4(v6) {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let special = v4.is_unspecified()
        || v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_broadcast()
        || v4.is_documentation()
        // "This network", shared space of carriers (RFC 6598 §7), protocol assignments, benchmarks, class E.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let [first, second, ..] = v6.segments();
    // Global unicast is 2000::/3 alone (RFC 4291 §2.4); documentation (RFC 3849) and discard ranges lie outside or here.
    (first & 0xe000) == 0x2000 && !(first == 0x2001 && second == 0x0db8)
}

/// The IPv4 address inside a mapped, compatible, NAT64 (RFC 6052 §2.1) or 6to4 (RFC 3056 §2) address.
fn carried_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(v4(high, low))
        }
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// The addresses of this host's interfaces; empty when the system would not tell.
pub fn own_addresses() -> Vec<IpAddr> {
    if_addrs::get_if_addrs()
        .map(|interfaces| interfaces.iter().map(if_addrs::Interface::ip).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for text in [
            "8.8.8.8",
            "100.63.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "2a00:1450::1b",
            "2002:808:808::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "for {text}");
        }
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "100::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "for {text}");
        }
    }

    #[test]
    fn this_host_knows_its_loopback() {
        assert!(own_addresses().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
