//! How a node is to be run, and its start.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use swim_proto::messaging::{LocalPeer, Messenger};
use swim_proto::{ClusterHash, CommandError, Config, ConfigError, LocalMember, Node, NodeId, Transport};
use tracing::Instrument;

use crate::clock::{Clock, wall_millis};
use crate::driver::{Driver, Limits, Messages};
use crate::handle::{Handle, Identity};
#[cfg(feature = "zeromq")]
use crate::messaging::Backend;
use crate::messaging::{Listening, MessagingOptions, Port, Post};
use crate::seeds::{SeedError, SeedName};
use crate::sockets::{Reach, Sockets};

/// How a node is to be run. Begin with [`Options::new`], end with [`Options::start`].
///
/// ```no_run
/// # async fn example() -> Result<(), swim_tokio::StartError> {
/// let node = swim_tokio::Options::new("0.0.0.0:7946".parse().unwrap())
///     .with_advertise("192.0.2.17:7946".parse().unwrap())
///     .with_name("web-17")
///     .with_seeds(["seed-a.example:7946", "seed-b.example:7946"])
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The local address of both sockets, UDP and TCP, or of the one for TCP, if [`Config::transport`] is
    /// [`Transport::Stream`]. Port 0: one that is free for both. An unspecified address
    /// (`0.0.0.0`, `[::]`) listens on every interface and needs `advertise`; `[::]` serves IPv4 as well, any other
    /// serves its own family alone. An IPv4 address spelt as IPv6 (`[::ffff:10.0.0.7]`) is taken for what it is.
    pub bind: SocketAddr,
    /// Where others reach this node, if that is not `bind`: of a family that `bind` serves. Port 0: the port that was
    /// bound.
    pub advertise: Option<SocketAddr>,
    /// The member's unique name, 1 to 255 bytes. By default its advertised address.
    pub name: Option<String>,
    /// The application's own bytes about the member, at most 512.
    pub metadata: Bytes,
    /// Where others are told that the member accepts application messages, if that is not where it does: an address that
    /// is translated, or, without `messaging`, one at which the application itself listens.
    pub endpoint: Option<SocketAddr>,
    /// How reliable messages are sent and received; `None`: not at all. By default on, on the port 1,000 above the
    /// membership's.
    pub messaging: Option<MessagingOptions>,
    /// Members to join by, each `host:port`, looked up anew at each attempt. None: the first member of a new cluster,
    /// or one that calls [`Handle::join`] later.
    pub seeds: Vec<String>,
    /// The protocol's settings.
    pub config: Config,
    /// Greater than that of any earlier process of this name. By default the wall clock's milliseconds.
    pub life: Option<u64>,
    /// Decides every random choice of the protocol. By default a random number.
    pub randomness: Option<u64>,
    /// Bytes asked of the system for the UDP socket's receive buffer; it may grant less ([`DriverStats`]).
    ///
    /// [`DriverStats`]: crate::DriverStats
    pub receive_buffer: usize,
    /// Bytes asked of the system for the UDP socket's send buffer; it may grant less.
    pub send_buffer: usize,
    /// How many notices each receiver of events may fall behind before it loses the oldest; rounded up to a power of
    /// two, at most 2^20. All receivers share them; one is about 1 KiB at most.
    pub events_max: usize,
    /// How long opening a stream may take; 5 s by default, never 0.
    pub connect_timeout: Duration,
    /// After how long a lookup of a seed is reported as failed; 20 s by default. An answer that comes later is used all
    /// the same. Systems wait 5 s for one name server before they ask the next, so less than twice that would take one
    /// dead server for the loss of all.
    pub resolve_timeout: Duration,
}

impl Options {
    /// A node bound to `bind`, with [`Config::lan`].
    pub fn new(bind: SocketAddr) -> Options {
        Options {
            bind,
            advertise: None,
            name: None,
            metadata: Bytes::new(),
            endpoint: None,
            messaging: Some(MessagingOptions::default()),
            seeds: Vec::new(),
            config: Config::lan(),
            life: None,
            randomness: None,
            receive_buffer: 4 << 20,
            send_buffer: 1 << 20,
            events_max: 1024,
            connect_timeout: Duration::from_secs(5),
            resolve_timeout: Duration::from_secs(20),
        }
    }

    /// The same, reached by others at `address`.
    #[must_use]
    pub fn with_advertise(self, address: SocketAddr) -> Options {
        Options { advertise: Some(address), ..self }
    }

