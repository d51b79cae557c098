//! M12: who waits for what nobody holds up (`docs/messaging.md` 2, 4.1, 6.5, 9.3).

use std::collections::BTreeMap;
use std::time::Duration;

use swim_proto::messaging::packet::{Refusal, Refuse, Welcome};
use swim_proto::messaging::{BreakerState, Class, LinkId, MessagingConfig, OVERHEAD, Outgoing, SendError};
use swim_proto::{Instant, NodeId};

use super::office::{At, Held, Link, Office};
use super::{Letter, Messages, Verdict, wrong};
use crate::judges::Rule;
use crate::observe::{Condition, Slot, Truth};

/// What is late by no more than this is not late: a timer fires when its process has its turn.
const GRACE: Duration = Duration::from_secs(1);

/// How long a link on which all is well may take to carry what is under way, and an application to acknowledge what it
/// took.
const CARRIED: Duration = Duration::from_secs(5);

/// What may be under way to be carried in that time.
const CARRIED_BYTES: u64 = 64 * 1024;

/// What may keep a messenger's messages from their links, and others' links from being taken in. All by the world's
/// clock.
#[derive(Debug, Default)]
pub(super) struct Waits {
    peers: BTreeMap<NodeId, Wait>,
    /// When all the links that it may have open were in use.
    crowded: Instant,
    /// When it took somebody's link in no more.
    away: Instant,
    /// How many of its links had failed, as it counts them, before the input in hand.
    failed: u64,
}

/// The same about one member.
#[derive(Clone, Copy, Debug, Default)]
struct Wait {
    /// Before this no link need be opened to it.
    back_off: Instant,
    /// What it said in its last Welcome, of the endpoint that is held of it.
    told: Option<Told>,
    /// Since when its breaker has been open by failures.
    barred: Option<Instant>,
    /// Before this something stood in the way of what is for it, or some of it was sent or delivered.
    moved: Instant,
    /// When its link was closed here.
    shut: Instant,
}

/// The longest message that a member takes in a life, as it told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    life: u64,
    message_max: u32,
}

impl Told {
    /// Whether it still holds of a member that is held otherwise than before: live all the while, at the same endpoint, and
    /// in no greater life than it was told of (4.1). A link may tell of a life before gossip does; what it told then holds
    /// when gossip has told of it too, whether the link is still there or not.
    fn outlasts(self, before: Option<Held>, held: Held) -> bool {
        match (before, held) {
            (Some(Held::Live { endpoint: was, .. }), Held::Live { life, endpoint: Some(is) }) => {
                was == Some(is) && life <= self.life
            }
            _ => false,
        }
    }
}

/// When what happened to a link, by the world's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) opened: Instant,
    /// A packet came, or a Probe was put on it.
    pub(super) came: Instant,
    pub(super) asked: Instant,
    /// It came up or was writable again.
    pub(super) freed: Instant,
    /// Since when an answer is due on it: something is under way, or waits for credit.
    pub(super) pending: Option<Instant>,
}

impl At<'_> {
    /// How long ago something was, by the messenger's own clock.
    fn since(&self, earlier: Instant) -> Duration {
        self.world.saturating_since(earlier).mul_f64(self.rate)
    }

    /// When so much time of the messenger's own will have passed.
    fn after(&self, own: Duration) -> Instant {
        self.world + own.mul_f64(1.0 / self.rate)
    }

    /// Whether something has lasted for longer than it may, all the while its process ran.
    fn exceeds(&self, since: Instant, max: Duration) -> bool {
        self.running.is_some_and(|running| self.since(since.max(running)) > max + GRACE)
    }
}

impl Waits {
    fn of(&mut self, peer: NodeId) -> &mut Wait {
        self.peers.entry(peer).or_default()
    }

    /// Some of what is for a member was sent or delivered, or something stood in its way.
    pub(super) fn moved(&mut self, at: At<'_>, peer: Option<NodeId>) {
        if let Some(peer) = peer {
            let wait = self.of(peer);
            wait.moved = wait.moved.max(at.world);
        }
    }

    /// A member is held otherwise than before.
    pub(super) fn changes(&mut self, at: At<'_>, peer: NodeId, before: Option<Held>, held: Held) {
        let wait = self.of(peer);
        wait.told = wait.told.filter(|told| told.outlasts(before, held));
        self.moved(at, Some(peer));
    }

    /// A member that is held so welcomed a link: it is believed if it is that one, in no lesser life (2.6).
    pub(super) fn is_welcomed(&mut self, peer: NodeId, held: Option<&Held>, welcome: &Welcome) {
        let believed = matches!(held, Some(&Held::Live { life, .. }) if welcome.life >= life);
        if believed && welcome.source == peer {
            let Welcome { life, message_max, .. } = *welcome;
            self.of(peer).told = Some(Told { life, message_max });
        }
    }

