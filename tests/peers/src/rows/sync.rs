//! Two nodes compare what they hold.
