//! What a [`Handle`](crate::Handle) asks of the task that owns the node.

use std::sync::Arc;

use bytes::Bytes;
use swim_driver::seeds::SeedName;
use swim_driver::{MemberInfo, Stats};
use swim_proto::{CommandError, NodeId, Way};
use tokio::sync::oneshot;

use crate::notice::Events;

pub(crate) type Reply<T> = oneshot::Sender<T>;

/// Views are answered at once; commands say whether the core took them.
pub(crate) enum Request {
    Members(Reply<Arc<[MemberInfo]>>),
    Member(NodeId, Reply<Option<MemberInfo>>),
    Local(Reply<MemberInfo>),
    Health(Reply<u8>),
    Stats(Reply<Stats>),
    Follow(Reply<(Arc<[MemberInfo]>, Events)>),
    Join(Vec<SeedName>, Reply<Result<(), CommandError>>),
    Leave(Reply<Result<(), CommandError>>),
    SetMetadata(Bytes, Reply<Result<(), CommandError>>),
    ForceLeave(NodeId, Reply<Result<(), CommandError>>),
    Broadcast(Bytes, Reply<Result<u64, CommandError>>),
    SendMessage(NodeId, Bytes, Way, Reply<Result<(), CommandError>>),
}

/// How the node is to end, if it is. Not a request, because it waits behind none: once wished it is never lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    #[default]
    None,
    /// Leave, flush, close.
    Shutdown,
    /// Close.
    Abort,
}
