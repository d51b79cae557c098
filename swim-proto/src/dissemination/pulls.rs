//! Broadcasts that were announced and are fetched: which, from whom, how many at once (`docs/protocol.md` 12.4).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::BroadcastId;
use crate::action::StreamId;
use crate::membership::NodeId;

/// Most pulls at once.
pub(crate) const RUNNING_MAX: usize = 8;

/// Most that wait; beyond it an announcement is dropped, and may come again.
pub(crate) const WAITING_MAX: usize = 256;

/// So many of those who announced a broadcast are remembered, to be asked one after the other.
const ANNOUNCERS_MAX: usize = 3;

/// One broadcast to be fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pull {
    pub(crate) id: BroadcastId,
    /// Who has it and was not asked yet, in the order in which they said so.
    announcers: [Option<NodeId>; ANNOUNCERS_MAX],
}

impl Pull {
    /// The next to be asked.
    pub(crate) fn next_announcer(&mut self) -> Option<NodeId> {
        let next = self.announcers[0].take();
        self.announcers.rotate_left(1);
        next
    }

    fn add_announcer(&mut self, by: NodeId) {
        if self.announcers.contains(&Some(by)) {
            return;
        }
        if let Some(place) = self.announcers.iter_mut().find(|place| place.is_none()) {
            *place = Some(by);
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Running {
    pull: Pull,
    stream: StreamId,
    asked: NodeId,
}

/// All that is fetched or waits to be.
#[derive(Default)]
pub(crate) struct Pulls {
    running: Vec<Running>,
    waiting: VecDeque<Pull>,
}

impl Pulls {
    pub(crate) fn len(&self) -> usize {
        self.running.len() + self.waiting.len()
    }

    /// Somebody has this broadcast, which we lack. `false`: too many wait.
    pub(crate) fn announced(&mut self, id: BroadcastId, by: NodeId) -> bool {
        if let Some(running) = self.running.iter_mut().find(|running| running.pull.id == id) {
            if running.asked != by {
                running.pull.add_announcer(by);
            }
            return true;
        }
        if let Some(pull) = self.waiting.iter_mut().find(|pull| pull.id == id) {
            pull.add_announcer(by);
            return true;
        }
        let room = self.waiting.len() < WAITING_MAX;
        if room {
            self.waiting.push_back(Pull { id, announcers: [Some(by), None, None] });
        }
        room
    }

    /// The one to begin next, if one may begin while at most `running_max` run. Whoever takes it begins it, puts it
    /// back, or drops it.
    pub(crate) fn next(&mut self, running_max: usize) -> Option<Pull> {
        if self.running.len() < running_max.min(RUNNING_MAX) { self.waiting.pop_front() } else { None }
    }

    /// It cannot begin yet.
    pub(crate) fn put_back(&mut self, pull: Pull, not_asked: NodeId) {
        let mut announcers = pull.announcers;
        announcers.rotate_right(1);
        announcers[0] = Some(not_asked);
        self.waiting.push_front(Pull { announcers, ..pull });
    }

    pub(crate) fn began(&mut self, pull: Pull, stream: StreamId, asked: NodeId) {
        debug_assert!(self.running.len() < RUNNING_MAX);
        self.running.push(Running { pull, stream, asked });
    }

    /// The broadcast that is fetched over this stream.
    pub(crate) fn fetched_over(&self, stream: StreamId) -> Option<BroadcastId> {
        self.running.iter().find(|running| running.stream == stream).map(|running| running.pull.id)
    }

    /// The pull over this stream came to its end.
    pub(crate) fn ended(&mut self, stream: StreamId) -> Option<Pull> {
        let index = self.running.iter().position(|running| running.stream == stream)?;
        Some(self.running.swap_remove(index).pull)
    }

    /// It brought nothing: the next announcer is asked when its turn comes. `false`: none is left.
    pub(crate) fn try_another(&mut self, pull: Pull) -> bool {
        let more = pull.announcers[0].is_some() && self.waiting.len() < WAITING_MAX;
        if more {
            self.waiting.push_back(pull);
        }
        more
    }

    /// It is here by another way.
    pub(crate) fn drop_waiting(&mut self, id: BroadcastId) {
        self.waiting.retain(|pull| pull.id != id);
    }

    pub(crate) fn clear(&mut self) {
        (self.running, self.waiting) = (Vec::new(), VecDeque::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(sequence: u64) -> BroadcastId {
        BroadcastId { origin: NodeId::from_u64(1), life: 1, sequence }
    }

    fn node(id: u64) -> NodeId {
        NodeId::from_u64(id)
    }

    #[test]
    fn three_announcers_are_asked_in_turn_each_once() {
        let mut pulls = Pulls::default();
        for by in [11, 12, 11, 13, 14] {
            assert!(pulls.announced(id(1), node(by)));
        }
        let mut asked = Vec::new();
        while let Some(mut pull) = pulls.next(1) {
            let by = pull.next_announcer().expect("it would not wait without one");
            asked.push(by);
            pulls.began(pull, StreamId(asked.len() as u64), by);
            // Whoever is asked just now and says it again is not asked again.
            assert!(pulls.announced(id(1), by));
            let pull = pulls.ended(StreamId(asked.len() as u64)).expect("it runs");
            assert_eq!(pulls.try_another(pull), asked.len() < 3);
        }
        assert_eq!(asked, [11, 12, 13].map(node));
        assert_eq!(pulls.len(), 0);
    }

    #[test]
    fn one_that_could_not_begin_is_first_again_with_all_its_announcers() {
        let mut pulls = Pulls::default();
        for by in [11, 12, 13] {
            assert!(pulls.announced(id(1), node(by)));
        }
        assert!(pulls.announced(id(2), node(11)));
        let mut pull = pulls.next(8).unwrap();
        let by = pull.next_announcer().unwrap();
        pulls.put_back(pull, by);
        let mut pull = pulls.next(8).unwrap();
        let order = core::iter::from_fn(|| pull.next_announcer()).collect::<Vec<_>>();
        assert_eq!((pull.id, order), (id(1), [11, 12, 13].map(node).to_vec()));
    }

    #[test]
    fn eight_run_and_256_wait() {
        let mut pulls = Pulls::default();
        for sequence in 1..=300 {
            assert_eq!(pulls.announced(id(sequence), node(11)), sequence <= WAITING_MAX as u64);
        }
        for stream in 0..20 {
            let Some(pull) = pulls.next(100) else { break };
            pulls.began(pull, StreamId(stream), node(11));
        }
        assert_eq!(pulls.len(), WAITING_MAX);
        assert_eq!(pulls.running.len(), RUNNING_MAX);
        assert_eq!(pulls.fetched_over(StreamId(3)), Some(id(4)));
        pulls.drop_waiting(id(200));
        assert_eq!(pulls.len(), WAITING_MAX - 1);
    }
}