    pub(super) fn is_refused(&mut self, at: At<'_>, peer: NodeId, refuse: &Refuse) {
        let retry = Duration::from_millis(refuse.retry_ms.into());
        let back = at.after(retry.max(at.messenger.config().link_retry_max));
        let wait = self.of(peer);
        (wait.back_off, wait.moved) = (wait.back_off.max(back), wait.moved.max(back));
    }

    pub(super) fn is_barred(&mut self, at: At<'_>, peer: NodeId, state: BreakerState) {
        self.of(peer).barred = matches!(state, BreakerState::Open { retry_in: Some(_) }).then_some(at.world);
        self.moved(at, Some(peer));
    }

    /// A link is gone.
    pub(super) fn ends(&mut self, at: At<'_>, link: Option<&Link>) {
        let Some(link) = link else { return };
        match (link.peer, link.inbox) {
            (Some(peer), _) => {
                let back = at.after(at.messenger.config().link_retry_max);
                let wait = self.of(peer);
                wait.back_off = wait.back_off.max(back);
            }
            (None, Some((peer, ..))) => self.of(peer).shut = at.world,
            (None, None) => {}
        }
    }

    /// It closed a link, which may have failed.
    pub(super) fn closes(&mut self, at: At<'_>, link: Option<&Link>) {
        let failed = at.messenger.stats().links_failed > self.failed;
        if failed || link.is_some_and(|link| link.peer.is_none()) {
            self.ends(at, link);
        }
    }

    /// It takes no link in.
    pub(super) fn turns_away(&mut self, at: At<'_>) {
        self.away = at.world;
    }
}

impl Office {
    /// It refused a message, for a reason that is not so.
    pub(super) fn judge_refused(&self, at: At<'_>, message: &Outgoing, error: SendError) -> Verdict {
        let (to, len) = (message.to, message.payload.len());
        let due = match error {
            SendError::TooLong { .. } => {
                let told = self.waits.peers.get(&to).and_then(|wait| wait.told);
                let max = at.messenger.config().message_max;
                len > told.map_or(max, |told| told.message_max.min(max)) as usize
            }
            SendError::BreakerOpen { .. } => {
                let barred = self.waits.peers.get(&to).and_then(|wait| wait.barred);
                !barred.is_some_and(|since| at.exceeds(since, at.messenger.config().breaker_open_max))
            }
            SendError::Trying => {
                let undone = self.undone_to.get(&to).is_some_and(|undone| !undone.is_empty());
                undone || self.outboxes.get(&to).is_some_and(|outbox| outbox.under_way > 0)
            }
            SendError::NoEndpoint(_) => !matches!(self.members.get(&to), Some(Held::Live { endpoint: Some(_), .. })),
            _ => true,
        };
        if due { Ok(()) } else { wrong(Rule::M12, format!("refuses member {to} {len} bytes for no reason: {error}")) }
    }

    /// It refuses somebody's link (2.3, 3.6, 7.6).
    pub(super) fn judge_refusal(&self, at: At<'_>, link: LinkId, refuse: &Refuse) -> Verdict {
        let Some((link, hello)) = self.links.get(&link).and_then(|link| Some((link, link.hello?))) else {
            return Ok(());
        };
        let held = self.members.get(&hello.source);
        let due = match refuse.why {
            Refusal::Unknown => match held {
                Some(Held::Live { life, endpoint: Some(endpoint) }) => {
                    *life != hello.life || link.from.is_none_or(|from| from.ip() != endpoint.ip())
                }
                _ => true,
            },
            Refusal::Superseded => matches!(held, Some(Held::Live { life, .. }) if *life > hello.life),
            Refusal::Misdirected => hello.target != self.id,
            Refusal::Busy => self.is_busy(at, hello.source),
            Refusal::Version => true,
        };
        if due {
            Ok(())
        } else {
            wrong(Rule::M12, format!("refuses member {} for no reason: {refuse:?}", hello.source))
        }
    }

    /// Whether it may have no room for a sender.
    fn is_busy(&self, at: At<'_>, source: NodeId) -> bool {
        let (config, stats) = (at.messenger.config(), at.messenger.stats());
        let accepted = self.links.values().filter(|link| link.peer.is_none()).count();
        let base = 2 * (u64::from(config.message_max) + OVERHEAD as u64);
        let theirs = at.messenger.peer(source).map_or(0, |view| view.incoming_bytes);
        accepted >= config.accepted_max as usize
            || stats.peers >= config.peers_max
            || stats.incoming_bytes + base > config.incoming_bytes_max
            || theirs >= config.window_bytes.into()
    }

