//! Broadcasts that are told on, like rumors, and kept for whoever asks for them (`docs/protocol.md` 12.3 and 12.4).
//!
//! Each has a place in a slab and passes through stages: one of our own may have to wait for its turn; while it is told
//! it waits for its turn, the fewest sent first and among them the oldest, so that numbers arrive about in order and
//! the windows of receivers are not overrun; a long one, which was only announced, is kept for a while. Its place is
//! free once it is past all that and its event was polled. Places keep their buffers: once the slab has grown nothing
//! is allocated.

mod own;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use hashbrown::HashTable;

use own::OwnQueue;

use super::BroadcastId;
use super::turns::Turns;
use crate::random::mix;
use crate::time::Instant;

/// A free place keeps a buffer of at most so many bytes.
const BUFFER_KEPT: usize = 512;

/// So many places are kept while nothing waits.
const PLACES_KEPT: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Our own, until earlier ones of ours are told.
    Waiting,
    /// Told to others: it has a turn.
    Told,
    /// Told often enough, and kept until then for whoever was only told that there is one.
    Kept { until: Instant },
    /// Neither told nor kept.
    Over,
}

#[derive(Debug)]
struct Entry {
    id: BroadcastId,
    payload: Vec<u8>,
    own: bool,
    stage: Stage,
    /// Its event is still to be polled.
    unheard: bool,
}

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

/// Too many of our own wait: how many broadcasts or bytes there are, and may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) waiting: usize,
    pub(crate) max: usize,
}

/// What became of a broadcast of another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) entry: u32,
    /// It is told on.
    pub(crate) told_on: bool,
    /// How many were given up, itself included.
    pub(crate) given_up: u64,
}

/// All broadcasts here.
pub(crate) struct Broadcasts {
    hash_key: u64,
    limits: Limits,
    slab: Vec<Entry>,
    free: Vec<u32>,
    /// Those that are not over, by id.
    index: HashTable<u32>,
    turns: Turns,
    /// Kept, in the order of their ends.
    kept: VecDeque<u32>,
    own: OwnQueue,
    /// Not over, and bytes of payload in them.
    count: usize,
    bytes: usize,
    told: usize,
}

impl Broadcasts {
    pub(crate) fn new(hash_key: u64, limits: Limits) -> Broadcasts {
        Broadcasts {
            hash_key,
            limits,
            slab: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            turns: Turns::default(),
            kept: VecDeque::new(),
            own: OwnQueue::default(),
            count: 0,
            bytes: 0,
            told: 0,
        }
    }

    /// How many wait, are told or are kept.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Bytes of payload in them.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is one to tell.
    pub(crate) fn has_news(&self) -> bool {
        self.told > 0
    }

    // Taking in.

    /// Whether one of our own of this length fits beside our own: others make room for it.
    pub(crate) fn check_own(&self, len: usize) -> Result<(), Full> {
        if self.own.count() >= self.limits.count {
            return Err(Full { waiting: self.own.count(), max: self.limits.count });
        }
        if self.own.bytes() + len > self.limits.bytes {
            return Err(Full { waiting: self.own.bytes(), max: self.limits.bytes });
        }
        Ok(())
    }

    /// One of our own, which [`Broadcasts::check_own`] found room for. How many of others were given up for it.
    pub(crate) fn add_own(&mut self, id: BroadcastId, payload: &[u8]) -> u64 {
        let (_, given_up) = self.make_room(payload.len());
        let entry = self.take_place(id, payload, true);
        self.admit(entry, Stage::Waiting);
        self.own.push(entry, payload.len());
        self.begin_own();
        given_up
    }

    /// One of another member. Its payload is at hand until [`Broadcasts::heard`] at least.
    pub(crate) fn add(&mut self, id: BroadcastId, payload: &[u8]) -> Taken {
        let (room, given_up) = self.make_room(payload.len());
        let entry = self.take_place(id, payload, false);
        self.slab[entry as usize].unheard = true;
        if room {
            self.admit(entry, Stage::Waiting);
            self.begin(entry);
        }
        Taken { entry, told_on: room, given_up: given_up + u64::from(!room) }
    }

    /// The event was polled.
    pub(crate) fn heard(&mut self, entry: u32) {
        self.slab[entry as usize].unheard = false;
        self.free_if_over(entry);
    }

    // Looking.

    pub(crate) fn id(&self, entry: u32) -> BroadcastId {
        self.slab[entry as usize].id
    }

    pub(crate) fn payload(&self, entry: u32) -> &[u8] {
        &self.slab[entry as usize].payload
    }

