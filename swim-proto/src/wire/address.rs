//! Which addresses may be sent to because a packet named them.
//!
//! On the wire: a byte 0 and four bytes of IPv4, or a byte 1 and 16 bytes of IPv6, then the port as a varint. An IPv6
//! scope or flow label means something on its own host only and is not carried.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::varint::{Reader, write_varint};

/// Most bytes an address takes.
pub(super) const ADDRESS_MAX: usize = 1 + 16 + 3;

/// Whether `address` names one host and port, in the one form the wire knows: not unspecified, multicast or broadcast,
/// not port 0, not IPv4 dressed as IPv6, no IPv6 scope or flow label.
///
/// Packets that name other addresses are refused; a [`LocalMember`](crate::LocalMember) must have none either.
pub fn is_unicast(address: SocketAddr) -> bool {
    address.port() != 0
        && match address {
            SocketAddr::V4(v4) => is_unicast_v4(*v4.ip()),
            SocketAddr::V6(v6) => v6.scope_id() == 0 && v6.flowinfo() == 0 && is_unicast_v6(*v6.ip()),
        }
}

fn is_unicast_v4(ip: Ipv4Addr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast()
}

fn is_unicast_v6(ip: Ipv6Addr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && ip.to_ipv4_mapped().is_none()
}

/// Reads an address, if it is one to send to.
pub(super) fn read_address(reader: &mut Reader<'_>) -> Option<SocketAddr> {
    let address = match reader.byte()? {
        0 => {
            let ip = Ipv4Addr::from(*reader.array::<4>()?);
            SocketAddr::from((ip, reader.varint_u16()?))
        }
        1 => {
            let ip = Ipv6Addr::from(*reader.array::<16>()?);
            SocketAddr::from((ip, reader.varint_u16()?))
        }
        _ => return None,
    };
    is_unicast(address).then_some(address)
}

/// Hands the bytes of an address to `write`.
pub(super) fn write_address(address: SocketAddr, mut write: impl FnMut(&[u8])) {
    match address {
        SocketAddr::V4(v4) => {
            write(&[0]);
            write(&v4.ip().octets());
        }
        SocketAddr::V6(v6) => {
            write(&[1]);
            write(&v6.ip().octets());
        }
    }
    write_varint(address.port().into(), write);
}
