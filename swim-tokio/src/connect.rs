//! Opens connections, from the address that datagrams come from as well.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use swim_driver::sockets::outgoing;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

pub(crate) async fn connect(bound: SocketAddr, to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let (socket, to) = outgoing(bound, to)?;
    let tcp = timeout(limit, TcpSocket::from_std_stream(socket.into()).connect(to)).await??;
    // On one host, a connection to a port that nobody listens on may meet itself.
    if tcp.local_addr()? == tcp.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(tcp)
}
