//! How a departure went.

use std::time::{Duration, Instant};

use crate::driver::Handle;

/// What became of the goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    /// It was spread as widely as any news is.
    Told,
    /// There was nobody to tell.
    Alone,
    /// [`Config::leave_timeout`](swim_tokio::Config::leave_timeout) came first: not all may have been told.
    Late,
    /// The node could not leave: it was superseded, or is no more.
    Refused,
}

impl Departure {
    /// Leaves the cluster and shuts the node down.
    pub(super) async fn of(node: Handle, leave_timeout: Duration) -> Departure {
        let ourselves = node.id();
        let is_alone = match node.members().await {
            Ok(members) => !members.iter().any(|member| member.id != ourselves && member.state.is_live()),
            Err(_) => false,
        };
        let began = Instant::now();
        let left = node.leave().await;
        let took = began.elapsed();
        node.shutdown().await;
        match left {
            Err(_) => Departure::Refused,
            Ok(()) if is_alone => Departure::Alone,
            Ok(()) if took >= leave_timeout => Departure::Late,
            Ok(()) => Departure::Told,
        }
    }

    /// One word, for programs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Departure::Told => "told",
            Departure::Alone => "alone",
            Departure::Late => "late",
            Departure::Refused => "refused",
        }
    }

    /// The same in words.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Departure::Told => "the cluster was told",
            Departure::Alone => "nobody was there to be told",
            Departure::Late => "not all may have been told: leave_timeout was over first",
            Departure::Refused => "nobody was told",
        }
    }
}
