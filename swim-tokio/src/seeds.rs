//! Seeds as people write them, `host:port`, and their lookup, anew each time.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use swim_proto::SeedId;
use swim_proto::wire::AddressFault;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tracing::{Instrument, debug, warn};

use crate::inputs::{Input, Inputs};
use crate::sockets::Reach;

/// Most lookups of the present seeds at once; the others wait for their turn.
const LOOKUPS_MAX: usize = 8;

/// Most lookups at once, those of replaced seeds included that the name servers have not answered yet.
const THREADS_MAX: usize = 32;

/// Most addresses of one seed that are told to the core; the rest are ignored.
const ADDRESSES_MAX: usize = 32;

/// A seed, checked to be `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeedName(String);

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
pub(crate) enum Unresolved {
    /// The system's answer.
    Unknown(String),
    /// All its addresses are of a family that the node is not bound to, or not one host's.
    Unreachable,
    /// The name servers took longer than [`Options::resolve_timeout`](crate::Options::resolve_timeout).
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

/// The seeds that hold at present, and the lookups under way. Dropping it gives them up.
///
/// A lookup is the system's (`getaddrinfo`): it cannot be interrupted, and may hang for as long as the name servers do.
/// Each runs on a thread of its own that belongs to no runtime, so that none waits for it at its end; the thread holds
/// its turn until it is done, whether or not anybody still wants the answer.
pub(crate) struct Seeds {
    reach: Reach,
    timeout: Duration,
    inputs: Inputs,
    /// The id of the first of `names`; the others' follow. Ids are not used again when seeds are replaced.
    first: u32,
    names: Vec<SeedName>,
    /// Of the present seeds: those replaced do not hold up their successors.
    turns: Arc<Semaphore>,
    /// Of all.
    threads: Arc<Semaphore>,
    lookups: JoinSet<SeedId>,
    /// The seeds whose lookup has not ended: one is enough for each.
    under_way: BTreeSet<SeedId>,
}

impl Seeds {
    pub(crate) fn new(reach: Reach, timeout: Duration, inputs: Inputs) -> Seeds {
        Seeds {
            reach,
            timeout,
            inputs,
            first: 0,
            names: Vec::new(),
            turns: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            threads: Arc::new(Semaphore::new(THREADS_MAX)),
            lookups: JoinSet::new(),
            under_way: BTreeSet::new(),
        }
    }

    /// The ids that `replace` will give to so many names.
    pub(crate) fn next_ids(&self, len: usize) -> Vec<SeedId> {
        let first = self.first.wrapping_add(self.names.len() as u32);
        (0..len as u32).map(|index| SeedId(first.wrapping_add(index))).collect()
    }

    /// From now on, these are the seeds. Lookups of those before are given up.
    pub(crate) fn replace(&mut self, names: Vec<SeedName>) {
        self.first = self.first.wrapping_add(self.names.len() as u32);
        self.names = names;
        self.lookups = JoinSet::new();
        self.under_way.clear();
        self.turns = Arc::new(Semaphore::new(LOOKUPS_MAX));
    }

    /// The present seeds, in the order in which they were named.
    pub(crate) fn names(&self) -> impl Iterator<Item = (SeedId, &SeedName)> {
        let first = self.first;
        (0u32..).zip(&self.names).map(move |(index, name)| (SeedId(first.wrapping_add(index)), name))
    }

    /// Looks a seed up; its addresses, or why there are none, arrive as [`Input::Resolved`]. One that is written as an
    /// address is given back at once, and needs no lookup. `None` as well while an earlier lookup of it is under way.
    pub(crate) fn resolve(&mut self, seed: SeedId) -> Option<Result<Vec<SocketAddr>, Unresolved>> {
        while let Some(ended) = self.lookups.try_join_next() {
            self.under_way.retain(|seed| ended.as_ref().ok() != Some(seed));
        }
        let name = self.names.get(seed.0.wrapping_sub(self.first) as usize)?.clone();
        if let Ok(address) = name.0.parse::<SocketAddr>() {
            return Some(reachable([address], self.reach));
        }
        if self.under_way.insert(seed) {
            let lookup = look_up(
                Lookup { seed, name, reach: self.reach, timeout: self.timeout },
                (self.turns.clone(), self.threads.clone()),
                self.inputs.clone(),
            );
            self.lookups.spawn(lookup.in_current_span());
        }
        None
    }

    /// How many names are being looked up, but for those whose end was not noticed yet.
    #[cfg(test)]
    fn under_way(&self) -> usize {
        self.lookups.len()
    }

