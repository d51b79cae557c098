//! What the kernel tells the judges, and what they may ask it.
//!
//! The kernel moves bytes and time and has no opinion; the judges (`judges.rs`) have opinions and move nothing. Between
//! them stand three things:
//!
//! - [`Observation`]: everything that happens, told in the order in which it happens;
//! - [`View`]: what a node shows of itself, so that a judge never looks behind a node's public face and a deliberately
//!   broken node (`broken.rs`) can show a false one;
//! - [`Truth`]: what is really so in the simulated world: who is up, who can reach whom, and since when.
//!
//! **The order.** For each input of a node, whatever it is: [`Observation::Input`] just before the node is given it, then
//! [`Observation::Said`] if it
//! was taken and is what an application says, one observation for each action polled ([`Observation::Transmit`],
//! [`Observation::StreamConnect`], [`Observation::StreamWrite`],
//! [`Observation::StreamClosed`], [`Observation::Event`]; others need not be told), then [`Observation::Settled`] once
//! [`Node::poll_action`] gave `None`. From [`Observation::Transmit`] on, [`Truth::view`] shows the node after the
//! input. [`Observation::Started`] is followed at once by a drain and [`Observation::Settled`] as if it were an input.

mod post;

use std::net::SocketAddr;
use std::time::Duration;

use crate::messaging::MessengerView;
pub use post::{Post, Posted};
use swim_proto::{Config, Event, Instant, Member, Node, NodeId, Stats, Status, StreamId};

/// A place where one member's processes run, one after the other: it outlives crash and restart, even at a new address.
/// Numbered from 0 without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// As an index into a table of slots.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub enum Observation<'a> {
    /// A process was started in this slot: for the first time, or anew after a crash or a departure.
    Started {
        /// Where.
        slot: Slot,
    },
    /// This node is about to be given an input.
    Input {
        /// Who.
        slot: Slot,
        /// What.
        input: Input<'a>,
    },
    /// It wants a datagram sent. Told even if the network then loses it or the node's own I/O is blocked.
    Transmit {
        /// Who.
        slot: Slot,
        /// Where to.
        to: SocketAddr,
        /// The datagram.
        bytes: &'a [u8],
    },
    /// It opens a stream.
    StreamConnect {
        /// Who.
        slot: Slot,
        /// The node's own name of the stream.
        stream: StreamId,
        /// Where to.
        to: SocketAddr,
    },
    /// It writes to a stream.
    StreamWrite {
        /// Who.
        slot: Slot,
        /// The node's own name of the stream.
        stream: StreamId,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// It reset a stream or the stream ended at this node: no more will be written to it or read from it here.
    StreamClosed {
        /// Who.
        slot: Slot,
        /// The node's own name of the stream.
        stream: StreamId,
    },
    /// It tells its application something.
    Event {
        /// Who.
        slot: Slot,
        /// What.
        event: Event<'a>,
    },
    /// It took what its application said.
    Said {
        /// Who.
        slot: Slot,
        /// What.
        said: Said<'a>,
    },
    /// Something about its messenger.
    Post {
        /// Who.
        slot: Slot,
        /// What.
        post: Post<'a>,
    },
    /// All it had to do after its last input has been done.
    Settled {
        /// Who.
        slot: Slot,
    },
    /// Its process ended: crashed, or was stopped after leaving.
    Stopped {
        /// Who.
        slot: Slot,
    },
    /// It was paused or went on, its I/O was blocked or unblocked: [`Truth::condition`] says what holds now.
    ConditionChanged {
        /// Who.
        slot: Slot,
    },
    /// Links changed: [`Truth::linked_since`] says what holds now.
    LinksChanged,
    /// This packet, forged by the scenario, will be delivered to somebody as a datagram or as a frame of a stream (here
    /// without the frame's length). Told once, before its delivery.
    Injected {
        /// The packet.
        packet: &'a [u8],
    },
    /// The scenario's faults have ended: nothing more crashes, restarts, joins or leaves, every pair is linked, every
    /// process that is up is running. From here liveness is judged.
    FaultsStopped {
        /// Whether from here the network loses nothing at all, datagrams or stream segments. Only then is a death of
        /// the living a violation and not merely counted.
        lossless: bool,
    },
}

/// What a node is given.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A datagram, as it arrived.
    Datagram {
        /// From where.
        from: SocketAddr,
        /// Its bytes, after whatever the network did to them.
        bytes: &'a [u8],
    },
    /// Bytes of a stream.
    StreamData {
        /// The node's own name of the stream.
        stream: StreamId,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Anything else about a stream: asked to accept, connected, written, finished, failed.
    StreamMoved,
    /// A seed was looked up.
    Resolved,
    /// Its time-out.
    Timeout,
    /// Its driver says that datagrams were lost before they were read.
    Lost,
    /// Its application wants something.
    Command(Command),
}

