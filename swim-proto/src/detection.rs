//! Who answers, who is accused of not answering, and how much our own judgement is worth.
//!
//! `probe` asks, `suspicion` holds the cases against those who did not answer, `health` and `silence` doubt ourselves.

pub(crate) mod health;
pub(crate) mod load;
pub(crate) mod probe;
pub(crate) mod silence;
pub(crate) mod suspicion;
