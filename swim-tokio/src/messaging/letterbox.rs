//! News of members on its way from the membership to the messenger. Neither waits for the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use swim_proto::NodeId;
use swim_proto::messaging::MemberInput;

/// What the messenger is still to hear. Of each member only the newest is kept, so there is never more than there are
/// members.
#[derive(Debug, Default)]
pub(super) struct Letterbox {
    inside: Mutex<Letters>,
    has_news: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct Letters {
    pub(super) members: BTreeMap<NodeId, MemberInput>,
    /// Our own life, if it was raised.
    pub(super) life: Option<u64>,
}

impl Letterbox {
    pub(super) fn member(&self, id: NodeId, input: MemberInput) {
        self.open().members.insert(id, input);
        self.has_news.store(true, Ordering::Release);
    }

    pub(super) fn life(&self, life: u64) {
        self.open().life = Some(life);
        self.has_news.store(true, Ordering::Release);
    }

    /// What is in it, if there is anything. What was put in before something else was told is seen by whoever was told.
    pub(super) fn take(&self) -> Option<Letters> {
        self.has_news.swap(false, Ordering::AcqRel).then(|| std::mem::take(&mut *self.open()))
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Letters> {
        // Nothing in here can fail half way.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
