//! The node's sockets, UDP (if it sends datagrams) and TCP, on one port; and which addresses can be reached from them.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use swim_proto::Member;
use swim_proto::messaging::Trust;

/// How many ports the system may offer for TCP until one is free for UDP as well.
const PORT_ATTEMPTS: u32 = 16;

/// Connections that wait to be accepted; beyond it the system refuses them.
const BACKLOG: i32 = 256;

/// The sockets, bound. None of them ever waits.
#[derive(Debug)]
pub struct Sockets {
    /// None where members are reached by streams alone.
    pub udp: Option<UdpSocket>,
    /// Where streams are accepted.
    pub tcp: TcpListener,
    /// Where both are bound.
    pub bound: SocketAddr,
}

impl Sockets {
    /// Binds TCP, and nothing else.
    ///
    /// # Errors
    /// The system's: the port is taken, or the address is not of this host.
    pub fn bind_streams(address: SocketAddr) -> io::Result<Sockets> {
        let tcp = bind_tcp(address)?;
        let bound = tcp.local_addr()?;
        Ok(Sockets { udp: None, tcp, bound })
    }

    /// Binds TCP, then UDP on the same port. For port 0 the system chooses for TCP, again if UDP's is taken.
    ///
    /// # Errors
    /// The system's: a port is taken, or the address is not of this host; or no port that the system chose for TCP was free
    /// for UDP.
    pub fn bind(address: SocketAddr, receive_buffer: usize, send_buffer: usize) -> io::Result<Sockets> {
        let mut attempt = 1;
        loop {
            let tcp = bind_tcp(address)?;
            let bound = tcp.local_addr()?;
            match bind_udp(bound, receive_buffer, send_buffer) {
                Ok(udp) => return Ok(Sockets { udp: Some(udp), tcp, bound }),
                Err(error)
                    if error.kind() == io::ErrorKind::AddrInUse && address.port() == 0 && attempt < PORT_ATTEMPTS =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Binds one TCP port.
///
/// # Errors
/// The system's: the port is taken, or the address is not of this host.
pub fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    // A restarted node takes its port back although streams of its past linger. (Elsewhere the option means more.)
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_udp(address: SocketAddr, receive_buffer: usize, send_buffer: usize) -> io::Result<UdpSocket> {
    let socket = open(address, Type::DGRAM, Protocol::UDP)?;
    // A wish: what was granted is told by the driver's counters.
    let _ = socket.set_recv_buffer_size(receive_buffer);
    let _ = socket.set_send_buffer_size(send_buffer);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if Reach::of(address) == Reach::Both {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Which families of addresses a bound socket reaches, and how it spells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// IPv4 alone.
    V4,
    /// IPv6 alone. Link-local addresses are of the bound one's scope.
    V6 {
        /// That scope.
        scope: u32,
    },
    /// Bound to `[::]`: IPv4 addresses are spelt `::ffff:a.b.c.d` on the socket.
    Both,
}

impl Reach {
    /// That of sockets bound there.
    pub fn of(bound: SocketAddr) -> Reach {
        match bound {
            SocketAddr::V4(_) => Reach::V4,
            SocketAddr::V6(address) if address.ip().is_unspecified() => Reach::Both,
            SocketAddr::V6(address) => Reach::V6 { scope: address.scope_id() },
        }
    }

    /// How to spell `to` for the UDP socket, if it can be reached at all.
    pub fn outward(self, to: SocketAddr) -> Option<SocketAddr> {
        match (self, to) {
            (Reach::V4, SocketAddr::V4(_)) | (Reach::Both, SocketAddr::V6(_)) => Some(to),
            (Reach::V6 { scope }, SocketAddr::V6(address)) => {
                let scope = if address.ip().is_unicast_link_local() { scope } else { 0 };
                Some(SocketAddrV6::new(*address.ip(), address.port(), 0, scope).into())
            }
            (Reach::Both, SocketAddr::V4(address)) => {
                Some(SocketAddrV6::new(address.ip().to_ipv6_mapped(), address.port(), 0, 0).into())
            }
            (Reach::V4, SocketAddr::V6(_)) | (Reach::V6 { .. }, SocketAddr::V4(_)) => None,
        }
    }

    /// An address as the socket spelt it, the way members are known by it.
    pub fn inward(from: SocketAddr) -> SocketAddr {
        SocketAddr::new(from.ip().to_canonical(), from.port())
    }

    /// Whether a socket bound so sends there.
    pub fn reaches(self, to: SocketAddr) -> bool {
        self.outward(to).is_some()
    }
}

/// A TCP socket to open a stream to `to` with, from the address that datagrams come from as well, and how to spell `to`
/// for it. It does not wait, nor is it connected.
///
/// # Errors
/// [`io::ErrorKind::AddrNotAvailable`]: nobody of that family is reached from there. Or the system has no socket.
pub fn outgoing(bound: SocketAddr, to: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    let reach = Reach::of(bound);
    if !reach.reaches(to) {
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "of a family the node is not bound to"));
    }
    // Only datagrams share a socket between the families.
    let to = if reach == Reach::Both { to } else { reach.outward(to).unwrap_or(to) };
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if !bound.ip().is_unspecified() {
        let mut source = bound;
        source.set_port(0);
        socket.bind(&source.into())?;
    }
    Ok((socket, to))
}

/// The same for a link for messages. Where the node is bound to every interface, it leaves from `home`, if that is an
/// address of this host from which one gets there: the other end may believe what comes from there and nothing else
/// (`docs/messaging.md` 2.4), and the system would choose by the route.
///
/// # Errors
/// Those of [`outgoing`].
pub fn outgoing_link(bound: SocketAddr, home: Option<IpAddr>, to: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    let (socket, to) = outgoing(bound, to)?;
    let leads_there = |home: &IpAddr| home.is_ipv4() == to.is_ipv4() && home.is_loopback() == to.ip().is_loopback();
    if let Some(home) = home.filter(|_| bound.ip().is_unspecified()).filter(leads_there) {
        // Refused where others reach this host by an address that is not its own: then any may do, or none.
        let _ = socket.bind(&SocketAddr::new(home, 0).into());
    }
    Ok((socket, to))
}

/// From where links for messages leave, as far as that may be chosen ([`outgoing_link`]): where members are told that
/// this one is. None where they believe links from anywhere.
pub fn home(local: &Member<'_>, trust: Trust) -> Option<IpAddr> {
    match trust {
        Trust::Host => Some(local.endpoint.unwrap_or(local.address).ip()),
        Trust::Anywhere => None,
    }
}

/// Begins to open a stream, and does not wait for it: it stands, or has failed, once it is writable.
///
/// # Errors
/// Those of [`outgoing`], and what the system refuses at once.
pub fn connect(bound: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    begin(outgoing(bound, to)?)
}

/// The same for a link for messages, as by [`outgoing_link`].
///
/// # Errors
/// Those of [`outgoing`], and what the system refuses at once.
pub fn connect_link(bound: SocketAddr, home: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    begin(outgoing_link(bound, home, to)?)
}

fn begin((socket, to): (Socket, SocketAddr)) -> io::Result<TcpStream> {
    match socket.connect(&to.into()) {
        Err(error) if !is_in_progress(&error) => Err(error),
        Ok(()) | Err(_) => Ok(socket.into()),
    }
}

/// Whether a stream, or a link, that was begun stands by now, whatever the system has said of it.
///
/// # Errors
/// That it will never stand.
pub fn is_connected(socket: SockRef<'_>) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(peer) => meets_another(&socket.local_addr()?, &peer).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected || is_in_progress(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// On one host, a connection to a port that nobody listens on may meet itself.
///
/// # Errors
/// It has: nobody listens.
pub fn meets_another<A: PartialEq>(local: &A, peer: &A) -> io::Result<()> {
    if local == peer { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(()) }
}

/// Whether it is not an error, but an answer that takes time.
pub fn is_in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::EINPROGRESS) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

/// Whether an error of accepting is of one connection, and the next may fare better at once. Others (too many open files)
/// the next attempt would only meet again: a driver waits for [`ACCEPT_PAUSE`].
pub fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// How long to wait after an error of accepting that the next attempt would only meet again.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_socket_on_every_interface_of_ipv6_spells_ipv4_addresses_as_mapped_and_back() {
        let reach = Reach::of(address("[::]:7946"));
        let out = reach.outward(address("127.0.0.1:7000")).unwrap();
        assert_eq!(out, address("[::ffff:127.0.0.1]:7000"));
        assert_eq!(Reach::inward(out), address("127.0.0.1:7000"));
        assert_eq!(reach.outward(address("[::1]:7000")), Some(address("[::1]:7000")));
    }

    #[test]
    fn a_socket_of_one_family_does_not_reach_the_other() {
        assert_eq!(Reach::of(address("127.0.0.1:1")).outward(address("[::1]:1")), None);
        assert_eq!(Reach::of(address("[::1]:1")).outward(address("127.0.0.1:1")), None);
    }

    #[test]
    fn link_local_addresses_take_the_scope_that_the_node_is_bound_to() {
        let bound = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 7946, 0, 3));
        let out = Reach::of(bound).outward(address("[fe80::2]:7946")).unwrap();
        assert_eq!(out, SocketAddr::V6(SocketAddrV6::new("fe80::2".parse().unwrap(), 7946, 0, 3)));
        assert_eq!(Reach::inward(out), address("[fe80::2]:7946"));
    }

    // Elsewhere loopback has one address, and there is nothing to choose.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_link_leaves_from_where_members_are_told_that_we_are_if_that_is_here_and_leads_there() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let leaves_from = |bound: &str, home: &str| {
            let link = connect_link(address(bound), Some(home.parse().unwrap()), to).unwrap();
            listener.accept().unwrap();
            link.local_addr().unwrap().ip().to_string()
        };
        assert_eq!(leaves_from("0.0.0.0:1", "127.0.0.2"), "127.0.0.2");
        assert_eq!(leaves_from("[::]:1", "127.0.0.2"), "127.0.0.2");
        assert_eq!(leaves_from("127.0.0.3:1", "127.0.0.2"), "127.0.0.3", "what is bound is bound");
        assert_eq!(leaves_from("0.0.0.0:1", "192.0.2.1"), "127.0.0.1", "that leads to other networks");
        assert_eq!(leaves_from("[::]:1", "::1"), "127.0.0.1", "that is of another family");
    }

    #[test]
    fn both_sockets_share_one_port() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let sockets = Sockets::bind(address(any), 1 << 16, 1 << 16).unwrap();
            assert_ne!(sockets.bound.port(), 0);
            assert_eq!(sockets.udp.unwrap().local_addr().unwrap(), sockets.bound);
            assert_eq!(sockets.tcp.local_addr().unwrap(), sockets.bound);
        }
    }

    #[test]
    fn a_taken_port_is_refused_whichever_protocol_took_it() {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let error = Sockets::bind(udp.local_addr().unwrap(), 1 << 16, 1 << 16).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = Sockets::bind(tcp.local_addr().unwrap(), 1 << 16, 1 << 16).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
