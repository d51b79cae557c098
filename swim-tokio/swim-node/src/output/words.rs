//! The words for what becomes of messages, the same as text and as JSON.

use swim_tokio::{Class, Delivery, Ending, FailReason};

pub(crate) fn class(class: Class) -> &'static str {
    match class {
        Class::High => "high",
        Class::Normal => "normal",
        Class::Low => "low",
        Class::Bulk => "bulk",
    }
}

pub(crate) fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Sent => "sent",
        Ending::Delivered => "delivered",
        Ending::Processed => "processed",
        Ending::Expired => "expired",
        Ending::Cancelled => "cancelled",
        Ending::Failed(_) => "failed",
    }
}

pub(crate) fn reason(reason: FailReason) -> &'static str {
    match reason {
        FailReason::Died => "died",
        FailReason::Left => "left",
        FailReason::Restarted => "restarted",
        FailReason::TooLong { .. } => "too_long",
        FailReason::NoEndpoint => "no_endpoint",
        FailReason::Closed => "closed",
        _ => "other",
    }
}

pub(crate) fn delivery(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Never => "never",
        Delivery::Possible => "possible",
        Delivery::Certain => "certain",
    }
}
