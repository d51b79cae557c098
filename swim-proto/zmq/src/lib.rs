//! One ZeroMQ link as a sans-IO machine.
//!
//! A [`Link`] is what one end of one TCP connection knows of [ZMTP 3.x](https://rfc.zeromq.org/spec/23/): bytes and
//! timestamps go in; bytes, whole multipart messages, events and a deadline come out. It opens no socket, reads no
//! clock and knows no runtime, so that every driver uses the same one. It is a DEALER, who connects, or a ROUTER, who
//! accepts. When a DEALER's driver is to connect, and connect again, is for whoever wants to be connected to say.
//!
//! The bytes of ZMTP are the crate `omq-proto`'s. This crate is what stands before and around it: limits on what a
//! peer may declare, checked before anything is kept for it; deadlines; heartbeats; bounded queues either way.
//!
//! # Driving a link
//!
//! 1. Make one when the TCP connection stands, [`Link::new`].
//! 2. Write what [`Link::transmit`] shows, and say with [`Link::transmitted`] how much the socket took.
//! 3. While [`Link::wants_input`], read, and hand what was read to [`Link::handle_input`]. While it does not, do not
//!    read: TCP then tells the peer to wait.
//! 4. After each input: [`Link::poll_message`] and [`Link::poll_event`] until they give nothing. Whoever cannot take
//!    more messages stops polling them; the link stops reading by itself.
//! 5. Sleep until [`Link::deadline`], then [`Link::handle_timeout`].
//! 6. At [`Event::Closed`], write what is still there if the socket takes it, and drop connection and link.
//!
//! ```
//! use bytes::Bytes;
//! use swim_proto::Instant;
//! use swim_zmq::{Event, Link, LinkConfig};
//!
//! let now = Instant::ZERO;
//! let mut dealer = Link::new(now, LinkConfig::dealer("a")).unwrap();
//! let mut router = Link::new(now, LinkConfig::router("b")).unwrap();
//!
//! /// What a driver and a wire would do.
//! fn carry(now: Instant, from: &mut Link, to: &mut Link) {
//!     let bytes = from.transmit_bytes();
//!     from.transmitted(now, bytes.len());
//!     to.handle_input(now, &bytes);
//! }
//! for _ in 0..2 {
//!     carry(now, &mut dealer, &mut router);
//!     carry(now, &mut router, &mut dealer);
//! }
//! assert!(matches!(router.poll_event(), Some(Event::Ready(peer)) if peer.identity == "a"));
//!
//! dealer.send(&[Bytes::from_static(b"hello"), Bytes::from_static(b"world")]).unwrap();
//! carry(now, &mut dealer, &mut router);
//! assert_eq!(router.poll_message(now).unwrap(), ["hello", "world"]);
//! ```

mod config;
mod error;
mod frame;
mod greeting;
mod heartbeat;
mod limits;
mod link;
mod outbox;
mod ready;

pub use config::{ConfigError, HeartbeatConfig, LinkConfig, Mechanism, Role, Socket};
pub use error::{IdentityError, LinkError, SendError};
pub use limits::{COMMAND_BYTES_MAX, HANDSHAKE_BYTES_MAX, IDENTITY_BYTES_MAX, Limits};
pub use link::{Event, Link, Peer, Stats};
