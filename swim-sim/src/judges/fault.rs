//! What a single judge says: a rule, and what is wrong. Who and when is added by [`Judges`](super::Judges).

use swim_proto::NodeId;

use super::Rule;

/// What a judge found wrong at one node.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) rule: Rule,
    /// The member it is about, if not the node itself.
    pub(super) about: Option<NodeId>,
    pub(super) what: String,
}

/// A judge's word.
pub(super) type Verdict = Result<(), Fault>;

/// Something is wrong at a node.
pub(super) fn fault(rule: Rule, what: String) -> Verdict {
    Err(Fault { rule, about: None, what })
}

/// Something is wrong with what a node holds or says of this member.
pub(super) fn fault_about(rule: Rule, id: NodeId, what: String) -> Verdict {
    Err(Fault { rule, about: Some(id), what })
}
