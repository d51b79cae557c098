//! Which addresses may be sent to because a packet named them.
//!
//! On the wire: a byte 0 and four bytes of IPv4, or a byte 1 and 16 bytes of IPv6, then the port as a varint. An IPv6
//! scope or flow label means something on its own host only and is not carried.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::varint::{split_varint, varint};

/// Most bytes an address takes.
pub(super) const ADDRESS_MAX: usize = 1 + 16 + 3;

/// Whether `address` names one host and port, in the one form the wire knows: not unspecified, multicast or broadcast,
/// not port 0, not IPv4 dressed as IPv6, no IPv6 scope or flow label.
///
/// Packets that name other addresses are refused; a [`LocalMember`](crate::LocalMember) must have none either.
#[inline]
pub fn is_unicast(address: SocketAddr) -> bool {
    address.port() != 0
        && match address {
            SocketAddr::V4(v4) => is_unicast_v4(*v4.ip()),
            SocketAddr::V6(v6) => v6.scope_id() == 0 && v6.flowinfo() == 0 && is_unicast_v6(*v6.ip()),
        }
}

/// Why an address cannot be told to others ([`is_unicast`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressFault {
    /// Its port is 0.
    #[error("its port is 0; tell the port that the socket has")]
    Port,
    /// `0.0.0.0` or `[::]`.
    #[error("it names every interface and no host; tell the one that others can reach")]
    Unspecified,
    /// Of many hosts.
    #[error("it is a multicast address, not one host's")]
    Multicast,
    /// Of all hosts.
    #[error("it is the broadcast address, not one host's")]
    Broadcast,
    /// IPv4 dressed as IPv6.
    #[error("it is an IPv4 address in IPv6's clothes; tell it as a.b.c.d")]
    Mapped,
    /// An IPv6 scope or flow label.
    #[error("its scope or flow label means something on this host only; tell it without")]
    Scoped,
}

impl AddressFault {
    /// What is wrong with this address, if anything is.
    pub fn of(address: SocketAddr) -> Option<AddressFault> {
        let ip = address.ip();
        let scoped = matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0 || v6.flowinfo() != 0);
        let mapped = matches!(address, SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some());
        let faults = [
            (ip.is_unspecified(), AddressFault::Unspecified),
            (ip.is_multicast(), AddressFault::Multicast),
            (ip == IpAddr::V4(Ipv4Addr::BROADCAST), AddressFault::Broadcast),
            (mapped, AddressFault::Mapped),
            (scoped, AddressFault::Scoped),
            (address.port() == 0, AddressFault::Port),
        ];
        faults.into_iter().find_map(|(is, fault)| is.then_some(fault))
    }
}

/// An address as it is told to others: IPv4 undressed, and without scope and flow label. A driver's socket may spell it
/// in other ways.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[inline]
fn is_unicast_v4(ip: Ipv4Addr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast()
}

#[inline(never)]
fn is_unicast_v6(ip: Ipv6Addr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && ip.to_ipv4_mapped().is_none()
}

/// The bytes of the address that `bytes` begin with, if it is one to send to, and what follows it.
#[inline(always)]
pub(super) fn split_address(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (ip_len, unicast) = match bytes {
        [0, a, b, c, d, ..] => (1 + 4, is_unicast_v4(Ipv4Addr::new(*a, *b, *c, *d))),
        [1, rest @ ..] => (1 + 16, is_unicast_v6(Ipv6Addr::from(*rest.first_chunk::<16>()?))),
        _ => return None,
    };
    // The port, from 1, in as few bytes as it takes.
    let port_len = match bytes[ip_len..] {
        [1..0x80, ..] => 1,
        [0x80..=0xff, 1..0x80, ..] => 2,
        [0x80..=0xff, 0x80..=0xff, 1..4, ..] => 3,
        _ => return None,
    };
    if unicast { Some(bytes.split_at(ip_len + port_len)) } else { None }
}

/// The address whose bytes these are.
pub(super) fn parse_address(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port): (IpAddr, _) = match bytes {
        [0, rest @ ..] => {
            let (ip, port) = rest.split_first_chunk::<4>()?;
            ((*ip).into(), port)
        }
        [1, rest @ ..] => {
            let (ip, port) = rest.split_first_chunk::<16>()?;
            ((*ip).into(), port)
        }
        _ => return None,
    };
    let (port, rest) = split_varint(port)?;
    rest.is_empty().then_some(SocketAddr::new(ip, port as u16))
}

/// The address that these bytes begin with, if they were looked at before; other bytes have any address or none.
#[inline]
pub(super) fn first_address(bytes: &[u8]) -> Option<SocketAddr> {
    match bytes {
        [0, a, b, c, d, port @ ..] => Some(SocketAddr::from(([*a, *b, *c, *d], first_port(port)?))),
        [1, rest @ ..] => {
            let (ip, port) = rest.split_first_chunk::<16>()?;
            Some(SocketAddr::from((*ip, first_port(port)?)))
        }
        _ => None,
    }
}

#[inline]
fn first_port(bytes: &[u8]) -> Option<u16> {
    let byte = |byte: u8| u16::from(byte & 0x7f);
    match bytes {
        [low @ 0..0x80, ..] => Some(byte(*low)),
        [low, high @ 0..0x80, ..] => Some(byte(*low) | byte(*high) << 7),
        [low, middle, high, ..] => Some(byte(*low) | byte(*middle) << 7 | byte(*high) << 14),
        _ => None,
    }
}

/// Appends an address.
pub(super) fn write_address(address: SocketAddr, out: &mut Vec<u8>) {
    match address {
        SocketAddr::V4(v4) => {
            out.push(0);
            out.extend_from_slice(&v4.ip().octets());
        }
        SocketAddr::V6(v6) => {
            out.push(1);
            out.extend_from_slice(&v6.ip().octets());
        }
    }
    let (bytes, len) = varint(address.port().into());
    out.extend_from_slice(&bytes[..len]);
}