/// What an application said, once its node took it.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    /// To all.
    Broadcast {
        /// The life of its node.
        life: u64,
        /// The number that its node gave it.
        sequence: u64,
        /// Its bytes.
        payload: &'a [u8],
    },
    /// To one.
    Message {
        /// To whom.
        to: NodeId,
        /// Its bytes.
        payload: &'a [u8],
    },
}

/// What an application wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// To join.
    Join,
    /// To leave.
    Leave,
    /// Other metadata.
    SetMetadata,
    /// This member to be taken for departed.
    ForceLeave(NodeId),
    /// To say something to all.
    Broadcast,
    /// To say something to this member.
    Message(NodeId),
}

/// What holds for a slot's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There is none.
    Down,
    /// It runs, sends and receives.
    Running,
    /// It is stopped in its tracks: nothing reaches it, no timer fires.
    Paused,
    /// Its timers fire, but nothing it sends leaves and nothing reaches it (Lifeguard's anomaly), or it is so slow that
    /// it cannot be said to answer.
    Blocked,
}

/// What is really so.
pub trait Truth {
    /// How many slots there are; those not yet started are `Down`.
    fn slots(&self) -> usize;

    /// What holds for this slot, and since when (simulated time).
    fn condition(&self, slot: Slot) -> (Condition, Instant);

    /// Since when packets pass between the two both ways, but for the loss that all links share; `None` while they
    /// don't, in one direction or both. About the network alone: not whether either is up. A slot that moved to
    /// another address is linked anew.
    fn linked_since(&self, a: Slot, b: Slot) -> Option<Instant>;

    /// Within what time the network carries every packet at present; `None`: it may lose, double or damage some, or hold
    /// them up for longer than can be said.
    fn carries_within(&self) -> Option<Duration>;

    /// Whether the network carries datagrams at all, besides streams.
    fn carries_datagrams(&self) -> bool;

    /// Since when the network has lost, damaged and held up nothing, datagrams least of all; `None` while it may.
    fn lossless_since(&self) -> Option<Instant>;

    /// Whether this slot's node is named as a seed to all nodes.
    fn is_seed(&self, slot: Slot) -> bool;

    /// The node in this slot, unless it is down.
    fn view(&self, slot: Slot) -> Option<&dyn View>;

    /// The `now` given to this node with its last input: its own clock, which may run fast or slow. During
    /// [`Observation::Input`] still that of the input before.
    fn clock(&self, slot: Slot) -> Instant;

    /// The messenger in this slot, if it has one.
    fn messenger(&self, _: Slot) -> Option<&dyn MessengerView> {
        None
    }

    /// The `now` given to this messenger with its last input. During [`Post::Given`] that of the input to come.
    fn messenger_clock(&self, slot: Slot) -> Instant {
        self.clock(slot)
    }

    /// Since when nothing has befallen the links of this slot's process, nor the application that reads from them; `None`
    /// while something does.
    fn undisturbed_since(&self, _: Slot) -> Option<Instant> {
        Some(Instant::ZERO)
    }

    /// How fast its clock runs: seconds shown per simulated second.
    fn clock_rate(&self, slot: Slot) -> f64;
}

/// What a node shows of itself: [`Node`]'s own views, by the same names.
pub trait View {
    /// See [`Node::local`].
    fn local(&self) -> Member<'_>;
    /// See [`Node::status`].
    fn status(&self) -> Status;
    /// Calls `each` with every one of [`Node::members`].
    fn members(&self, each: &mut dyn FnMut(Member<'_>));
    /// See [`Node::member`].
    fn member(&self, id: NodeId) -> Option<Member<'_>>;
    /// See [`Node::changed`].
    fn changed(&self) -> &[NodeId];
    /// See [`Node::live`].
    fn live(&self) -> usize;
    /// See [`Node::digest`].
    fn digest(&self) -> u64;
    /// See [`Node::health`].
    fn health(&self) -> u8;
    /// See [`Node::stats`].
    fn stats(&self) -> Stats;
    /// See [`Node::deadline`].
    fn deadline(&self) -> Option<Instant>;
    /// See [`Node::config`].
    fn config(&self) -> &Config;
}

impl View for Node {
    fn local(&self) -> Member<'_> {
        Node::local(self)
    }
    fn status(&self) -> Status {
        Node::status(self)
    }
    fn members(&self, each: &mut dyn FnMut(Member<'_>)) {
        Node::members(self).for_each(each);
    }
    fn member(&self, id: NodeId) -> Option<Member<'_>> {
        Node::member(self, id)
    }
    fn changed(&self) -> &[NodeId] {
        Node::changed(self)
    }
    fn live(&self) -> usize {
        Node::live(self)
    }
    fn digest(&self) -> u64 {
        Node::digest(self)
    }
    fn health(&self) -> u8 {
        Node::health(self)
    }
    fn stats(&self) -> Stats {
        Node::stats(self)
    }
    fn deadline(&self) -> Option<Instant> {
        Node::deadline(self)
    }
    fn config(&self) -> &Config {
        Node::config(self)
    }
}