    /// Whether something waits that nobody holds up.
    pub(super) fn judge_waits(&mut self, at: At<'_>) -> Verdict {
        let config = at.messenger.config();
        let opened = self.links.values().filter(|link| link.peer.is_some()).count();
        let has_room = opened < config.links_max as usize || self.links.values().any(|link| self.is_idle(link));
        if !has_room {
            self.waits.crowded = at.world;
        }
        self.note_pending(at);
        self.waits.failed = at.messenger.stats().links_failed;
        // Timers that are due have not fired yet; or have only just.
        let late = at.messenger.deadline().is_some_and(|deadline| deadline <= at.now);
        if late || self.closed || at.running.is_none_or(|running| at.since(running) <= GRACE) {
            return Ok(());
        }
        self.links.values().try_for_each(|link| self.judge_link(at, link))?;
        let waiting = self.outboxes.iter().filter(|(_, outbox)| outbox.has_waiting());
        waiting.map(|(&peer, _)| peer).try_for_each(|peer| self.judge_wait(at, peer, has_room))
    }

    /// Whether nothing is under way on a link, and nothing waits for it (2.8).
    fn is_idle(&self, link: &Link) -> bool {
        let Some(peer) = link.peer else { return false };
        let ready = link.answered.is_some() && !link.full;
        ready
            && self.undone_to.get(&peer).is_none_or(|undone| undone.is_empty())
            && self.outboxes.get(&peer).is_none_or(|outbox| outbox.under_way == 0)
    }

    /// Since when answers are due. Where there are rates, what waits may wait for them.
    fn note_pending(&mut self, at: At<'_>) {
        let config = at.messenger.config();
        let unlimited = config.rate_out == 0 && config.rate_out_peer == 0;
        let ids: Vec<(LinkId, NodeId)> = self.links.iter().filter_map(|(&id, link)| Some((id, link.peer?))).collect();
        for (id, peer) in ids {
            let due = self.outboxes.get(&peer).is_some_and(|outbox| {
                outbox.under_way > 0 || unlimited && outbox.has_waiting() && !self.has_credit(id, peer)
            });
            if let Some(link) = self.links.get_mut(&id) {
                let since = link.times.pending.unwrap_or(at.world);
                link.times.pending = (due && link.answered.is_some() && !link.full).then_some(since);
            }
        }
    }

    /// Whether any class that waits has credit.
    fn has_credit(&self, link: LinkId, peer: NodeId) -> bool {
        Class::ALL.into_iter().any(|class| self.could_send(link, peer, class))
    }

    /// Whether a link that was opened comes to be used, or fails (2.1, 2.6); and is asked, or has failed (2.8, 6.5).
    fn judge_link(&self, at: At<'_>, link: &Link) -> Verdict {
        let Some(peer) = link.peer.filter(|_| !link.full) else { return Ok(()) };
        let (config, times) = (at.messenger.config(), &link.times);
        if link.welcome.is_none() && at.exceeds(times.opened, config.link_timeout * 2) {
            return wrong(
                Rule::M12,
                format!("keeps a link to member {peer} that leads nowhere since {:?}", times.opened),
            );
        }
        let Some(pending) = times.pending else { return Ok(()) };
        let asked = asked_within(config, at.messenger.peer(peer).and_then(|view| view.delay));
        let heard = times.came.max(times.freed).max(pending);
        if at.exceeds(heard.max(times.asked), asked) {
            return wrong(Rule::M12, format!("waits for an answer of member {peer} since {heard:?}, and does not ask"));
        }
        // Three questions, and one time-out before each and after the last.
        if at.exceeds(heard, asked * 4) {
            return wrong(Rule::M12, format!("keeps a link to member {peer} on which nothing came since {heard:?}"));
        }
        Ok(())
    }

    /// Whether what waits for a member has a link, or a reason to have none (2.1, 2.8, 9.3).
    fn judge_wait(&self, at: At<'_>, peer: NodeId, has_room: bool) -> Verdict {
        let config = at.messenger.config();
        let wait = self.waits.peers.get(&peer).copied().unwrap_or_default();
        let breaker = at.messenger.peer(peer).map(|view| view.breaker);
        if let Some(BreakerState::Open { .. }) = breaker {
            return match wait.barred {
                Some(since) if at.exceeds(since, config.breaker_open_max) => {
                    wrong(Rule::M12, format!("has the breaker of member {peer} open since {since:?}"))
                }
                _ => Ok(()),
            };
        }
        let has_link = self.links.values().any(|link| link.peer == Some(peer));
        if has_link || !has_room || at.world < wait.back_off + GRACE {
            return Ok(());
        }
        wrong(Rule::M12, format!("lets messages to member {peer} wait, and opens no link to it"))
    }
}

