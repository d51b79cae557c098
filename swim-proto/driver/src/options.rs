//! How a node is to be run.
//!
//! Each driver has an `Options` of its own, because each starts nodes in a way of its own; the macro gives all of them the
//! same fields. What is to be done with them is done in `preparing`.

/// Defines a driver's `Options`: fields, defaults, and the ways to change them. What is told of it as a whole, and how a
/// node is started, is the driver's. Needs `bytes` and `swim_proto` under these names.
#[macro_export]
macro_rules! options {
    ($(#[$about:meta])*) => {
        $crate::options! { @fields $(#[$about])* }

        impl From<Options> for $crate::Options {
            fn from(options: Options) -> $crate::Options {
                let Options {
                    bind,
                    advertise,
                    name,
                    metadata,
                    endpoint,
                    messaging,
                    seeds,
                    config,
                    life,
                    randomness,
                    receive_buffer,
                    send_buffer,
                    events_max,
                    connect_timeout,
                    resolve_timeout,
                } = options;
                let mut same = $crate::Options::new(bind);
                same.advertise = advertise;
                same.name = name;
                same.metadata = metadata;
                same.endpoint = endpoint;
                same.messaging = messaging;
                same.seeds = seeds;
                same.config = config;
                same.life = life;
                same.randomness = randomness;
                same.receive_buffer = receive_buffer;
                same.send_buffer = send_buffer;
                same.events_max = events_max;
                same.connect_timeout = connect_timeout;
                same.resolve_timeout = resolve_timeout;
                same
            }
        }
    };
    (@fields $(#[$about:meta])*) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct Options {
            /// The local address of both sockets, UDP and TCP, or of the one for TCP, if [`Config::transport`](swim_proto::Config::transport) is
            /// [`Transport::Stream`](swim_proto::Transport::Stream). Port 0: one that is free for both. An unspecified address
            /// (`0.0.0.0`, `[::]`) listens on every interface and needs `advertise`; `[::]` serves IPv4 as well, any other
            /// serves its own family alone. An IPv4 address spelt as IPv6 (`[::ffff:10.0.0.7]`) is taken for what it is.
            pub bind: ::std::net::SocketAddr,
            /// Where others reach this node, if that is not `bind`: of a family that `bind` serves. Port 0: the port that was
            /// bound.
            pub advertise: Option<::std::net::SocketAddr>,
            /// The member's unique name, 1 to 255 bytes. By default its advertised address.
            pub name: Option<String>,
            /// The application's own bytes about the member, at most 512.
            pub metadata: ::bytes::Bytes,
            /// Where others are told that the member accepts application messages, if that is not where it does: an address that
            /// is translated, or, without `messaging`, one at which the application itself listens.
            pub endpoint: Option<::std::net::SocketAddr>,
            /// How reliable messages are sent and received; `None`: not at all. By default on, on the port 1,000 above the
            /// membership's.
            pub messaging: Option<$crate::messaging::MessagingOptions>,
            /// Members to join by, each `host:port`, looked up anew at each attempt. None: the first member of a new cluster,
            /// or one that calls `Handle::join` later.
            pub seeds: Vec<String>,
            /// The protocol's settings.
            pub config: ::swim_proto::Config,
            /// Greater than that of any earlier process of this name. By default the wall clock's milliseconds.
            pub life: Option<u64>,
            /// Decides every random choice of the protocol. By default a random number.
            pub randomness: Option<u64>,
            /// Bytes asked of the system for the UDP socket's receive buffer; it may grant less (`DriverStats`).
            pub receive_buffer: usize,
            /// Bytes asked of the system for the UDP socket's send buffer; it may grant less.
            pub send_buffer: usize,
            /// How many notices each receiver of events may fall behind before it loses the oldest; at most 2^20.
            /// `swim-tokio` rounds it up to a power of two. All receivers share them; one is about 1 KiB at most, and the
            /// payload of a broadcast or a message.
            pub events_max: usize,
            /// How long opening a stream may take; 5 s by default, never 0.
            pub connect_timeout: ::std::time::Duration,
            /// After how long a lookup of a seed is reported as failed; 20 s by default. An answer that comes later is used all
            /// the same. Systems wait 5 s for one name server before they ask the next, so less than twice that would take one
            /// dead server for the loss of all.
            pub resolve_timeout: ::std::time::Duration,
        }

        impl Options {
            /// A node bound to `bind`, with [`Config::lan`](swim_proto::Config::lan).
            pub fn new(bind: ::std::net::SocketAddr) -> Options {
                Options {
                    bind,
                    advertise: None,
                    name: None,
                    metadata: ::bytes::Bytes::new(),
                    endpoint: None,
                    messaging: Some($crate::messaging::MessagingOptions::default()),
                    seeds: Vec::new(),
                    config: ::swim_proto::Config::lan(),
                    life: None,
                    randomness: None,
                    receive_buffer: 4 << 20,
                    send_buffer: 1 << 20,
                    events_max: 1024,
                    connect_timeout: ::std::time::Duration::from_secs(5),
                    resolve_timeout: ::std::time::Duration::from_secs(20),
                }
            }

            /// The same, reached by others at `address`.
            #[must_use]
            pub fn with_advertise(self, address: ::std::net::SocketAddr) -> Options {
                Options { advertise: Some(address), ..self }
            }

            /// The same under a name.
            #[must_use]
            pub fn with_name(self, name: impl Into<String>) -> Options {
                Options { name: Some(name.into()), ..self }
            }

            /// The same with metadata.
            #[must_use]
            pub fn with_metadata(self, metadata: impl Into<::bytes::Bytes>) -> Options {
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
            pub fn with_config(self, config: ::swim_proto::Config) -> Options {
                Options { config, ..self }
            }

            /// The same with messages moved in this way.
            #[must_use]
            pub fn with_messaging(self, messaging: $crate::messaging::MessagingOptions) -> Options {
                Options { messaging: Some(messaging), ..self }
            }

            /// The same without messages: nothing is bound for them, and `Handle::send` refuses.
            #[must_use]
            pub fn without_messaging(self) -> Options {
                Options { messaging: None, ..self }
            }
        }
    };
}

options! {
    @fields
    /// How a node is to be run, as every driver has it.
}
