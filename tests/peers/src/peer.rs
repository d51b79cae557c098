//! What the harness asks of a library: bytes, streams and time in; bytes, streams and changes of the view out.

use std::net::{Ipv4Addr, SocketAddr};

use crate::packets::Content;
use crate::world::Outbox;

/// A node's number in its world. Its address is made of it.
pub(crate) type Index = u32;

/// Virtual time since the world began.
pub(crate) type Nanos = u64;

/// One second of it.
pub(crate) const SECOND: Nanos = 1_000_000_000;

/// Most bytes of a datagram, for every library: the default of each of them.
pub(crate) const DATAGRAM_MAX: usize = 1_400;

/// When every process started, by its wall clock: what each library's drivers give it as life, epoch or bump.
pub(crate) const STARTED_MS: u64 = 1_760_000_000_000;

/// Where node `index` is reached: 10.0.0.0 and up, port 7946.
pub(crate) fn address(index: Index) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + index), 7946))
}

/// Whose address it is.
pub(crate) fn index(address: SocketAddr) -> Index {
    let SocketAddr::V4(address) = address else { unreachable!("every node has an IPv4 address") };
    address.ip().to_bits() - 0x0a00_0000
}

/// Names, for the libraries that know members by name: the address, our own default.
pub(crate) fn name(index: Index) -> String {
    address(index).to_string()
}

/// What happened to a stream, by the number that the node knows it by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StreamInput<'a> {
    /// The stream asked for is open.
    Connected,
    /// Bytes arrived.
    Data(&'a [u8]),
    /// The peer will send nothing more.
    Closed,
    /// The stream is gone.
    Failed,
}

/// One node of some library, with as much of a driver around it as the library expects from its user.
pub(crate) trait Peer: Sized {
    /// Whether members are to be handed over by [`Peer::know`] where a scenario begins with full views, because joining
    /// alone would not fill them in reasonable time.
    const GIVEN_ITS_VIEW: bool = false;

    /// A node at its library's LAN defaults, that knows only itself. `size` is what its user knows of the cluster's size.
    fn start(now: Nanos, index: Index, size: u32, seed: u64) -> Self;

    /// Joins by way of this seed.
    fn join(&mut self, now: Nanos, seed: Index, out: &mut Outbox<'_>);

    /// Learns these members at once, without news to tell.
    fn know(&mut self, _now: Nanos, _members: std::ops::Range<Index>, _out: &mut Outbox<'_>) {
        unreachable!("only where GIVEN_ITS_VIEW");
    }

    /// A datagram arrived.
    fn datagram(&mut self, now: Nanos, from: Index, bytes: &[u8], out: &mut Outbox<'_>);

    /// Somebody opens a stream: its number, or `None` to refuse it.
    fn accept(&mut self, _now: Nanos, _from: Index, _out: &mut Outbox<'_>) -> Option<u64> {
        None
    }

    /// Something happened to a stream.
    fn stream(&mut self, _now: Nanos, _stream: u64, _input: StreamInput<'_>, _out: &mut Outbox<'_>) {}

    /// Time passed.
    fn timeout(&mut self, now: Nanos, out: &mut Outbox<'_>);

    /// A datagram of this library made by hand, and how many claims are in it; `None` where nobody needs one.
    fn packet(_content: Content<impl Iterator<Item = Index>>) -> Option<(Vec<u8>, u32)> {
        None
    }

    /// When to call [`Peer::timeout`] next.
    fn deadline(&self) -> Option<Nanos>;
}
