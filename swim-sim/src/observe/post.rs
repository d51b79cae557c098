//! What is told of a messenger: the same as of a node, input by input.
//!
//! [`Post::Given`] comes just before the messenger is given an input. Then what it answered, if it did
//! ([`Post::Accepted`], [`Post::Refused`], [`Post::Took`], …), one for each action polled, and [`Post::Settled`].

use std::net::SocketAddr;

use bytes::Bytes;
use swim_proto::messaging::{Event, LinkId, MessageId, Outgoing, Receipt, Received, SendError};
use swim_proto::{Event as NodeEvent, NodeId};

/// One thing that happened at a messenger.
#[derive(Clone, Copy, Debug)]
pub enum Post<'a> {
    /// It was made, with its process.
    Made,
    /// It is about to be given an input.
    Given(Posted<'a>),
    /// It accepted a message.
    Accepted {
        /// What it is called from now on.
        id: MessageId,
        /// The message.
        message: &'a Outgoing,
    },
    /// It refused a message.
    Refused {
        /// The message.
        message: &'a Outgoing,
        /// Why.
        error: SendError,
    },
    /// It cancelled a message, or said that it is done.
    Cancelled {
        /// Which.
        id: MessageId,
        /// Whether it was not done.
        found: bool,
    },
    /// Its application took a message.
    Took {
        /// What it took.
        received: &'a Received,
        /// Whether it is processed thereby, and need not be acknowledged.
        processed: bool,
    },
    /// Its application acknowledged a message.
    Acknowledged {
        /// Which.
        receipt: Receipt,
        /// Whether somebody waited for it.
        found: bool,
    },
    /// It took in a link of another's, or not.
    Incoming {
        /// What it is called from now on.
        link: Option<LinkId>,
        /// From where it comes.
        from: SocketAddr,
    },
    /// It wants a link opened.
    Open {
        /// What it is called from now on.
        link: LinkId,
        /// Who should be there.
        peer: NodeId,
        /// Where.
        to: SocketAddr,
    },
    /// It puts a packet on a link. Told even if the link then loses it.
    Send {
        /// On which.
        link: LinkId,
        /// The first part.
        header: &'a [u8],
        /// The second.
        payload: Option<&'a Bytes>,
    },
    /// It closes a link.
    Close {
        /// Which.
        link: LinkId,
    },
    /// It tells its application something.
    Event(Event),
    /// All it had to do after its last input has been done.
    Settled,
}

/// What a messenger is given.
#[derive(Clone, Copy, Debug)]
pub enum Posted<'a> {
    /// News of its node.
    Member(&'a NodeEvent<'a>),
    /// The life of its member.
    Life(u64),
    /// Somebody opened a link to it.
    Incoming,
    /// A link that it opened is up.
    Up(LinkId),
    /// A packet came.
    Packet {
        /// On which link.
        link: LinkId,
        /// Its parts.
        parts: &'a [Bytes],
    },
    /// A link is full.
    Full(LinkId),
    /// It is writable again.
    Writable(LinkId),
    /// It is gone.
    Down(LinkId),
    /// Its time-out.
    Timeout,
    /// Its application wants something; what, is told with the answer.
    Command,
    /// Its application closes it.
    Close,
}
