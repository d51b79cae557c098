//! Why the node is not let in, for the log: what became of each seed while it tries.
//!
//! The core asks seeds until one lets it in, and says nothing meanwhile. Whoever runs it wants to know what is wrong, but
//! not every second: told are the first attempt that failed, and then each time their number has doubled.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

use swim_proto::{SeedId, Status, StreamId};
use tracing::{info, warn};

use crate::seeds::{Seeds, Unresolved};

/// Most addresses whose answers are kept; beyond it they are collected anew.
const ANSWERS_MAX: usize = 256;

/// Most seeds named in one sentence.
const NAMED_MAX: usize = 8;

/// What is known of the attempts to join since the seeds were named. Empty once they have succeeded.
#[derive(Debug, Default)]
pub(super) struct Joining {
    /// Attempts begun.
    attempts: u32,
    lookups: BTreeMap<SeedId, Result<Vec<SocketAddr>, Unresolved>>,
    asked: BTreeMap<StreamId, SocketAddr>,
    answers: BTreeMap<SocketAddr, Answer>,
    name_holder: Option<SocketAddr>,
}

/// What came of asking an address.
#[derive(Debug)]
enum Answer {
    /// Nothing so far.
    None,
    /// No stream could be opened.
    Unconnected(String),
    /// The stream ended without our having been let in.
    Ended,
}

impl Joining {
    /// A seed is to be looked up; with the first one an attempt begins, and the one before has failed.
    pub(super) fn seeks(&mut self, seed: SeedId, seeds: &Seeds, own: SocketAddr) {
        if seeds.names().next().is_none_or(|(first, _)| first != seed) {
            return;
        }
        if self.attempts.is_power_of_two() {
            warn!(attempts = self.attempts, "not joined yet: {}", self.account(seeds, own));
        }
        self.attempts = self.attempts.saturating_add(1);
    }

    pub(super) fn resolved(&mut self, seed: SeedId, outcome: Result<Vec<SocketAddr>, Unresolved>) {
        if self.attempts > 0 {
            self.lookups.insert(seed, outcome);
        }
    }

    /// An address is asked to let us in.
    pub(super) fn asks(&mut self, stream: StreamId, to: SocketAddr) {
        if self.answers.len() >= ANSWERS_MAX {
            self.answers.clear();
            self.asked.clear();
        }
        self.asked.insert(stream, to);
        self.answers.insert(to, Answer::None);
    }

    pub(super) fn unconnected(&mut self, stream: StreamId, error: &io::Error) {
        if let Some(to) = self.asked.remove(&stream) {
            let why = match error.kind() {
                io::ErrorKind::ConnectionRefused => "refuses connections: nobody listens there".to_owned(),
                io::ErrorKind::TimedOut => "does not answer".to_owned(),
                _ => format!("cannot be reached: {error}"),
            };
            self.answers.insert(to, Answer::Unconnected(why));
        }
    }

    pub(super) fn ended(&mut self, stream: StreamId) {
        if let Some(to) = self.asked.remove(&stream) {
            self.answers.insert(to, Answer::Ended);
        }
    }

    pub(super) fn name_taken(&mut self, holder: SocketAddr) {
        self.name_holder = Some(holder);
    }

    /// The node tries no more.
    pub(super) fn settled(&mut self, status: Status) {
        if status == Status::Joined && self.attempts > 1 {
            info!(attempts = self.attempts, "joined after all");
        }
        *self = Joining::default();
    }

    /// What became of each seed, in one sentence.
    fn account(&self, seeds: &Seeds, own: SocketAddr) -> String {
        let mut account = String::new();
        let separate = |account: &mut String| {
            if !account.is_empty() {
                account.push_str("; ");
            }
        };
        if let Some(holder) = self.name_holder {
            let _ = write!(account, "our name belongs to the live member at {holder}");
        }
        for (id, name) in seeds.names().take(NAMED_MAX) {
            separate(&mut account);
            let _ = match self.lookups.get(&id) {
                None => write!(account, "{name} is still being looked up"),
                Some(Err(why)) => write!(account, "{name} {why}"),
                Some(Ok(addresses)) => {
                    let told: Vec<_> = addresses.iter().map(|at| self.told(*at, own, addresses.len() > 1)).collect();
                    write!(account, "{name} {}", told.join(", "))
                }
            };
        }
        let more = seeds.names().count().saturating_sub(NAMED_MAX);
        if more > 0 {
            separate(&mut account);
            let _ = write!(account, "and {more} more seeds");
        }
        account
    }

    /// What came of one address of a seed.
    fn told(&self, at: SocketAddr, own: SocketAddr, of_several: bool) -> String {
        let what = match self.answers.get(&at) {
            _ if at == own => "is this node itself",
            None => "was not asked yet",
            Some(Answer::None) => "has not answered yet",
            Some(Answer::Unconnected(why)) => why,
            Some(Answer::Ended) => "does not let us in: is it a member, and of our cluster?",
        };
        if of_several { format!("({at}) {what}") } else { what.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sockets::Reach;

    #[test]
    fn the_account_says_what_became_of_each_seed() {
        let mut seeds = Seeds::new(Reach::V4, Duration::from_secs(1), drop);
        let ids = seeds.next_ids(5);
        let names = ["a.example:1", "b.example:1", "10.0.0.3:1", "10.0.0.4:1", "10.0.0.5:1"];
        seeds.replace(names.iter().map(|name| name.parse().unwrap()).collect());
        let at = |last: u8| SocketAddr::from(([10, 0, 0, last], 1));

        let mut joining = Joining::default();
        joining.seeks(ids[0], &seeds, at(5));
        joining.resolved(ids[0], Err(Unresolved::Late));
        for (index, last) in [(2, 3), (3, 4), (4, 5)] {
            joining.resolved(ids[index], Ok(vec![at(last)]));
        }
        joining.asks(StreamId(1), at(3));
        joining.asks(StreamId(2), at(4));
        joining.unconnected(StreamId(1), &io::ErrorKind::ConnectionRefused.into());
        joining.ended(StreamId(2));
        assert_eq!(
            joining.account(&seeds, at(5)),
            "a.example:1 cannot be looked up: the name servers do not answer; b.example:1 is still being looked up; 10.0.0.3:1 refuses \
             connections: nobody listens there; 10.0.0.4:1 does not let us in: is it a member, and of our cluster?; \
             10.0.0.5:1 is this node itself"
        );
    }
}
