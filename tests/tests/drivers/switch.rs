//! Lies between nodes and passes on what they say to each other, or does not: a partition that can be mended.
//!
//! Each node tells others an address of the switch, and an endpoint there for the links of its messages. What arrives there
//! is passed to the node from the address that the sender has here, so that to everybody the addresses are what they are
//! told. Nodes are told apart by their hosts, which are loopback addresses of their own (so this is for Linux, where there
//! are many).

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use swim_driver::messaging::{self, MessagingOptions};

use crate::node::{Wanted, loopback};

/// The switch. Dropping it cuts everything.
pub(crate) struct Switch {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    ports: Mutex<BTreeMap<IpAddr, Port>>,
    /// Whether the sides cannot hear each other.
    is_cut: AtomicBool,
    is_over: AtomicBool,
    dropped: AtomicU64,
    /// Connections between the sides, to be reset when they are cut.
    across: Mutex<Vec<TcpStream>>,
}

/// Where a node is known to the others, and where it is.
#[derive(Clone)]
struct Port {
    outside: Arc<UdpSocket>,
    at: SocketAddr,
    inside: SocketAddr,
    side: bool,
}

/// How often is looked whether all is over.
const LOOK: Duration = Duration::from_millis(50);

impl Switch {
    pub(crate) fn new() -> Switch {
        Switch { shared: Arc::default() }
    }

    /// A node-to-be on that side, behind the switch, with its messages.
    pub(crate) fn behind(&self, side: bool, name: &str) -> Wanted {
        let [inside, links_inside] = two_free_ports();
        let listener = listen(loopback());
        let at = listener.local_addr().expect("it is bound");
        let links = listen(SocketAddr::new(at.ip(), 0));
        let endpoint = links.local_addr().expect("it is bound");
        let outside = Arc::new(UdpSocket::bind(at).expect("a host of its own has this port free for both"));
        outside.set_read_timeout(Some(LOOK)).expect("it is more than nothing");
        let port = Port { outside, at, inside, side };
        self.shared.ports.lock().unwrap().insert(inside.ip(), port.clone());
        let (shared, to) = (self.shared.clone(), port.clone());
        std::thread::spawn(move || shared.carry_datagrams(&to));
        let shared = self.shared.clone();
        let to = port.clone();
        std::thread::spawn(move || shared.carry_streams(&to, &listener, inside));
        let shared = self.shared.clone();
        std::thread::spawn(move || shared.carry_streams(&port, &links, links_inside));
        let messaging = MessagingOptions::default().with_port(messaging::Port::At(links_inside.port()));
        let (advertise, endpoint, messaging) = (Some(at), Some(endpoint), Some(messaging));
        Wanted { bind: inside, advertise, endpoint, messaging, ..Wanted::named(name) }
    }

    /// From now on the sides do not hear each other.
    pub(crate) fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        for stream in self.shared.across.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn mend(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
    }

    /// Datagrams and connections that did not get through.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.cut();
    }
}

fn listen(at: SocketAddr) -> TcpListener {
    TcpListener::bind(at).expect("loopback has a free port")
}

/// Two ports of a host that nobody else here has, and that stay free.
fn two_free_ports() -> [SocketAddr; 2] {
    let first = listen(loopback());
    let at = first.local_addr().expect("it is bound");
    let second = listen(SocketAddr::new(at.ip(), 0));
    [at, second.local_addr().expect("it is bound")]
}

impl Shared {
    /// From whom something comes, if it may pass.
    fn sender(&self, from: IpAddr, to: &Port) -> Option<Port> {
        let sender = self.ports.lock().unwrap().get(&from)?.clone();
        let passes = sender.side == to.side || !self.is_cut.load(Ordering::SeqCst);
        self.dropped.fetch_add(u64::from(!passes), Ordering::Relaxed);
        passes.then_some(sender)
    }

    fn carry_datagrams(&self, to: &Port) {
        let mut buffer = vec![0; 65_536];
        while !self.is_over.load(Ordering::SeqCst) {
            let Ok((len, from)) = to.outside.recv_from(&mut buffer) else { continue };
            if let Some(sender) = self.sender(from.ip(), to) {
                // A datagram may be lost.
                let _ = sender.outside.send_to(&buffer[..len], to.inside);
            }
        }
    }

    /// Those that `listener` accepts, to where the node accepts them.
    fn carry_streams(self: &Arc<Self>, to: &Port, listener: &TcpListener, inside: SocketAddr) {
        listener.set_nonblocking(true).expect("it may not wait");
        while !self.is_over.load(Ordering::SeqCst) {
            let Ok((near, from)) = listener.accept() else {
                std::thread::sleep(LOOK / 10);
                continue;
            };
            let Some(sender) = self.sender(from.ip(), to) else { continue };
            let (shared, to) = (self.clone(), to.clone());
            std::thread::spawn(move || drop(shared.join(near, &sender, &to, inside)));
        }
    }

    /// Carries bytes both ways until both sides have finished, or one is gone.
    fn join(&self, near: TcpStream, sender: &Port, to: &Port, inside: SocketAddr) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(sender.at.ip(), 0).into())?;
        socket.connect(&inside.into())?;
        let far: TcpStream = socket.into();
        near.set_nonblocking(false)?;
        if sender.side != to.side {
            self.across.lock().unwrap().extend([near.try_clone()?, far.try_clone()?]);
            // Cut between the look and this.
            if self.is_cut.load(Ordering::SeqCst) {
                near.shutdown(Shutdown::Both)?;
                return far.shutdown(Shutdown::Both);
            }
        }
        let (mut from, mut into) = (near.try_clone()?, far.try_clone()?);
        let forth = std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut into);
            let _ = into.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut &far, &mut &near);
        let _ = near.shutdown(Shutdown::Write);
        let _ = forth.join();
        Ok(())
    }
}
