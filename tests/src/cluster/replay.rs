//! S6: a view kept from events alone, compared with the table.

use swim_proto::{Node, NodeId, State};

use super::Peer;
use crate::told::{Content, Told, What};

impl Peer {
    /// Follows the events, as an application would that keeps a view of its own.
    pub(super) fn replay(&mut self, told: &Told) {
        let (Some(id), Some(content)) = (told.id, told.content.clone()) else { return };
        if id == NodeId::of(&self.config.cluster, &self.local.name) {
            self.own_content = Some(content);
            return;
        }
        let before = self.replayed.get(&id).map(|(state, _)| *state);
        let known = |what: &str| {
            before.unwrap_or_else(|| panic!("{} told {what} of {} unheard of", self.local.name, told.name))
        };
        let after = match told.what {
            What::Joined => State::Alive,
            What::Refuted | What::Restarted => {
                known("a return");
                State::Alive
            }
            What::Updated => known("an update"),
            What::Suspected => {
                known("a suspicion");
                State::Suspect
            }
            What::Died => State::Dead,
            What::Left => State::Left,
            What::Reaped => {
                known("a reaping");
                self.replayed.remove(&id);
                return;
            }
            _ => return,
        };
        assert!(
            told.what != What::Joined || before.is_none_or(|state| !state.is_live()),
            "{} told that {} joined, who was {before:?}",
            self.local.name,
            told.name
        );
        self.replayed.insert(id, (after, content));
    }

    /// S6: the events replayed are the table.
    pub(super) fn check_replay(&self, node: &Node) {
        let own = node.local().id;
        let mut members = 0;
        for member in node.members().filter(|member| member.id != own) {
            members += 1;
            let held = (member.state, Content::of(&member));
            assert_eq!(self.replayed.get(&member.id), Some(&held), "{} at {}", member.name, self.local.name);
        }
        assert_eq!(self.replayed.len(), members, "{} was told of more than it holds", self.local.name);
        assert_eq!(self.own_content, Some(Content::of(&node.local())), "of {} itself", self.local.name);
    }
}
