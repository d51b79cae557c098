//! Seeds as people write them, `host:port`, and their lookup, anew each time.
//!
//! A lookup is the system's (`getaddrinfo`): it cannot be interrupted, and may hang for as long as the name servers do.
//! Each runs on a thread of its own that belongs to no runtime, so that nothing waits for it at its end; the thread holds
//! its place until it is done, whether or not anybody still wants the answer.

mod lookups;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use swim_proto::wire::AddressFault;
use swim_proto::{Instant, SeedId};
use tracing::{debug, warn};

pub use self::lookups::Answer;
use self::lookups::Lookups;
use crate::sockets::Reach;

/// Most addresses of one seed that are told to the core; the rest are ignored.
const ADDRESSES_MAX: usize = 32;

/// A seed, checked to be `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedName(String);

/// Why a text names no seed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the seed {text:?} is not of the form host:port ({reason}); right would be \"node1.example:7946\", \"10.0.0.1:7946\" or \"[::1]:7946\""
)]
pub struct SeedError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl FromStr for SeedName {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<SeedName, SeedError> {
        let error = |reason| SeedError { text: text.to_owned(), reason };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| error("the port is missing"))?;
        if host.is_empty() {
            return Err(error("the host is missing"));
        }
        if host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(error("the host is no name"));
        }
        if !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return Err(error("the port is not a number from 1 to 65535"));
        }
        match text.parse().map(|address| AddressFault::of(Reach::inward(address))) {
            Ok(Some(_)) => Err(error("the address is not one host's")),
            Err(_) if host.starts_with('[') => Err(error("there is no IPv6 address in the brackets")),
            Err(_) if host.contains(':') => Err(error("an IPv6 address stands in brackets")),
            Ok(None) | Err(_) => Ok(SeedName(text.to_owned())),
        }
    }
}

impl fmt::Display for SeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a seed has no address to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// The system's answer.
    Unknown(String),
    /// All its addresses are of a family that the node is not bound to, or not one host's.
    Unreachable,
    /// The name servers took longer than `Options::resolve_timeout`.
    Late,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unresolved::Unknown(why) => write!(f, "cannot be looked up: {why}"),
            Unresolved::Unreachable => f.write_str("has no host's address of a family that this node is bound to"),
            Unresolved::Late => f.write_str("cannot be looked up: the name servers do not answer"),
        }
    }
}

/// What came of looking a seed up.
pub type Resolved = Result<Vec<SocketAddr>, Unresolved>;

/// The seeds that hold at present, and the lookups under way.
///
/// Answers of the lookups' threads go to the function given to [`Seeds::new`], which passes them to whoever owns this, for
/// [`Seeds::answered`].
#[derive(Debug)]
pub struct Seeds {
    reach: Reach,
    timeout: Duration,
    /// The id of the first of `names`; the others' follow. Ids are not used again when seeds are replaced.
    first: u32,
    names: Vec<SeedName>,
    lookups: Lookups,
    /// Lookups that took too long, or could not begin.
    overdue: u64,
}

impl Seeds {
    /// None yet. `answer` is called by the lookups' threads, once for each lookup; it may wait.
    pub fn new(reach: Reach, timeout: Duration, answer: impl Fn(Answer) + Send + Sync + 'static) -> Seeds {
        Seeds { reach, timeout, first: 0, names: Vec::new(), lookups: Lookups::new(answer), overdue: 0 }
    }

    /// The ids that `replace` will give to so many names.
    pub fn next_ids(&self, len: usize) -> Vec<SeedId> {
        let first = self.first.wrapping_add(self.names.len() as u32);
        (0..len as u32).map(|index| SeedId(first.wrapping_add(index))).collect()
    }

    /// From now on, these are the seeds. Lookups of those before are given up.
    pub fn replace(&mut self, names: Vec<SeedName>) {
        self.first = self.first.wrapping_add(self.names.len() as u32);
        self.names = names;
        self.lookups.give_up();
    }

    /// The present seeds, in the order in which they were named.
    pub fn names(&self) -> impl Iterator<Item = (SeedId, &SeedName)> {
        let first = self.first;
        (0u32..).zip(&self.names).map(move |(index, name)| (SeedId(first.wrapping_add(index)), name))
    }

    /// Looks a seed up. One that is written as an address is given back at once, and needs no lookup. `None`: what comes
    /// of it is told later; as well while an earlier lookup of it is under way.
    pub fn resolve(&mut self, now: Instant, seed: SeedId) -> Option<Resolved> {
        let name = self.name(seed)?;
        if let Ok(address) = name.0.parse::<SocketAddr>() {
            return Some(reachable([address], self.reach));
        }
        let text = name.0.clone();
        self.lookups.begin(now + self.timeout, seed, text);
        None
    }

    /// A thread has answered. `None`: nobody wants to know any more.
    pub fn answered(&mut self, now: Instant, answer: Answer) -> Option<(SeedId, Resolved)> {
        let (seed, found) = self.lookups.end(now + self.timeout, answer)?;
        let outcome = match found {
            Ok(addresses) => reachable(addresses, self.reach),
            Err(why) => Err(Unresolved::Unknown(why)),
        };
        if let (Err(why), Some(name)) = (&outcome, self.name(seed)) {
            debug!(seed = %name, %why, "no addresses of a seed");
        }
        Some((seed, outcome))
    }

    /// When to ask [`Seeds::poll_overdue`] again.
    pub fn deadline(&self) -> Option<Instant> {
        self.lookups.deadline()
    }

    /// A seed whose lookup takes too long, or could not begin, each once. An answer that comes late is told after all.
    pub fn poll_overdue(&mut self, now: Instant) -> Option<(SeedId, Resolved)> {
        let (seed, why) = self.lookups.poll_overdue(now)?;
        self.overdue += 1;
        // Each attempt to join may meet it again; the log need not.
        if let Some(name) = self.name(seed).filter(|_| self.overdue.is_power_of_two()) {
            let (timeout, times) = (self.timeout, self.overdue);
            warn!(seed = %name, ?timeout, times, %why, "a seed has no addresses for now; are the name servers of this host well?");
        }
        Some((seed, Err(why)))
    }

    fn name(&self, seed: SeedId) -> Option<&SeedName> {
        self.names.get(seed.0.wrapping_sub(self.first) as usize)
    }
}

/// Those of a seed's addresses that can be reached; an error if there is none.
fn reachable(found: impl IntoIterator<Item = SocketAddr>, reach: Reach) -> Resolved {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found.into_iter().map(Reach::inward) {
        let can_be_asked = reach.reaches(address) && AddressFault::of(address).is_none();
        if can_be_asked && !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(Unresolved::Unreachable) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests;
