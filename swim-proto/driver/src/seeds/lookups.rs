//! The threads that look names up: how many there are, who waits for one, and who has waited for too long.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use swim_proto::{Instant, SeedId};

use super::Unresolved;

/// Most lookups of the present seeds at once; the others wait for their turn.
pub(super) const LOOKUPS_MAX: usize = 8;

/// Most lookups at once, those of replaced seeds included that the name servers have not answered yet.
pub(super) const THREADS_MAX: usize = 32;

/// What a lookup's thread says at its end.
#[derive(Debug)]
pub struct Answer {
    seed: SeedId,
    found: Result<Vec<SocketAddr>, String>,
}

/// Lookups under way. Seeds' ids are never used twice, so what is said of a replaced one is known for what it is.
pub(super) struct Lookups {
    answer: Arc<dyn Fn(Answer) + Send + Sync>,
    /// Of present seeds.
    running: BTreeMap<SeedId, Awaited>,
    waiting: VecDeque<(SeedId, String)>,
    /// Those of replaced seeds included.
    threads: usize,
}

/// What is expected of a lookup.
#[derive(Clone, Copy, Debug)]
enum Awaited {
    /// An answer by then.
    Until(Instant),
    /// It was told to be late.
    Late,
    /// Nothing: the system gave no thread for it, which is to be told.
    NoThread,
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups")
            .field("running", &self.running)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

impl Lookups {
    pub(super) fn new(answer: impl Fn(Answer) + Send + Sync + 'static) -> Lookups {
        Lookups { answer: Arc::new(answer), running: BTreeMap::new(), waiting: VecDeque::new(), threads: 0 }
    }

    /// Looks a name up, unless that is under way. Should it begin now, it is late at `until`.
    pub(super) fn begin(&mut self, until: Instant, seed: SeedId, name: String) {
        if self.running.contains_key(&seed) || self.waiting.iter().any(|(waits, _)| *waits == seed) {
            return;
        }
        self.waiting.push_back((seed, name));
        self.start(until);
    }

    /// A thread has ended. What it found, if that is still wanted; those that begin now are late at `until`.
    pub(super) fn end(&mut self, until: Instant, answer: Answer) -> Option<(SeedId, Result<Vec<SocketAddr>, String>)> {
        self.threads -= 1;
        let is_wanted = self.running.remove(&answer.seed).is_some();
        self.start(until);
        is_wanted.then_some((answer.seed, answer.found))
    }

    /// Nobody wants to know any more.
    pub(super) fn give_up(&mut self) {
        self.running.clear();
        self.waiting.clear();
    }

    /// When the first is overdue.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let until = |awaited: &Awaited| match awaited {
            Awaited::Until(until) => Some(*until),
            Awaited::Late => None,
            Awaited::NoThread => Some(Instant::ZERO),
        };
        self.running.values().filter_map(until).min()
    }

    /// One that is overdue now, each once, and why.
    pub(super) fn poll_overdue(&mut self, now: Instant) -> Option<(SeedId, Unresolved)> {
        let is_overdue = |awaited: &Awaited| match awaited {
            Awaited::Until(until) => *until <= now,
            Awaited::Late => false,
            Awaited::NoThread => true,
        };
        let (&seed, awaited) = self.running.iter_mut().find(|(_, awaited)| is_overdue(awaited))?;
        if let Awaited::NoThread = awaited {
            self.running.remove(&seed);
            return Some((seed, Unresolved::Unknown("the system gives no thread for it".to_owned())));
        }
        *awaited = Awaited::Late;
        Some((seed, Unresolved::Late))
    }

    /// How many are running or wait, of present seeds.
    #[cfg(test)]
    pub(super) fn under_way(&self) -> usize {
        self.running.len() + self.waiting.len()
    }

    fn start(&mut self, until: Instant) {
        while self.running.len() < LOOKUPS_MAX
            && self.threads < THREADS_MAX
            && let Some((seed, name)) = self.waiting.pop_front()
        {
            let awaited = match self.spawn(seed, name) {
                Ok(()) => Awaited::Until(until),
                Err(_) => Awaited::NoThread,
            };
            self.running.insert(seed, awaited);
        }
    }

    fn spawn(&mut self, seed: SeedId, name: String) -> io::Result<()> {
        let answer = self.answer.clone();
        std::thread::Builder::new().name("swim-lookup".to_owned()).spawn(move || {
            let mut end = End { seed, found: Err("its thread failed".to_owned()), answer };
            end.found = name.to_socket_addrs().map(Vec::from_iter).map_err(|error| error.to_string());
        })?;
        self.threads += 1;
        Ok(())
    }
}

/// Whatever becomes of a thread, it is told.
struct End {
    seed: SeedId,
    found: Result<Vec<SocketAddr>, String>,
    answer: Arc<dyn Fn(Answer) + Send + Sync>,
}

impl Drop for End {
    fn drop(&mut self) {
        let found = std::mem::replace(&mut self.found, Ok(Vec::new()));
        (self.answer)(Answer { seed: self.seed, found });
    }
}
