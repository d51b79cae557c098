//! Seeds as people write them, `host:port`, and their lookup, anew each time.

use std::fmt;
use std::str::FromStr;

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
