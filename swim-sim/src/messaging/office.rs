//! What a process has besides its messenger: its links, and what its application is still to do.

use std::collections::BTreeMap;

use swim_proto::Instant;
use swim_proto::messaging::{LinkId, MessageId, Receipt};

use super::{DrivenMessenger, LinkEnd};
use crate::streams::{EndId, Streams};

/// A process's messenger with all that belongs to it.
pub(crate) struct Office {
    pub(crate) machine: Box<dyn DrivenMessenger>,
    /// The life that it was last told.
    pub(crate) life: u64,
    pub(crate) links: Vec<LinkEnd>,
    /// Streams of links that were closed here, until what was put on them has left.
    pub(crate) lingering: Vec<EndId>,
    /// When its entry in the agenda comes up; `u64::MAX`: it has none. Other entries are stale.
    pub(crate) wake: u64,
    /// Whether an input keeps it busy now: on a slow host it takes one after the other, as the node does.
    pub(crate) busy: bool,
    /// What the last input had it put on links.
    pub(crate) sent: u32,
    /// The `now` of its last input, by its own clock.
    pub(crate) local_now: Instant,
    /// Whether there is something to take.
    pub(crate) readable: bool,
    /// Before this the application takes no further message.
    pub(crate) reads_at: u64,
    chores: BTreeMap<(u64, u64), Chore>,
    chores_made: u64,
}

/// Something that an application will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chore {
    Acknowledge(Receipt),
    Cancel(MessageId),
}

impl Office {
    pub(crate) fn new(machine: Box<dyn DrivenMessenger>, life: u64, now: Instant) -> Office {
        Office {
            machine,
            life,
            links: Vec::new(),
            lingering: Vec::new(),
            wake: u64::MAX,
            busy: false,
            sent: 0,
            local_now: now,
            readable: false,
            reads_at: 0,
            chores: BTreeMap::new(),
            chores_made: 0,
        }
    }

    pub(crate) fn link(&mut self, link: LinkId) -> Option<&mut LinkEnd> {
        self.links.iter_mut().find(|end| end.link == Some(link))
    }

    pub(crate) fn link_at(&mut self, end: EndId) -> Option<&mut LinkEnd> {
        self.links.iter_mut().find(|link| link.end == Some(end))
    }

    pub(crate) fn remove(&mut self, link: LinkId) -> Option<LinkEnd> {
        let at = self.links.iter().position(|end| end.link == Some(link))?;
        Some(self.links.remove(at))
    }

    /// How many links wait to be accepted, whose streams are open.
    pub(crate) fn backlog(&self, streams: &Streams) -> usize {
        let waits = |link: &&LinkEnd| link.link.is_none() && link.end.is_some_and(|end| streams.is_open(end));
        self.links.iter().filter(waits).count()
    }

    pub(crate) fn will_do(&mut self, at: u64, chore: Chore) {
        self.chores.insert((at, self.chores_made), chore);
        self.chores_made += 1;
    }

    pub(crate) fn next_chore(&mut self, now: u64) -> Option<Chore> {
        let first = self.chores.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
