//! A network: an address and how many of its leading bits count (CIDR, RFC 4632 §3.1).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses. `::ffff:a.b.c.d` is read as the IPv4 address it stands for, on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// The text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkError;

impl Network {
    /// The network of the first `bits` bits of `address`; `None` for more bits than it has.
    pub fn new(address: IpAddr, bits: u8) -> Option<Network> {
        let address = address.to_canonical();
        let (value, width) = value_of(address);
        if bits > width {
            return None;
        }
        let kept = value & mask(bits, width);
        Some(Network { address: address_of(kept, width), bits })
    }

    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        Network::new(address, self.bits).is_some_and(|other| {
            other.address == self.address && other.address.is_ipv4() == self.address.is_ipv4()
        })
    }
}

/// The address as a number, and how many bits it has.
fn value_of(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

fn address_of(value: u128, width: u8) -> IpAddr {
    match u32::try_from(value) {
        Ok(value) if width == 32 => IpAddr::from(value.to_be_bytes()),
        _ => IpAddr::V6(Ipv6Addr::from(value)),
    }
}

fn mask(bits: u8, width: u8) -> u128 {
    u128::MAX.checked_shl(u32::from(width - bits)).unwrap_or(0)
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads `192.0.2.0/24`, `2001:db8::/32` or one address.
    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| NetworkError)?,
            None => value_of(address.to_canonical()).1,
        };
        Network::new(address, bits).ok_or(NetworkError)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a network is an address with a number of bits, such as 192.0.2.0/24")
    }
}

impl std::error::Error for NetworkError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: &str, address: &str, want: bool) {
        let network: Network = network.parse().unwrap();
        assert_eq!(network.contains(address.parse().unwrap()), want, "{address} in {network}");
    }

    #[test]
    fn a_network_holds_the_addresses_that_share_its_bits() {
        check("192.0.2.0/24", "192.0.2.255", true);
        check("192.0.2.77/24", "192.0.2.1", true);
        check("192.0.2.0/24", "192.0.3.0", false);
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "::1", false);
        check("::/0", "127.0.0.1", false);
        check("2001:db8::/32", "2001:db8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::", false);
        check("127.0.0.0/8", "::ffff:127.0.0.1", true);
    }

    #[test]
    fn a_network_refuses_what_is_none() {
        for text in ["", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "::/129", "1.2.3.4/-1", "a/8"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text:?}");
        }
    }

    #[test]
    fn a_network_is_written_as_it_is_read() {
        for text in ["192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0", "192.0.2.1/32"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
    }
}
