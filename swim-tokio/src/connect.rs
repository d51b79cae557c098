//! Opens connections, from the address that datagrams come from as well.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::Socket;
use swim_driver::sockets::{meets_another, outgoing, outgoing_link};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

pub(crate) async fn connect(bound: SocketAddr, to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    stand(outgoing(bound, to)?, limit).await
}

/// The same for a link for messages, from `home` if that can be.
pub(crate) async fn connect_link(
    (bound, home): (SocketAddr, Option<IpAddr>),
    to: SocketAddr,
    limit: Duration,
) -> io::Result<TcpStream> {
    stand(outgoing_link(bound, home, to)?, limit).await
}

async fn stand((socket, to): (Socket, SocketAddr), limit: Duration) -> io::Result<TcpStream> {
    let tcp = timeout(limit, TcpSocket::from_std_stream(socket.into()).connect(to)).await??;
    meets_another(&tcp.local_addr()?, &tcp.peer_addr()?)?;
    Ok(tcp)
}
