//! The libraries compared, each behind [`Peer`](crate::peer::Peer).

use std::fmt;

pub(crate) mod foca;
pub(crate) mod kinship;
pub(crate) mod ours;

/// A library to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Library {
    /// `swim-proto`, of this repository.
    Ours,
    /// `foca` 2.0.0.
    Foca,
    /// `kinship-core` 0.5.0.
    Kinship,
}

impl Library {
    /// All of them, in the order of the table's columns.
    pub(crate) const ALL: [Library; 3] = [Library::Ours, Library::Foca, Library::Kinship];
}

impl Library {
    /// Its name on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Library::Ours => "ours",
            Library::Foca => "foca",
            Library::Kinship => "kinship",
        }
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Library::Ours => "swim-proto",
            Library::Foca => "foca",
            Library::Kinship => "kinship",
        })
    }
}
