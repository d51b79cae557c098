//! The rows of the table, by what has to be run for them.

pub(crate) mod events;
pub(crate) mod join;
pub(crate) mod loss;
pub(crate) mod settled;
pub(crate) mod sync;

/// A group of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Group {
    /// Instructions and allocations of single events, heap per known member.
    Events,
    /// Bytes of comparing state.
    Sync,
    /// Many nodes join through one seed, some crash.
    Join,
    /// A settled cluster at rest, and a newcomer to it.
    Settled,
    /// Packets are lost, and some nodes crash.
    Loss,
}

/// Runs a generic function for the type of a library: `Ours`, `Foca` or `Kinship`, whatever these are at that place.
macro_rules! for_library {
    ($library:expr, $function:ident($($argument:expr),* $(,)?)) => {
        match $library {
            Library::Ours => $function::<Ours>($($argument),*),
            Library::Foca => $function::<Foca>($($argument),*),
            Library::Kinship => $function::<Kinship>($($argument),*),
        }
    };
}
pub(crate) use for_library;
