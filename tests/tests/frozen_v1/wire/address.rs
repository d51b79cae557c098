//! Which addresses may be sent to because a packet named them.
//!
//! On the wire: a byte 0 and four bytes of IPv4, or a byte 1 and 16 bytes of IPv6, then the port as a varint. An IPv6
//! scope or flow label means something on its own host only and is not carried.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::vec::Vec;

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