    pub(crate) fn is_own(&self, entry: u32) -> bool {
        self.slab[entry as usize].own
    }

    pub(crate) fn find(&self, id: BroadcastId) -> Option<u32> {
        let slab = &self.slab;
        self.index.find(hash(self.hash_key, id), |&entry| slab[entry as usize].id == id).copied()
    }

    /// The one to tell first.
    pub(crate) fn first(&self) -> Option<u32> {
        self.turns.first()
    }

    /// The one to tell after this one.
    pub(crate) fn after(&self, entry: u32) -> Option<u32> {
        self.turns.after(entry)
    }

    // Telling.

    /// It was told once more, or heard from others where that counts. Once told often enough it is over, or kept until
    /// `keep_until`.
    pub(crate) fn sent(&mut self, entry: u32, limit: u8, keep_until: Option<Instant>) {
        if self.slab[entry as usize].stage != Stage::Told || !self.turns.sent(entry, limit) {
            return;
        }
        self.told -= 1;
        match keep_until {
            Some(until) => {
                self.slab[entry as usize].stage = Stage::Kept { until };
                self.kept.push_back(entry);
            }
            None => self.end(entry),
        }
        self.own_spent(entry);
    }

    /// Nobody is to be told of it.
    pub(crate) fn drop_told(&mut self, entry: u32) {
        if self.slab[entry as usize].stage == Stage::Told {
            self.turns.leave(entry);
            self.told -= 1;
            self.end(entry);
            self.own_spent(entry);
        }
    }

    /// When the first of those kept is to go.
    pub(crate) fn keeps_until(&self) -> Option<Instant> {
        match self.slab[*self.kept.front()? as usize].stage {
            Stage::Kept { until } => Some(until),
            Stage::Waiting | Stage::Told | Stage::Over => None,
        }
    }

    /// Lets those go that were kept for long enough.
    pub(crate) fn let_go(&mut self, now: Instant) {
        while self.keeps_until().is_some_and(|until| until <= now) {
            self.let_go_first();
        }
    }

    /// Nothing is told any more; events that are still to be polled will be.
    pub(crate) fn clear(&mut self) {
        self.own = OwnQueue::default();
        self.told = 0;
        self.kept.clear();
        self.turns.clear(PLACES_KEPT);
        let mut at = 0;
        while let Some(entry) = self.slab.get(at) {
            if entry.stage != Stage::Over {
                self.end(at as u32);
            }
            at += 1;
        }
    }

    // Room.

    /// Gives up others' until one more of this length fits. Whether it does, and how many were given up.
    fn make_room(&mut self, len: usize) -> (bool, u64) {
        let mut given_up = 0;
        while self.count >= self.limits.count || self.bytes + len > self.limits.bytes {
            if !self.kept.is_empty() {
                self.let_go_first();
            } else if let Some(entry) = self.most_sent_of_others() {
                self.drop_told(entry);
            } else {
                return (false, given_up);
            }
            given_up += 1;
        }
        (true, given_up)
    }

    fn let_go_first(&mut self) {
        if let Some(entry) = self.kept.pop_front() {
            self.end(entry);
        }
    }

    /// Passes over our own, of which few are told at a time.
    fn most_sent_of_others(&self) -> Option<u32> {
        self.turns.backwards().find(|&entry| !self.is_own(entry))
    }