/// Within what time a receiver is asked for the state of things.
fn asked_within(config: &MessagingConfig, delay: Option<Duration>) -> Duration {
    config.rto_max.max(delay.unwrap_or_default() * 4).mul_f64(1.25)
}

impl Messages {
    /// A message ended by expiry and was never put on a link: something must have stood in its way (3.6).
    pub(super) fn judge_expiry(&self, at: At<'_>, slot: Slot, letter: &Letter, truth: &dyn Truth) -> Verdict {
        let office = |slot: Slot| self.offices.get(slot.index()).and_then(Option::as_ref);
        let to =
            (0..truth.slots() as u32).map(Slot).find(|&to| office(to).is_some_and(|office| office.id == letter.to));
        let (Some(to), Some(sender)) = (to, office(slot)) else { return Ok(()) };
        let (Some(receiver), Some(messenger)) = (office(to), truth.messenger(to)) else { return Ok(()) };
        let (config, theirs) = (at.messenger.config(), messenger.config());
        let rates = [config.rate_out, config.rate_out_peer, theirs.rate_in, theirs.rate_in_peer];
        if rates.iter().any(|&rate| rate != 0) || receiver.closed || sender.closed {
            return Ok(());
        }
        let runs = |slot: Slot| match truth.condition(slot) {
            (Condition::Running, since) => Some(since),
            _ => None,
        };
        let reasons = [
            runs(slot),
            runs(to),
            truth.linked_since(slot, to),
            truth.lossless_since(),
            truth.undisturbed_since(slot),
            truth.undisturbed_since(to),
        ];
        let whole = reasons.into_iter().try_fold(Instant::ZERO, |since, reason| Some(since.max(reason?)));
        let Some(whole) = whole else { return Ok(()) };
        let ours = sender.waits.peers.get(&letter.to).copied().unwrap_or_default();
        let shut = receiver.waits.peers.get(&sender.id).map_or(Instant::ZERO, |wait| wait.shut);
        let link = sender.links.values().find(|link| link.peer == Some(letter.to));
        let under_way = sender.outboxes.get(&letter.to).map_or(0, |outbox| outbox.under_way_bytes);
        let barred = matches!(at.messenger.peer(letter.to).map(|view| view.breaker), Some(BreakerState::Open { .. }));
        if barred || link.is_some_and(|link| link.full) || under_way > CARRIED_BYTES {
            return Ok(());
        }
        // A link from before may be stuck, and is found dead.
        let stuck = link.is_some_and(|link| link.times.opened <= whole);
        let found_dead = if stuck { asked_within(config, None) * 4 } else { Duration::ZERO };
        let within = config.link_retry_max + config.link_timeout * 2 + CARRIED + found_dead;
        let accepted = at.now.saturating_since(letter.accepted);
        let since = whole.max(ours.moved).max(sender.waits.crowded).max(receiver.waits.away).max(shut);
        if accepted <= within || !at.exceeds(since, within) {
            return Ok(());
        }
        let id = letter.id;
        wrong(Rule::M12, format!("let message {id:?} expire unsent; nothing has stood in its way since {since:?}"))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn at(life: u64, host: u8) -> Held {
        Held::Live { life, endpoint: Some(SocketAddr::from(([10, 0, 0, host], 8946))) }
    }

    /// What a Welcome of a second life told, heard while the first was held.
    #[test]
    fn what_was_told_of_a_life_holds_until_a_greater_one_or_another_endpoint_or_an_end() {
        let told = Told { life: 2, message_max: 500 };
        assert!(told.outlasts(Some(at(1, 1)), at(2, 1)), "gossip tells of what the link told of");
        assert!(!told.outlasts(Some(at(1, 1)), at(3, 1)), "a greater life");
        assert!(!told.outlasts(Some(at(2, 1)), at(2, 9)), "another endpoint");
        assert!(!told.outlasts(Some(at(2, 1)), Held::Live { life: 2, endpoint: None }), "no endpoint");
        for end in [Held::Dead, Held::Left, Held::Forgotten] {
            assert!(!told.outlasts(Some(at(2, 1)), end), "{end:?}");
            assert!(!told.outlasts(Some(end), at(2, 1)), "back from {end:?}");
        }
    }
}
