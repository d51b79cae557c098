//! From options to a node that is ready to be run: what is checked, bound and made, in which order.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::messaging::{LocalPeer, Messenger};
use swim_proto::{ClusterHash, CommandError, ConfigError, LocalMember, Node, NodeId, Transport};

use crate::Options;
use crate::clock::{Clock, wall_millis};
use crate::messaging::{Backend, MessagingOptions, Port};
use crate::seeds::{SeedError, SeedName};
use crate::sockets::{Reach, Sockets};

/// The first half of a start: the options are checked, the membership's sockets bound.
#[derive(Debug)]
pub struct Prepared {
    options: Options,
    seeds: Vec<SeedName>,
    /// As asked for.
    bind: SocketAddr,
    /// Where others reach the node.
    address: SocketAddr,
    sockets: Sockets,
}

/// A node that is to be run.
#[derive(Debug)]
pub struct Built {
    /// The machine.
    pub node: Node,
    /// By which it was told the time.
    pub clock: Clock,
    /// Its sockets.
    pub sockets: Sockets,
    /// By whom it is to join at once; may be empty.
    pub seeds: Vec<SeedName>,
    /// The messages' machine, and how it is to be run.
    pub messages: Option<(Messenger, MessagingOptions)>,
    /// What never changes about it.
    pub identity: Identity,
    /// What the driver is to know beyond that.
    pub limits: Limits,
}

/// What never changes about a node.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The cluster's name.
    pub cluster: String,
    /// The member's.
    pub name: String,
    /// Its id.
    pub id: NodeId,
    /// Where others reach it.
    pub address: SocketAddr,
    /// Where its sockets are bound.
    pub bound: SocketAddr,
    /// Where others are told that it accepts messages.
    pub endpoint: Option<SocketAddr>,
}

/// What a driver is to know beyond its node and sockets: fields of the options.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long opening a stream may take.
    pub connect_timeout: Duration,
    /// After how long a lookup is reported as failed.
    pub resolve_timeout: Duration,
    /// How many notices a receiver may fall behind.
    pub events_max: usize,
}

impl Options {
    /// Checks everything that can be checked, and binds the sockets of the membership.
    ///
    /// # Errors
    /// Nothing is bound then.
    pub fn prepare(self) -> Result<Prepared, StartError> {
        self.config.validate()?;
        if let Some(messaging) = &self.messaging {
            messaging.config.validate()?;
        }
        if self.connect_timeout.is_zero() {
            return Err(StartError::ConnectTimeout);
        }
        let seeds = self.seeds.iter().map(|seed| seed.parse()).collect::<Result<Vec<SeedName>, _>>()?;
        let bind = plain(self.bind);
        let advertise = self.advertise.map(Reach::inward);
        let told = advertise.unwrap_or(bind);
        if told.ip().is_unspecified() {
            return Err(StartError::Unreachable { address: told });
        }
        if let Some(advertise) = advertise.filter(|&advertise| !Reach::of(bind).reaches(advertise)) {
            return Err(StartError::Family { bind, advertise });
        }
        let sockets = match self.config.transport {
            Transport::Stream => Sockets::bind_streams(bind),
            Transport::Datagram | Transport::Hybrid => Sockets::bind(bind, self.receive_buffer, self.send_buffer),
        };
        let sockets = sockets.map_err(|source| StartError::Bind { address: bind, source })?;
        let mut address = advertise.unwrap_or(Reach::inward(sockets.bound));
        if address.port() == 0 {
            address.set_port(sockets.bound.port());
        }
        Ok(Prepared { options: self, seeds, bind, address, sockets })
    }
}

impl Prepared {
    /// Where the sockets were to be bound.
    pub fn bind(&self) -> SocketAddr {
        self.bind
    }

    /// What moves messages, and where links are to be accepted; none where no messages are moved.
    ///
    /// # Errors
    /// The port that was asked for, beside the one that was bound, is none ([`StartError::MessagingPort`]).
    pub fn router(&self) -> Result<Option<(Backend, SocketAddr)>, StartError> {
        let Some(messaging) = &self.options.messaging else { return Ok(None) };
        let (port, bound) = (messaging.port, self.sockets.bound);
        let address = port.beside(self.bind, bound).ok_or(StartError::MessagingPort { gossip: bound.port(), port })?;
        Ok(Some((messaging.backend, address)))
    }

