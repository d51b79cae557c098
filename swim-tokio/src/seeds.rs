//! Seeds as people write them, `host:port`, and their lookup, anew each time.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use swim_proto::SeedId;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{Instrument, debug};

use crate::inputs::{Input, Inputs};
use crate::sockets::Reach;

/// Most lookups at once; the others wait for their turn.
const LOOKUPS_MAX: usize = 8;

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
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.contains(':') && !bracketed {
            return Err(error("an IPv6 address stands in brackets"));
        }
        if host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(error("the host is no name"));
        }
        match port.parse::<u16>() {
            Ok(0) | Err(_) => Err(error("the port is not a number from 1 to 65535")),
            Ok(_) => Ok(SeedName(text.to_owned())),
        }
    }
}

impl fmt::Display for SeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The seeds that hold at present, and the lookups under way. Dropping it gives them up.
pub(crate) struct Seeds {
    reach: Reach,
    timeout: Duration,
    inputs: Inputs,
    /// The id of the first of `names`; the others' follow. Ids are not used again when seeds are replaced.
    first: u32,
    names: Vec<SeedName>,
    turns: Arc<Semaphore>,
    lookups: JoinSet<()>,
}

impl Seeds {
    pub(crate) fn new(reach: Reach, timeout: Duration, inputs: Inputs) -> Seeds {
        let turns = Arc::new(Semaphore::new(LOOKUPS_MAX));
        Seeds { reach, timeout, inputs, first: 0, names: Vec::new(), turns, lookups: JoinSet::new() }
    }

    /// The ids that `replace` will give to so many names.
    pub(crate) fn next_ids(&self, len: usize) -> Vec<SeedId> {
        let first = self.first.wrapping_add(self.names.len() as u32);
        (0..len as u32).map(|index| SeedId(first.wrapping_add(index))).collect()
    }

    /// From now on, these are the seeds.
    pub(crate) fn replace(&mut self, names: Vec<SeedName>) {
        self.first = self.first.wrapping_add(self.names.len() as u32);
        self.names = names;
    }

    /// Looks a seed up, in a task; its addresses, or none, arrive as [`Input::Resolved`].
    pub(crate) fn resolve(&mut self, seed: SeedId) {
        while self.lookups.try_join_next().is_some() {}
        let Some(name) = self.names.get(seed.0.wrapping_sub(self.first) as usize).cloned() else { return };
        let (reach, timeout, inputs, turns) = (self.reach, self.timeout, self.inputs.clone(), self.turns.clone());
        let lookup = async move {
            // Never closed; and were it, there would only be more lookups at once.
            let _turn = turns.acquire().await;
            let addresses = match tokio::time::timeout(timeout, lookup(&name, reach)).await {
                Ok(Ok(addresses)) => addresses,
                Ok(Err(error)) => {
                    debug!(seed = %name, %error, "cannot look up a seed");
                    Vec::new()
                }
                Err(_) => {
                    debug!(seed = %name, ?timeout, "looking up a seed took too long");
                    Vec::new()
                }
            };
            let _ = inputs.send(Input::Resolved(seed, addresses)).await;
        };
        self.lookups.spawn(lookup.in_current_span());
    }

    /// Gives up all lookups.
    pub(crate) async fn abort(&mut self) {
        self.lookups.shutdown().await;
    }
}

/// The addresses of a name that can be reached; an error if there is none.
async fn lookup(name: &SeedName, reach: Reach) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in tokio::net::lookup_host(&name.0).await?.map(Reach::inward) {
        if reach.reaches(address) && !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::other("it has no address of a family that the node is bound to"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_host_and_a_port() {
        for good in ["localhost:7946", "10.0.0.1:1", "[::1]:65535", "a.b.example.:80"] {
            assert!(good.parse::<SeedName>().is_ok(), "{good}");
        }
        for bad in ["", "localhost", ":80", "host:", "host:0", "host:65536", "::1:80", "ho st:80", "http://a:80", "a:b"]
        {
            let error = bad.parse::<SeedName>().expect_err(bad);
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
            assert!(error.to_string().contains("host:port"), "{error}");
        }
    }

    async fn resolved(seed: &str, bound: &str) -> Vec<SocketAddr> {
        let (inputs, mut received) = tokio::sync::mpsc::channel(1);
        let mut seeds = Seeds::new(Reach::of(bound.parse().unwrap()), Duration::from_secs(5), inputs);
        let ids = seeds.next_ids(1);
        seeds.replace(vec![seed.parse().unwrap()]);
        seeds.resolve(ids[0]);
        match received.recv().await {
            Some(Input::Resolved(id, addresses)) if id == ids[0] => addresses,
            _ => panic!("nothing was resolved"),
        }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_in_the_family_of_the_socket() {
        assert_eq!(resolved("localhost:7946", "127.0.0.1:1").await, ["127.0.0.1:7946".parse().unwrap()]);
        assert_eq!(resolved("[::1]:7946", "[::1]:1").await, ["[::1]:7946".parse().unwrap()]);
        assert_eq!(resolved("[::1]:7946", "127.0.0.1:1").await, []);
    }

    #[tokio::test]
    async fn ids_of_replaced_seeds_are_not_used_again() {
        let (inputs, _received) = tokio::sync::mpsc::channel(1);
        let mut seeds = Seeds::new(Reach::V4, Duration::from_secs(5), inputs);
        let old = seeds.next_ids(2);
        seeds.replace(vec!["a:1".parse().unwrap(), "b:1".parse().unwrap()]);
        let new = seeds.next_ids(1);
        seeds.replace(vec!["c:1".parse().unwrap()]);
        assert!(!old.contains(&new[0]));
        seeds.resolve(old[0]);
        assert!(seeds.lookups.is_empty());
    }
}