    fn take_place(&mut self, id: BroadcastId, payload: &[u8], own: bool) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| {
            let buffer = Vec::new();
            let stage = Stage::Over;
            self.slab.push(Entry { id, payload: buffer, own, stage, unheard: false });
            self.slab.len() as u32 - 1
        });
        let entry = &mut self.slab[at as usize];
        entry.payload.extend_from_slice(payload);
        (entry.id, entry.own) = (id, own);
        at
    }

    /// From here on it counts.
    fn admit(&mut self, entry: u32, stage: Stage) {
        self.slab[entry as usize].stage = stage;
        let (key, slab) = (self.hash_key, &self.slab);
        let id = slab[entry as usize].id;
        self.index.insert_unique(hash(key, id), entry, |&entry| hash(key, slab[entry as usize].id));
        self.count += 1;
        self.bytes += self.slab[entry as usize].payload.len();
    }

    /// Neither told nor kept any more. It is in no list.
    fn end(&mut self, entry: u32) {
        let id = self.slab[entry as usize].id;
        if let Ok(found) = self.index.find_entry(hash(self.hash_key, id), |&at| at == entry) {
            found.remove();
        }
        self.count -= 1;
        self.bytes -= self.slab[entry as usize].payload.len();
        self.slab[entry as usize].stage = Stage::Over;
        self.free_if_over(entry);
    }

    fn free_if_over(&mut self, at: u32) {
        let entry = &mut self.slab[at as usize];
        if entry.stage != Stage::Over || entry.unheard {
            return;
        }
        if entry.payload.capacity() > BUFFER_KEPT {
            entry.payload = Vec::new();
        }
        entry.payload.clear();
        self.free.push(at);
        if self.free.len() == self.slab.len() && self.slab.len() > PLACES_KEPT {
            self.turns.clear(PLACES_KEPT);
            self.slab.truncate(PLACES_KEPT);
            self.slab.shrink_to_fit();
            self.free.retain(|&at| (at as usize) < PLACES_KEPT);
            self.free.shrink_to_fit();
        }
    }

    // Our own, a few at a time.

    fn begin_own(&mut self) {
        while let Some(entry) = self.own.begin_next() {
            self.begin(entry);
        }
    }

    fn begin(&mut self, entry: u32) {
        self.told += 1;
        self.slab[entry as usize].stage = Stage::Told;
        self.turns.enter_last(entry);
    }

    /// If it was our own, the next may begin.
    fn own_spent(&mut self, entry: u32) {
        if self.own.spent(entry) {
            self.begin_own();
        }
    }
}