    /// The same under a name.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Options {
        Options { name: Some(name.into()), ..self }
    }

    /// The same with metadata.
    #[must_use]
    pub fn with_metadata(self, metadata: impl Into<Bytes>) -> Options {
        Options { metadata: metadata.into(), ..self }
    }

    /// The same with seeds, each `host:port`.
    #[must_use]
    pub fn with_seeds<I>(self, seeds: I) -> Options
    where
        I: IntoIterator<Item: Into<String>>,
    {
        Options { seeds: seeds.into_iter().map(Into::into).collect(), ..self }
    }

    /// The same with other settings of the protocol.
    #[must_use]
    pub fn with_config(self, config: Config) -> Options {
        Options { config, ..self }
    }

    /// The same with messages moved in this way.
    #[must_use]
    pub fn with_messaging(self, messaging: MessagingOptions) -> Options {
        Options { messaging: Some(messaging), ..self }
    }

    /// The same without messages: nothing is bound for them, and [`Handle::send`] refuses.
    #[must_use]
    pub fn without_messaging(self) -> Options {
        Options { messaging: None, ..self }
    }

    /// Binds the sockets and starts the node, on a task of the runtime this is called in. With seeds, it is joining
    /// when this returns; [`Handle::joined`] waits for its success.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time enabled.
    pub async fn start(self) -> Result<Handle, StartError> {
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
        let bound = sockets.bound;
        let mut address = advertise.unwrap_or(Reach::inward(bound));
        if address.port() == 0 {
            address.set_port(bound.port());
        }

        let mut local = LocalMember::new(address, self.life.unwrap_or_else(wall_millis)).with_metadata(self.metadata);
        let router = match &self.messaging {
            Some(messaging) => Some(bind_router(messaging, bind, bound).await?),
            None => None,
        };
        let accepts_at = |router: &Listening| router.address().map(|at| SocketAddr::new(address.ip(), at.port()));
        local.endpoint = self.endpoint.or(router.as_ref().and_then(|router| accepts_at(router).ok()));
        if let Some(name) = self.name {
            local.name = name;
        }
        let endpoint = local.endpoint;
        let (cluster, name) = (self.config.cluster.clone(), local.name.clone());
        let id = NodeId::of(&cluster, &name);
        let clock = Clock::start();
        let randomness = self.randomness.unwrap_or_else(random);
        let node = Node::new(clock.now(), local, self.config, randomness)?;
        let messages = match self.messaging.zip(router) {
            Some((options, listening)) => {
                let member = node.local();
                let local = LocalPeer { id, life: member.incarnation.life, cluster: ClusterHash::of(&cluster) };
                // Not the session of an earlier process, whatever was asked of the protocol's randomness.
                let messenger = Messenger::new(clock.now(), local, options.config.clone(), random())?;
                let post = Arc::new(Post::new(messenger, clock, options.events_max));
                Some(Messages { post, listening, options })
            }
            None => None,
        };

        // Until the system has said so once, the runtime takes the socket for one that cannot send.
        if let Some(udp) = &sockets.udp {
            udp.writable().await.map_err(|source| StartError::Bind { address: bind, source })?;
        }
        let limits = Limits {
            connect_timeout: self.connect_timeout,
            resolve_timeout: self.resolve_timeout,
            events_max: self.events_max,
        };
        let span = tracing::debug_span!("node", name);
        let (driver, ends) = span.in_scope(|| {
            let (mut driver, ends) = Driver::new(node, clock, sockets, &limits, messages);
            if !seeds.is_empty() {
                driver.join(seeds)?;
            }
            Ok::<_, StartError>((driver, ends))
        })?;
        tokio::spawn(driver.run().instrument(span));
        Ok(Handle::new(Identity { cluster, name, id, address, bound, endpoint }, ends))
    }
}

/// Binds the port where messages' links are accepted, beside that of the membership.
async fn bind_router(
    messaging: &MessagingOptions,
    wanted: SocketAddr,
    bound: SocketAddr,
) -> Result<Listening, StartError> {
    #[cfg(feature = "zeromq")]
    if messaging.backend == Backend::ZeromqCrate
        && tokio::runtime::Handle::current().runtime_flavor() != tokio::runtime::RuntimeFlavor::MultiThread
    {
        return Err(StartError::Runtime);
    }
    let port = messaging.port;
    let address = port.beside(wanted, bound).ok_or(StartError::MessagingPort { gossip: bound.port(), port })?;
    Listening::at(messaging.backend, address).await.map_err(|source| StartError::BindMessaging { address, source })
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
    /// [`Backend::ZeromqCrate`] hangs on a runtime of one thread when a peer stops reading.
    #[cfg(feature = "zeromq")]
    #[error("the zeromq crate needs a runtime of several threads: use one, or Backend::Links")]
    Runtime,
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
    /// The core refused to join.
    #[error(transparent)]
    Join(#[from] CommandError),
}