    /// Gives up all lookups.
    pub(crate) async fn abort(&mut self) {
        self.lookups.shutdown().await;
    }
}

struct Lookup {
    seed: SeedId,
    name: SeedName,
    reach: Reach,
    timeout: Duration,
}

/// Waits for its turn, looks the name up and reports. An answer that comes too late is reported after all.
async fn look_up(lookup: Lookup, (turns, threads): (Arc<Semaphore>, Arc<Semaphore>), inputs: Inputs) -> SeedId {
    let Lookup { seed, name, reach, timeout } = lookup;
    // Never closed; and were they, there would only be more lookups at once.
    let turn = (turns.acquire_owned().await, threads.acquire_owned().await);
    let (answer, mut answered) = oneshot::channel();
    let asked = name.0.clone();
    let thread = std::thread::Builder::new().name("swim-lookup".to_owned()).spawn(move || {
        // A refusal means that nobody wants to know any more.
        let _ = answer.send(asked.to_socket_addrs().map(Vec::from_iter));
        drop(turn);
    });
    if let Err(error) = thread {
        debug!(seed = %name, %error, "the system gives no thread for a lookup");
    }
    let report = async |outcome: Result<io::Result<Vec<SocketAddr>>, oneshot::error::RecvError>| {
        let outcome = match outcome {
            Ok(Ok(addresses)) => reachable(addresses, reach),
            Ok(Err(error)) => Err(Unresolved::Unknown(error.to_string())),
            Err(_) => Err(Unresolved::Unknown("the system gives no thread for it".to_owned())),
        };
        if let Err(why) = &outcome {
            debug!(seed = %name, %why, "no addresses of a seed");
        }
        let _ = inputs.send(Input::Resolved(seed, outcome)).await;
    };
    match tokio::time::timeout(timeout, &mut answered).await {
        Ok(outcome) => report(outcome).await,
        Err(_) => {
            warn!(seed = %name, ?timeout, "looking up a seed takes too long; are the name servers of this host well?");
            let _ = inputs.send(Input::Resolved(seed, Err(Unresolved::Late))).await;
            report(answered.await).await;
        }
    }
    seed
}

/// Those of a seed's addresses that can be reached; an error if there is none.
fn reachable(found: impl IntoIterator<Item = SocketAddr>, reach: Reach) -> Result<Vec<SocketAddr>, Unresolved> {
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
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_host_and_a_port() {
        for good in ["localhost:7946", "10.0.0.1:1", "[::1]:65535", "[fe80::1%2]:80", "a.b.example.:80"] {
            assert!(good.parse::<SeedName>().is_ok(), "{good}");
        }
        for (bad, reason) in [
            ("", "the port is missing"),
            ("localhost", "the port is missing"),
            (":80", "the host is missing"),
            ("host:", "the port is not a number"),
            ("host:0", "the port is not a number"),
            ("host:65536", "the port is not a number"),
            ("a:b", "the port is not a number"),
            ("::1:80", "stands in brackets"),
            ("[host]:80", "no IPv6 address in the brackets"),
            ("[::1", "no IPv6 address in the brackets"),
            ("ho st:80", "the host is no name"),
            ("http://a:80", "the host is no name"),
            ("0.0.0.0:80", "not one host's"),
            ("[::]:80", "not one host's"),
            ("255.255.255.255:80", "not one host's"),
            ("224.0.0.1:80", "not one host's"),
        ] {
            let error = bad.parse::<SeedName>().expect_err(bad);
            assert!(error.reason.contains(reason), "{error}");
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
            assert!(error.to_string().contains("host:port"), "{error}");
        }
    }

    fn seeds_of(bound: &str, names: &[&str]) -> (Seeds, Vec<SeedId>, tokio::sync::mpsc::Receiver<Input>) {
        let (inputs, received) = tokio::sync::mpsc::channel(64);
        let mut seeds = Seeds::new(Reach::of(bound.parse().unwrap()), Duration::from_secs(60), inputs);
        let ids = seeds.next_ids(names.len());
        seeds.replace(names.iter().map(|name| name.parse().unwrap()).collect());
        (seeds, ids, received)
    }

    #[tokio::test]
    async fn a_name_is_looked_up_in_the_family_of_the_socket() {
        let (mut seeds, ids, mut received) = seeds_of("127.0.0.1:1", &["localhost:7946"]);
        assert_eq!(seeds.resolve(ids[0]), None);
        match received.recv().await {
            Some(Input::Resolved(id, outcome)) if id == ids[0] => {
                assert_eq!(outcome, Ok(vec!["127.0.0.1:7946".parse().unwrap()]));
            }
            _ => panic!("nothing was resolved"),
        }
    }

    #[test]
    fn addresses_that_are_of_no_host_or_of_the_other_family_are_left_out() {
        let found = ["0.0.0.0:1", "10.0.0.1:1", "[::1]:1", "10.0.0.1:1", "[::ffff:10.0.0.2]:1"];
        let found = found.map(|address| address.parse().unwrap());
        let expected = ["10.0.0.1:1", "10.0.0.2:1"].map(|address| address.parse().unwrap());
        assert_eq!(reachable(found, Reach::V4), Ok(expected.to_vec()));
        assert_eq!(reachable([found[0], found[2]], Reach::V4), Err(Unresolved::Unreachable));
    }

    #[tokio::test]
    async fn an_address_needs_no_lookup_and_waits_for_none() {
        let (mut seeds, ids, _received) = seeds_of("[::1]:1", &["[::1]:7946", "127.0.0.1:7946"]);
        // All turns are taken, as if the name servers were gone.
        let _turns = seeds.turns.clone().try_acquire_many_owned(LOOKUPS_MAX as u32).unwrap();
        assert_eq!(seeds.resolve(ids[0]), Some(Ok(vec!["[::1]:7946".parse().unwrap()])));
        assert_eq!(seeds.resolve(ids[1]), Some(Err(Unresolved::Unreachable)));
        assert_eq!(seeds.under_way(), 0);
    }

    #[tokio::test]
    async fn a_seed_is_looked_up_once_at_a_time_and_no_more_once_it_is_replaced() {
        let (mut seeds, ids, mut received) = seeds_of("127.0.0.1:1", &["localhost:1", "localhost:2"]);
        let turns = seeds.turns.clone().try_acquire_many_owned(LOOKUPS_MAX as u32).unwrap();
        for _ in 0..100 {
            assert_eq!(seeds.resolve(ids[0]), None);
            assert_eq!(seeds.resolve(ids[1]), None);
            tokio::task::yield_now().await;
        }
        assert_eq!(seeds.under_way(), 2);
        drop(turns);
        for _ in 0..2 {
            assert!(matches!(received.recv().await, Some(Input::Resolved(_, Ok(_)))));
        }
        // Once it has ended, the next may begin.
        while seeds.under_way() > 0 {
            tokio::task::yield_now().await;
            seeds.resolve(SeedId(u32::MAX));
        }
        seeds.resolve(ids[0]);
        assert_eq!(seeds.under_way(), 1);

        // Those before hold up nobody: not with their lookups, nor with their turns.
        let _turns = seeds.turns.clone().try_acquire_many_owned(LOOKUPS_MAX as u32 - 1).unwrap();
        let new = seeds.next_ids(1);
        seeds.replace(vec!["localhost:3".parse().unwrap()]);
        assert_eq!(seeds.under_way(), 0);
        seeds.resolve(new[0]);
        let three = async {
            loop {
                match received.recv().await.expect("the seeds are there") {
                    Input::Resolved(id, Ok(_)) if id == new[0] => return,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), three).await.expect("the new seed is looked up");
    }

    #[tokio::test]
    async fn a_late_answer_is_told_after_the_warning() {
        let (inputs, mut received) = tokio::sync::mpsc::channel(64);
        let mut seeds = Seeds::new(Reach::V4, Duration::ZERO, inputs);
        let ids = seeds.next_ids(1);
        seeds.replace(vec!["localhost:7946".parse().unwrap()]);
        seeds.resolve(ids[0]);
        let mut outcomes = Vec::new();
        while outcomes.last().is_none_or(Result::is_err) {
            match received.recv().await {
                Some(Input::Resolved(id, outcome)) if id == ids[0] => outcomes.push(outcome),
                _ => panic!("nothing was resolved"),
            }
        }
        // With no time at all the answer may still have been there at once.
        assert!(outcomes[..outcomes.len() - 1].iter().all(|outcome| *outcome == Err(Unresolved::Late)));
        assert_eq!(outcomes.last(), Some(&Ok(vec!["127.0.0.1:7946".parse().unwrap()])));
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_is_told_as_such() {
        let (mut seeds, ids, mut received) = seeds_of("127.0.0.1:1", &["no-such-host.invalid:1"]);
        seeds.resolve(ids[0]);
        let outcome = loop {
            match received.recv().await {
                Some(Input::Resolved(_, Err(Unresolved::Late))) => {}
                Some(Input::Resolved(_, outcome)) => break outcome,
                _ => panic!("nothing was resolved"),
            }
        };
        assert!(matches!(outcome, Err(Unresolved::Unknown(_))), "{outcome:?}");
    }

    #[tokio::test]
    async fn ids_of_replaced_seeds_are_not_used_again() {
        let (mut seeds, old, _received) = seeds_of("127.0.0.1:1", &["a:1", "b:1"]);
        let new = seeds.next_ids(1);
        seeds.replace(vec!["127.0.0.1:1".parse().unwrap()]);
        assert!(!old.contains(&new[0]));
        assert_eq!(seeds.resolve(old[0]), None);
        assert_eq!(seeds.under_way(), 0);
    }
}