fn hash(key: u64, id: BroadcastId) -> u64 {
    mix(mix(key ^ id.origin.as_u64()) ^ mix(id.life) ^ id.sequence)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::own::OWN_AT_ONCE;
    use super::*;
    use crate::membership::NodeId;

    fn id(origin: u64, sequence: u64) -> BroadcastId {
        BroadcastId { origin: NodeId::from_u64(origin), life: 1, sequence }
    }

    fn broadcasts(count: usize, bytes: usize) -> Broadcasts {
        Broadcasts::new(7, Limits { count, bytes })
    }

    fn order(broadcasts: &Broadcasts) -> Vec<(u64, u64)> {
        let entries = core::iter::successors(broadcasts.first(), |&entry| broadcasts.after(entry));
        entries.map(|entry| broadcasts.id(entry)).map(|id| (id.origin.as_u64(), id.sequence)).collect()
    }

    /// One of another's, whose event is polled.
    fn hear(broadcasts: &mut Broadcasts, id: BroadcastId, len: usize) -> Taken {
        let taken = broadcasts.add(id, &vec![id.sequence as u8; len]);
        assert_eq!(broadcasts.payload(taken.entry), vec![id.sequence as u8; len]);
        broadcasts.heard(taken.entry);
        taken
    }

    #[test]
    fn the_fewest_sent_come_first_and_among_them_the_oldest() {
        let mut broadcasts = broadcasts(10, 1_000);
        let [a, b, _] = [1, 2, 3].map(|sequence| hear(&mut broadcasts, id(9, sequence), 4).entry);
        assert_eq!(order(&broadcasts), [(9, 1), (9, 2), (9, 3)]);
        broadcasts.sent(a, 3, None);
        assert_eq!(order(&broadcasts), [(9, 2), (9, 3), (9, 1)]);
        broadcasts.sent(b, 3, None);
        assert_eq!(order(&broadcasts), [(9, 3), (9, 1), (9, 2)]);
        for entry in [a, a] {
            broadcasts.sent(entry, 3, None);
        }
        assert_eq!(order(&broadcasts), [(9, 3), (9, 2)]);
        assert_eq!((broadcasts.len(), broadcasts.bytes()), (2, 8));
    }

    #[test]
    fn at_the_limit_what_is_kept_goes_first_and_then_the_most_sent_of_others_but_never_our_own() {
        let mut broadcasts = broadcasts(4, 1_000);
        broadcasts.check_own(4).unwrap();
        broadcasts.add_own(id(1, 1), b"mine");
        let [a, b, c] = [1, 2, 3].map(|sequence| hear(&mut broadcasts, id(9, sequence), 4).entry);
        broadcasts.sent(c, 1, Some(Instant::from_nanos(5)));
        broadcasts.sent(b, 9, None);
        assert_eq!(hear(&mut broadcasts, id(9, 4), 4).given_up, 1, "the one kept");
        assert!(broadcasts.find(id(9, 3)).is_none() && broadcasts.keeps_until().is_none());
        assert_eq!(hear(&mut broadcasts, id(9, 5), 4).given_up, 1, "the one sent");
        assert_eq!(order(&broadcasts), [(1, 1), (9, 1), (9, 4), (9, 5)]);
        // Our own take the place of others', but not of our own.
        for sequence in 2..=4 {
            broadcasts.check_own(4).unwrap();
            assert_eq!(broadcasts.add_own(id(1, sequence), b"mine"), 1);
        }
        assert_eq!(broadcasts.check_own(4), Err(Full { waiting: 4, max: 4 }));
        let taken = hear(&mut broadcasts, id(9, 6), 4);
        assert!(!taken.told_on && taken.given_up == 1);
        assert_eq!(order(&broadcasts), [(1, 1), (1, 2), (1, 3), (1, 4)]);
        assert!(broadcasts.find(id(9, 1)).is_none() && a != taken.entry);
    }

    #[test]
    fn bytes_are_limited_like_their_number() {
        let mut broadcasts = broadcasts(100, 100);
        for sequence in 1..=10 {
            hear(&mut broadcasts, id(9, sequence), 10);
        }
        assert_eq!(hear(&mut broadcasts, id(9, 11), 25).given_up, 3);
        assert_eq!((broadcasts.len(), broadcasts.bytes()), (8, 95));
        assert_eq!(broadcasts.check_own(101), Err(Full { waiting: 0, max: 100 }));
        broadcasts.check_own(60).unwrap();
        broadcasts.add_own(id(1, 1), &[0; 60]);
        assert!(broadcasts.bytes() <= 100);
        assert_eq!(broadcasts.check_own(41), Err(Full { waiting: 60, max: 100 }));
    }

    #[test]
    fn our_own_are_told_a_few_at_a_time_and_none_overtakes_one_still_told_by_much() {
        let mut broadcasts = broadcasts(1_000, 100_000);
        for sequence in 1..=200 {
            broadcasts.add_own(id(1, sequence), b"x");
        }
        let told = order(&broadcasts);
        assert_eq!((told.len(), told.first(), told.last()), (OWN_AT_ONCE, Some(&(1, 1)), Some(&(1, 64))));
        // All but the first are told: nothing more begins before it is, too.
        for sequence in 2..=64 {
            let entry = broadcasts.find(id(1, sequence)).unwrap();
            broadcasts.sent(entry, 1, None);
        }
        assert_eq!(order(&broadcasts), [(1, 1)]);
        let first = broadcasts.find(id(1, 1)).unwrap();
        broadcasts.sent(first, 1, None);
        assert_eq!(order(&broadcasts), (65..=128).map(|sequence| (1, sequence)).collect::<Vec<_>>());
        assert_eq!(broadcasts.len(), 136);
    }

    #[test]
    fn one_that_was_announced_is_kept_for_a_while_and_its_event_can_be_polled_even_when_it_is_over() {
        let mut broadcasts = broadcasts(2, 1_000);
        let taken = broadcasts.add(id(9, 1), b"long");
        broadcasts.sent(taken.entry, 1, Some(Instant::from_nanos(50)));
        assert!(!broadcasts.has_news() && broadcasts.find(id(9, 1)).is_some());
        assert_eq!(broadcasts.keeps_until(), Some(Instant::from_nanos(50)));
        broadcasts.let_go(Instant::from_nanos(49));
        assert_eq!(broadcasts.len(), 1);
        broadcasts.let_go(Instant::from_nanos(50));
        assert_eq!((broadcasts.len(), broadcasts.bytes(), broadcasts.find(id(9, 1))), (0, 0, None));
        assert_eq!(broadcasts.payload(taken.entry), b"long");
        // Its place is nobody else's until then.
        let other = broadcasts.add(id(9, 2), b"other");
        assert_ne!(other.entry, taken.entry);
        broadcasts.heard(taken.entry);
        assert_eq!(broadcasts.add(id(9, 3), b"third").entry, taken.entry);
    }

    #[test]
    fn after_a_burst_the_memory_is_given_back() {
        let mut broadcasts = broadcasts(5_000, 1 << 20);
        for sequence in 1..=4_000 {
            hear(&mut broadcasts, id(9, sequence), 100);
        }
        let last = broadcasts.add(id(9, 4_001), b"unheard");
        broadcasts.clear();
        assert_eq!((broadcasts.len(), broadcasts.bytes(), broadcasts.has_news()), (0, 0, false));
        assert_eq!(broadcasts.payload(last.entry), b"unheard");
        broadcasts.heard(last.entry);
        assert!(broadcasts.slab.capacity() <= PLACES_KEPT && broadcasts.free.len() <= PLACES_KEPT);
        hear(&mut broadcasts, id(9, 1), 100);
        assert_eq!(order(&broadcasts), [(9, 1)]);
    }
}
