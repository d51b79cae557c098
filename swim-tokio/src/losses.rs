//! What the system's receive buffer had no room for.
//!
//! Linux counts it for each socket, in the last column of `/proc/net/udp`. It is looked up only while there is more to
//! do than one turn does, and at most once in a while: the table has a line for every socket of the host.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use swim_proto::Instant;

/// The least time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The count of one socket.
pub(crate) struct Losses {
    bound: SocketAddr,
    counted: u64,
    looked: Option<Instant>,
}

impl Losses {
    pub(crate) fn of(bound: SocketAddr) -> Losses {
        Losses { bound, counted: count(bound).unwrap_or(0), looked: None }
    }

    /// How many were lost since it was last known.
    pub(crate) fn since_last(&mut self, now: Instant) -> u64 {
        if self.looked.is_some_and(|looked| now - looked < PAUSE) {
            return 0;
        }
        self.looked = Some(now);
        let Some(count) = count(self.bound) else { return 0 };
        count.saturating_sub(std::mem::replace(&mut self.counted, count))
    }
}

fn count(bound: SocketAddr) -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let table = if bound.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
    drops(&std::fs::read_to_string(table).ok()?, bound)
}

/// The last column of the line whose second one is this address. `None`: there is no such line.
fn drops(table: &str, bound: SocketAddr) -> Option<u64> {
    let local = as_in_table(bound);
    let mut lines = table.lines().map(str::split_ascii_whitespace);
    let line = lines.find(|line| line.clone().nth(1) == Some(&local))?;
    line.last()?.parse().ok()
}

/// The address in hexadecimal, each four bytes of it as the host keeps a word, then the port.
fn as_in_table(address: SocketAddr) -> String {
    let word = |bytes: &[u8]| {
        let bytes = bytes.try_into().expect("a word has four bytes");
        format!("{:08X}", u32::from_ne_bytes(bytes))
    };
    let ip: String = match address.ip() {
        IpAddr::V4(ip) => word(&ip.octets()),
        IpAddr::V6(ip) => ip.octets().chunks(4).map(word).collect(),
    };
    format!("{ip}:{:04X}", address.port())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_of_the_sockets_line_is_read() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode \
                     ref pointer drops\n  93: 0100007F:1F0A 00000000:0000 07 00000000:00000000 00:00000000 00000000 \
                     1000 0 26173 2 0000000000000000 0\n 120: 3500007F:0035 00000000:0000 07 00000000:00000000 \
                     00:00000000 00000000 101 0 18351 2 0000000000000000 4711\n";
        // The sample is a little-endian host's.
        if cfg!(target_endian = "little") {
            assert_eq!(drops(table, "127.0.0.53:53".parse().unwrap()), Some(4711));
            assert_eq!(drops(table, "127.0.0.53:54".parse().unwrap()), None);
        }
    }

    #[test]
    fn what_overflows_a_real_buffer_is_counted() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = std::net::UdpSocket::bind(address) else { continue };
            socket2::SockRef::from(&socket).set_recv_buffer_size(4096).unwrap();
            let bound = socket.local_addr().unwrap();
            let mut losses = Losses::of(bound);
            let sender = std::net::UdpSocket::bind(address).unwrap();
            for _ in 0..100 {
                sender.send_to(&[0; 1000], bound).unwrap();
            }
            let lost = losses.since_last(Instant::ZERO);
            assert!((1..100).contains(&lost), "{lost}");
            assert_eq!(losses.since_last(Instant::ZERO), 0, "not twice within a while");
        }
    }
}
