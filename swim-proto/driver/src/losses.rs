//! What the system's receive buffer had no room for.
//!
//! Linux counts it for each socket, in the last column of `/proc/net/udp`. It is looked up only while there is more to
//! do than one turn does, at most once in a while, and on a thread of its own: the table has a line for every socket of
//! the host, and to read it takes as long as there are.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use swim_proto::Instant;

/// The least time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The count of one socket.
#[derive(Debug)]
pub(crate) struct Losses {
    bound: SocketAddr,
    told: u64,
    looked: Option<Instant>,
    seen: Arc<Seen>,
}

/// What was seen last, and whether somebody is looking.
#[derive(Debug, Default)]
struct Seen {
    count: AtomicU64,
    is_looking: AtomicBool,
}

impl Losses {
    /// Of the UDP socket that has just been bound there.
    pub(crate) fn of(bound: SocketAddr) -> Losses {
        Losses { bound, told: 0, looked: None, seen: Arc::default() }
    }

    /// How many are known to have been lost since this was last asked, and has it looked up how many there are now: what
    /// is found is told the next time.
    pub(crate) fn since_last(&mut self, now: Instant) -> u64 {
        let count = self.seen.count.load(Ordering::Relaxed);
        if self.looked.is_none_or(|looked| now - looked >= PAUSE) {
            self.looked = Some(now);
            self.look();
        }
        count.saturating_sub(std::mem::replace(&mut self.told, count))
    }

    fn look(&self) {
        if !cfg!(target_os = "linux") || self.seen.is_looking.swap(true, Ordering::Relaxed) {
            return;
        }
        let (bound, seen) = (self.bound, self.seen.clone());
        let thread = std::thread::Builder::new().name("swim-losses".to_owned()).spawn(move || {
            if let Some(count) = count(bound) {
                seen.count.fetch_max(count, Ordering::Relaxed);
            }
            seen.is_looking.store(false, Ordering::Relaxed);
        });
        if thread.is_err() {
            self.seen.is_looking.store(false, Ordering::Relaxed);
        }
    }
}

fn count(bound: SocketAddr) -> Option<u64> {
    let table = if bound.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
    drops(BufReader::new(File::open(table).ok()?).lines().map_while(Result::ok), bound)
}

/// The last column of the line whose second one is this address. `None`: there is no such line.
fn drops(mut lines: impl Iterator<Item = String>, bound: SocketAddr) -> Option<u64> {
    let local = as_in_table(bound);
    let line = lines.find(|line| line.split_ascii_whitespace().nth(1) == Some(&local))?;
    line.split_ascii_whitespace().last()?.parse().ok()
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
        let drops = |bound: &str| drops(table.lines().map(str::to_owned), bound.parse().unwrap());
        // The sample is a little-endian host's.
        if cfg!(target_endian = "little") {
            assert_eq!(drops("127.0.0.53:53"), Some(4711));
            assert_eq!(drops("127.0.0.53:54"), None);
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
            assert_eq!(losses.since_last(Instant::ZERO), 0, "it is being looked up");
            while losses.seen.is_looking.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            let lost = losses.since_last(Instant::ZERO);
            assert!((1..100).contains(&lost), "{lost}");
            assert_eq!(losses.since_last(Instant::ZERO), 0, "not twice");
        }
    }
}
