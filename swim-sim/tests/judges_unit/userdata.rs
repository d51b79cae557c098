//! U1 to U6: what applications say to all.

use swim_proto::wire::{Broadcast, Message};
use swim_proto::{Config, Event};
use swim_sim::judges::{Rule, Violation};
use swim_sim::observe::{Observation, Said, Slot};

use crate::stage::{Stage, alive, id, lan, profile};

/// Puppet 0 is told what member 1 says while it knows so many others, speaks to it, and then to a crowd, of members
/// alone. (Rumors are told so often that no count of theirs is reached.)
fn hears_one_of_few(others: u32) -> Result<(), Violation> {
    let mut stage = Stage::new(3);
    stage.puppets[0].config = Config { retransmit_mult: 100, ..lan() };
    (1..=others).for_each(|slot| stage.meets(slot));
    let (origin, life, sequence, payload) = (id(1), 1, 1, b"news".as_slice());
    stage.sound(Observation::Said { slot: Slot(1), said: Said::Broadcast { life, sequence, payload } });
    stage.hears(1, &[Message::Broadcast(Broadcast { origin, life, sequence, payload })]);
    let told = Event::Broadcast { origin, life, sequence, payload };
    stage.sound(Observation::Event { slot: Slot(0), event: told });
    // It has others to tell, or to keep.
    stage.puppets[0].stats.broadcasts_waiting = 1;
    stage.settles();
    let profile = profile(0);
    let claim = [alive(0, 0, &profile)];
    stage.wakes();
    stage.sends(1, &claim)?;
    stage.puppets[0].live_more = 20;
    stage.settles();
    stage.wakes();
    (0..64).try_for_each(|_| stage.sends(1, &claim))
}

#[test]
fn what_the_only_other_member_said_there_is_nobody_to_tell() {
    hears_one_of_few(1).expect("its origin was all that it knew");
    let violation = hears_one_of_few(2).expect_err("there was somebody to tell");
    assert_eq!(violation.rule, Rule::U6, "{violation}");
}