    /// The node, whose links are accepted at `router`.
    ///
    /// # Errors
    /// A setting lies outside its bounds, or what the member says of itself is too long.
    pub fn build(self, router: Option<SocketAddr>) -> Result<Built, StartError> {
        let Prepared { options, seeds, address, sockets, .. } = self;
        let mut local =
            LocalMember::new(address, options.life.unwrap_or_else(wall_millis)).with_metadata(options.metadata);
        local.endpoint = options.endpoint.or(router.map(|router| SocketAddr::new(address.ip(), router.port())));
        if let Some(name) = options.name {
            local.name = name;
        }
        let (cluster, name, endpoint) = (options.config.cluster.clone(), local.name.clone(), local.endpoint);
        let id = NodeId::of(&cluster, &name);
        let clock = Clock::start();
        let node = Node::new(clock.now(), local, options.config, options.randomness.unwrap_or_else(random))?;
        let messages = match options.messaging {
            Some(messaging) => {
                let life = node.local().incarnation.life;
                let local = LocalPeer { id, life, cluster: ClusterHash::of(&cluster) };
                // Not the session of an earlier process, whatever was asked of the protocol's randomness.
                Some((Messenger::new(clock.now(), local, messaging.config.clone(), random())?, messaging))
            }
            None => None,
        };
        let limits = Limits {
            connect_timeout: options.connect_timeout,
            resolve_timeout: options.resolve_timeout,
            events_max: options.events_max,
        };
        let identity = Identity { cluster, name, id, address, bound: sockets.bound, endpoint };
        Ok(Built { node, clock, sockets, seeds, messages, identity, limits })
    }
}

/// An IPv4 address spelt as IPv6, as what it is; others as they are, with their scope.
fn plain(bind: SocketAddr) -> SocketAddr {
    let plain = Reach::inward(bind);
    if plain.is_ipv4() { plain } else { bind }
}

/// A random number, by way of the keys that the standard library draws from the system for its maps.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Why a node was not started. Nothing runs and nothing is bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The sockets could not be bound.
    #[error("cannot bind {address}: {source}")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The port for messages could not be bound.
    #[error(
        "cannot bind {address} for messages: {source}; choose another MessagingOptions::port, or do without_messaging"
    )]
    BindMessaging {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The `zeromq` crate hangs on a runtime of one thread when a peer stops reading.
    #[cfg(feature = "zeromq")]
    #[error("the zeromq crate needs a runtime of several threads: use one, or Backend::Links")]
    Runtime,
    /// That backend of links is another driver's.
    #[error("this driver has no backend {backend:?}: use Backend::Links")]
    Backend {
        /// What was asked for.
        backend: Backend,
    },
    /// There is no port so far above the membership's.
    #[error(
        "messages would need a port {port:?} {gossip}, and there is none beyond 65535: choose another \
         MessagingOptions::port, or do without_messaging"
    )]
    MessagingPort {
        /// The membership's port.
        gossip: u16,
        /// What was asked for.
        port: Port,
    },
    /// Others would be told an unspecified address: the one to advertise, or, where none is given, the one to bind.
    #[error(
        "others would be told to reach the node at {address}, which is no host's address: advertise one that they can \
         reach, or bind one interface's address"
    )]
    Unreachable {
        /// What others were to be told.
        address: SocketAddr,
    },
    /// Others would be told an address of a family that the node neither sends to nor listens on.
    #[error(
        "bound to {bind}, a node cannot be reached at {advertise}, which is of the other family: advertise an address of \
         the same, or bind [::], which serves both"
    )]
    Family {
        /// The address that was asked for.
        bind: SocketAddr,
        /// What others were to be told.
        advertise: SocketAddr,
    },
    /// No stream could ever be opened, and so no cluster joined.
    #[error("connect_timeout is 0s, in which no stream can be opened; it must be more, 5s unless you know better")]
    ConnectTimeout,
    /// A seed is not one host's address, nor a name, with a port.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The core refused the settings, or the local member.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gives no thread, or no readiness queue, to run the node with.
    #[error("the system gives no thread or event queue for the node: {0}")]
    System(io::Error),
    /// The core refused to join.
    #[error(transparent)]
    Join(#[from] CommandError),
}
