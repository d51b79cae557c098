//! What a sender says has become of its messages, and the bounds of what it keeps (`docs/messaging.md` 3, 4, 10).

use swim_proto::messaging::{
    BreakerState, Confirm, Delivery, Ending, Event, FailReason, Outcome, Outgoing, Queue, SendError,
};

use swim_proto::NodeId;

use super::office::{At, Held, Link, Office};
use super::{Letter, Letters, Verdict, wrong};
use crate::judges::Rule;

impl Office {
    pub(super) fn tells(&mut self, at: At<'_>, event: &Event, letters: &mut Letters) -> Verdict {
        match *event {
            Event::Outcome(outcome) => self.outcome(at, &outcome, letters),
            Event::Writable { to } => self.tells_of_room(at, to),
            Event::Breaker { peer, state } => {
                self.waits.is_barred(at, peer, state);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// It says that there is room: for whom the queue to it refused, or that to all, or both.
    fn tells_of_room(&mut self, at: At<'_>, to: NodeId) -> Verdict {
        let (config, stats) = (at.messenger.config(), at.messenger.stats());
        let low = |messages: u32, messages_max: u32, bytes: u64, bytes_max: u32| {
            u64::from(messages) * 4 < u64::from(messages_max) * 3 && bytes * 4 < u64::from(bytes_max) * 3
        };
        let own_is_low = at.messenger.peer(to).is_none_or(|view| {
            low(view.outgoing, config.queue_messages_max, view.outgoing_bytes, config.queue_bytes_max)
        });
        let all = stats.outgoing + stats.lingering;
        let all_are_low = low(all, config.outgoing_messages_max, stats.outgoing_bytes, config.outgoing_bytes_max);
        let own = own_is_low && self.refused.remove(&(to, true));
        let any = all_are_low && self.refused.remove(&(to, false));
        if own && any {
            // Either is told by it, or each by one.
            self.told_for_both.insert(to);
        }
        let promised = own || any || self.refused.remove(&(to, true)) || self.refused.remove(&(to, false));
        if promised || self.told_for_both.remove(&to) {
            return Ok(());
        }
        wrong(Rule::M10, format!("says that there is room for member {to}, which was not refused"))
    }

    /// It says what became of a message.
    pub(super) fn outcome(&mut self, at: At<'_>, outcome: &Outcome, letters: &mut Letters) -> Verdict {
        let id = outcome.id;
        let rebinds_to = self.rebinds_to(outcome.to);
        let number = self.numbers.get(&id).copied();
        let Some((number, letter)) = number.and_then(|number| Some((number, letters.get(number)?))) else {
            return wrong(Rule::M1, format!("tells the end of message {id:?}, which it never accepted"));
        };
        if let Some(ending) = letter.ending {
            return wrong(
                Rule::M1,
                format!("tells the end of message {id:?} again: {:?} after {ending:?}", outcome.ending),
            );
        }
        letter.ending = Some(outcome.ending);
        letter.dropped |= self.closed;
        // It may go back to its queue and expire there in one turn.
        letter.rebound |=
            letter.redeliverable && letter.bound.zip(rebinds_to).is_some_and(|(former, other)| former != other);
        if outcome.ending == Ending::Sent {
            letters.sent.entry((self.session, outcome.to)).or_default().push(number);
        }
        let Some(letter) = letters.get(number) else { return Ok(()) };
        self.undone.remove(&(letter.expires, number));
        if let Some(undone) = self.undone_to.get_mut(&letter.to) {
            undone.remove(&number);
        }
        if let Some(outbox) = self.outboxes.get_mut(&letter.to)
            && outcome.ending != Ending::Sent
        {
            outbox.ends(number, letter);
        }
        let told = (outcome.to, outcome.accepted, outcome.sent, outcome.ended);
        if told != (letter.to, letter.accepted, letter.sent, at.now) {
            return wrong(Rule::M1, format!("tells of message {id:?} other times or another target: {outcome:?}"));
        }
        judge_delivery(letter, outcome)?;
        self.judge_ending(at, letter, outcome)
    }

    fn judge_ending(&self, at: At<'_>, letter: &Letter, outcome: &Outcome) -> Verdict {
        let held = self.members.get(&letter.to);
        let due = match outcome.ending {
            Ending::Sent => letter.confirm == Confirm::Sent && letter.sent.is_some(),
            Ending::Delivered => letter.confirm == Confirm::Delivered && letter.known.0,
            Ending::Processed => letter.confirm == Confirm::Processed && letter.known.1,
            Ending::Expired => at.now >= letter.expires,
            Ending::Cancelled => self.cancelled.contains(&letter.id),
            Ending::Failed(FailReason::Died) => matches!(held, Some(Held::Dead | Held::Forgotten)),
            Ending::Failed(FailReason::Left) => held == Some(&Held::Left),
            Ending::Failed(FailReason::NoEndpoint) => matches!(held, Some(Held::Live { endpoint: None, .. })),
            Ending::Failed(FailReason::Closed) => self.closed,
            Ending::Failed(FailReason::Restarted) => letter.sent.is_some() && !letter.redeliverable,
            Ending::Failed(FailReason::TooLong { max }) => letter.cost > u64::from(max),
            Ending::Failed(_) => true,
        };
        if due {
            return Ok(());
        }
        let rule = match outcome.ending {
            Ending::Sent | Ending::Delivered | Ending::Processed => Rule::M2,
            Ending::Expired => Rule::M11,
            Ending::Failed(FailReason::Restarted) => Rule::M5,
            Ending::Cancelled | Ending::Failed(_) => Rule::M1,
        };
        wrong(
            rule,
            format!("says that message {:?} ended as {:?}, for which there is no reason", letter.id, outcome.ending),
        )
    }

    /// Whether what it keeps is within its bounds (10.1), and as it counts it.
    pub(super) fn judge_bounds(&self, at: At<'_>, peer: Option<NodeId>) -> Verdict {
        let (stats, config) = (at.messenger.stats(), at.messenger.config());
        let done = stats.done_sent
            + stats.done_delivered
            + stats.done_processed
            + stats.expired
            + stats.cancelled
            + stats.failed;
        let counted = (stats.accepted, stats.accepted - done.min(stats.accepted), u64::from(stats.outgoing));
        if counted != (self.accepted, self.undone.len() as u64, self.undone.len() as u64) {
            let undone = self.undone.len();
            return wrong(
                Rule::M1,
                format!("has {} messages accepted and {undone} not done, and counts {counted:?}", self.accepted),
            );
        }
        let links = self.links.len() as u64;
        let opened = self.links.values().filter(|link| link.peer.is_some()).count() as u64;
        for (what, held, max) in [
            ("messages to send", stats.outgoing.into(), config.outgoing_messages_max.into()),
            ("bytes to send", stats.outgoing_bytes, config.outgoing_bytes_max.into()),
            ("bytes received or promised room", stats.incoming_bytes, config.incoming_bytes_max),
            ("bytes received", self.incoming_bytes, config.incoming_bytes_max),
            ("members", stats.members.into(), config.members_max.into()),
            ("peers", stats.peers.into(), config.peers_max.into()),
            ("links opened", opened, config.links_max.into()),
            ("links accepted", links - opened, config.accepted_max.into()),
        ] {
            if held > max {
                return wrong(Rule::M7, format!("has {held} {what}; {max} are allowed"));
            }
        }
        if stats.incoming != self.incoming {
            let (counts, has) = (stats.incoming, self.incoming);
            return wrong(Rule::M7, format!("counts {counts} messages in the application's queue, there are {has}"));
        }
        if u64::from(stats.links) != links {
            return wrong(Rule::M7, format!("counts {} links, there are {links}", stats.links));
        }
        match peer.and_then(|peer| at.messenger.peer(peer)) {
            Some(view) if view.outgoing > config.queue_messages_max => {
                wrong(Rule::M7, format!("has {} messages for one member", view.outgoing))
            }
            Some(view) if view.outgoing_bytes > config.queue_bytes_max.into() => {
                wrong(Rule::M7, format!("has {} bytes for one member", view.outgoing_bytes))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// It refused a message.
    pub(super) fn refuses(&mut self, at: At<'_>, message: &Outgoing, error: SendError) -> Verdict {
        let live = matches!(self.members.get(&message.to), Some(Held::Live { .. }));
        match error {
            SendError::NotLive(_) | SendError::UnknownMember(_) if live => {
                wrong(Rule::M9, format!("refused a message to member {}, which is live: {error}", message.to))
            }
            SendError::Closed if !self.closed => wrong(Rule::M1, "refused a message, and was not closed".into()),
            SendError::QueueFull { queue, .. } => {
                let own = matches!(queue, Queue::PeerMessages | Queue::PeerBytes);
                self.refused.insert((message.to, own));
                Ok(())
            }
            _ => self.judge_refused(at, message, error),
        }
    }

    /// A member is not live any more, or has no endpoint.
    pub(super) fn judge_burial(&mut self, at: At<'_>, peer: NodeId) -> Verdict {
        if let Some(left) = self.undone_to.get(&peer).filter(|left| !left.is_empty()) {
            return wrong(Rule::M9, format!("keeps {} messages to member {peer}, which is not live", left.len()));
        }
        if matches!(self.members.get(&peer), Some(Held::Live { .. })) {
            return Ok(());
        }
        let theirs = |link: &Link| {
            link.peer == Some(peer) || link.hello.is_some_and(|hello| hello.source == peer) && link.inbox.is_some()
        };
        if self.links.values().any(theirs) {
            return wrong(Rule::M9, format!("keeps a link with member {peer}, which is not live"));
        }
        match at.messenger.peer(peer).map(|view| view.breaker) {
            None | Some(BreakerState::Open { retry_in: None }) => Ok(()),
            Some(breaker) => {
                wrong(Rule::M9, format!("has the breaker of member {peer}, which is not live, {breaker:?}"))
            }
        }
    }

    /// Whether everybody who was refused for want of room is told once there is some (4.3).
    pub(super) fn judge_writable(&self, at: At<'_>, letters: &Letters) -> Verdict {
        for &(to, own_queue) in &self.refused {
            let Some(view) = at.messenger.peer(to) else { continue };
            // What is confirmed as sent counts on and is not shown: only what is empty is surely low.
            let own_is_empty = view.outgoing == 0 && view.flight_bytes == 0 && view.waiting == 0;
            let all_is_empty = || self.undone.is_empty() && letters.sent_by(self.session, at.now) == 0;
            if own_is_empty && (own_queue || all_is_empty()) {
                return wrong(Rule::M10, format!("has room for member {to}, which was refused, and does not say so"));
            }
        }
        Ok(())
    }
}

/// Whether what it says of the delivery is so (3.2).
fn judge_delivery(letter: &Letter, outcome: &Outcome) -> Verdict {
    let id = letter.id;
    let expected = match (letter.sent, letter.known.0) {
        (None, _) => Delivery::Never,
        (Some(_), false) => Delivery::Possible,
        (Some(_), true) => Delivery::Certain,
    };
    let may_be = outcome.delivery == expected || letter.rebound && outcome.delivery >= Delivery::Possible;
    if !may_be {
        return wrong(
            Rule::M2,
            format!("says of message {id:?} that its delivery is {:?}: {expected:?}", outcome.delivery),
        );
    }
    if outcome.delivery == Delivery::Certain && letter.delivered.is_empty() {
        return wrong(Rule::M2, format!("says that message {id:?} was delivered, and it was not"));
    }
    if outcome.ending == Ending::Processed && letter.processed.is_empty() {
        return wrong(Rule::M2, format!("says that message {id:?} was processed, and no application has seen it"));
    }
    Ok(())
}
