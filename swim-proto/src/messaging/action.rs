//! What a messenger asks for, and what it is told of links and members.

use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

use super::message::Outcome;
use crate::membership::NodeId;

/// Names a link. Given by the messenger, to those it opens and to those it accepts, and never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What is to be done now: [`Messenger::poll_action`](super::Messenger::poll_action).
#[derive(Clone, Debug, PartialEq)]
pub enum Action<'b> {
    /// Connect to an endpoint. Answer with [`LinkInput::Up`] once packets can be sent, or [`LinkInput::Down`]. One
    /// attempt, one connection: trying again is the messenger's business.
    Open {
        /// The link's name from now on.
        link: LinkId,
        /// Who should be there.
        peer: NodeId,
        /// The endpoint.
        to: SocketAddr,
    },
    /// Put one packet on a link that is up, as a multipart message: the header, and, if there is one, the payload as
    /// second and last part. Never asked between [`LinkInput::Full`] and [`LinkInput::Writable`].
    Send {
        /// On which link.
        link: LinkId,
        /// The first part: in the buffer given to `poll_action`, so copy it.
        header: &'b [u8],
        /// The second part: shared, not copied.
        payload: Option<Bytes>,
    },
    /// Close a link, in whatever state it is, after what was put on it, but within the driver's own short time. Its
    /// name is void: nothing is reported of it any more.
    Close {
        /// Which link.
        link: LinkId,
    },
    /// Tell the application.
    Event(Event),
}

/// What happened to a link: [`Messenger::handle_link`](super::Messenger::handle_link).
#[derive(Clone, Copy, Debug)]
pub enum LinkInput<'a> {
    /// A link that the messenger opened is connected: packets can be sent. Links accepted are up from the beginning.
    Up,
    /// A multipart message came, whole: its parts.
    Packet(&'a [Bytes]),
    /// No more packets fit, until [`LinkInput::Writable`]. What was given before is not lost by it.
    Full,
    /// Packets fit again.
    Writable,
    /// It could not be opened, or is gone. Its name is void.
    Down,
}

/// What is held of a member: [`Messenger::handle_member`](super::Messenger::handle_member).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberInput {
    /// It lives (Alive or Suspect). Told for every change, and harmless to tell again.
    Live {
        /// Its life.
        life: u64,
        /// Where it gossips: links from this host may be its own.
        address: SocketAddr,
        /// Where its links are accepted. Without, nothing can be sent to it.
        endpoint: Option<SocketAddr>,
    },
    /// It is held dead.
    Dead,
    /// It departed.
    Left,
    /// It is forgotten, and so is what was kept for its return.
    Forgotten,
}

/// What the application is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// There is something to take where there was nothing ([`Messenger::take`](super::Messenger::take)). Take until
    /// `None`; then this is told again.
    Readable,
    /// What became of a message.
    Outcome(Outcome),
    /// There is room again where there was none: told once after a refusal with
    /// [`SendError::QueueFull`](super::SendError::QueueFull), to the member refused. Or there is no use in waiting for
    /// it any longer: sending again says why.
    Writable {
        /// To whom there is room.
        to: NodeId,
    },
    /// A buffer fills or empties.
    Level {
        /// Which.
        buffer: Buffer,
        /// How full it is now.
        level: Level,
    },
    /// A circuit breaker changed.
    Breaker {
        /// Whose.
        peer: NodeId,
        /// What it is now.
        state: BreakerState,
    },
    /// Messages can be sent to a member now.
    Linked {
        /// Who answered.
        peer: NodeId,
        /// In which life.
        life: u64,
    },
    /// A link to a member, on which messages could be sent, is gone.
    Unlinked {
        /// Whose.
        peer: NodeId,
    },
}

/// A buffer that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// Messages accepted for one member and not done.
    OutgoingTo(NodeId),
    /// Messages accepted and not done.
    Outgoing,
    /// Messages received and not taken, with what peers were promised room for.
    Incoming,
}

/// How full a buffer is, in messages or in bytes, whichever is more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Below three quarters; after having been above, below half.
    #[default]
    Normal,
    /// Three quarters or more.
    High,
    /// It has refused something since it was last below three quarters.
    Full,
}

/// Whether messages to a member are accepted (`docs/messaging.md` 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerState {
    /// They are.
    #[default]
    Closed,
    /// They are refused.
    Open {
        /// Until it becomes half-open. `None`: until the member lives again.
        retry_in: Option<Duration>,
    },
    /// One is accepted, to see what becomes of it.
    HalfOpen,
}
