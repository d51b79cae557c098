//! The table against what was heard, what was told, and what is said to have changed.

use swim_proto::wire::{Carry, Grave, Message, PacketWriter, SyncEnd, Tombstone};
use swim_proto::{Cause, ClusterHash, Event, Incarnation, State, StreamId, Versions};
use swim_sim::judges::Rule;
use swim_sim::observe::{Input, Observation, Slot};

use crate::stage::{Held, Stage, address, alive, at, id, packet, profile, profile_at, told};
use crate::{dead, ping, suspected};

#[test]
fn whoever_is_said_to_live_is_known_afterwards_unless_there_was_no_room() {
    for dropped in [0, 1] {
        let mut stage = Stage::new(3);
        let unknown = profile(1);
        stage.hears(2, &[alive(1, 0, &unknown)]);
        stage.puppets[0].stats.drops.newcomers += dropped;
        if dropped == 0 { stage.settles_wrongly(Rule::S3) } else { stage.settles() }
    }
}

#[test]
fn an_accusation_of_somebody_unknown_counts_when_it_comes_into_view() {
    for (refutation, right) in [(0, false), (1, true)] {
        let mut stage = Stage::new(3);
        stage.puppets[1].table[0].incarnation = at(1);
        stage.puppets[1].changed.push(id(1));
        stage.sound(Observation::Settled { slot: Slot(1) });
        stage.hears(2, &[suspected(1, 0, 2)]);
        stage.settles();
        stage.pass(1.0);
        let known = profile(1);
        stage.hears(2, &[alive(1, refutation, &known)]);
        let held = Held::new(1, State::Alive, refutation);
        stage.holds(held.clone());
        stage.sound(Observation::Event { slot: Slot(0), event: Event::Joined(told(&held, Cause::Itself)) });
        if right { stage.settles() } else { stage.settles_wrongly(Rule::S3) }
    }
}

#[test]
fn of_whom_word_may_have_been_remembered_earlier_may_be_forgotten_earlier() {
    // An id alone is remembered for ten minutes. Two deaths are told of at first, one of them passed over: nobody sees which.
    for (told_before, right) in [(false, false), (true, true)] {
        let mut stage = Stage::new(4);
        if told_before {
            stage.hears(2, &[dead(1, 0, 2), dead(3, 0, 2)]);
            stage.puppets[0].stats.drops.newcomers += 1;
            stage.settles();
        }
        stage.pass(400.0);
        stage.hears(2, &[dead(1, 0, 2)]);
        stage.settles();
        stage.pass(400.0);
        let known = profile(1);
        stage.hears(2, &[alive(1, 0, &known)]);
        let held = Held::new(1, State::Alive, 0);
        stage.holds(held.clone());
        stage.sound(Observation::Event { slot: Slot(0), event: Event::Joined(told(&held, Cause::Itself)) });
        if right { stage.settles() } else { stage.settles_wrongly(Rule::S4) }
    }
}

#[test]
fn what_an_exchange_says_is_heard_unless_its_stream_broke() {
    let grave = Tombstone { id: id(1), incarnation: at(0), grave: Grave::Dead(id(2)), remaining_s: 100 };
    let end = Message::SyncEnd(SyncEnd { count: 1 });
    for (broke, right) in [(false, false), (true, true)] {
        let mut stage = Stage::new(3);
        stage.meets(1);
        let mut bytes = Vec::new();
        let mut writer = PacketWriter::frame(&mut bytes, ClusterHash::of("swim"), 1 << 16);
        assert!(writer.push(&Message::Tombstone(grave)) && writer.push(&end));
        writer.finish();
        let stream = StreamId(1);
        stage.puppets[0].changed.clear();
        stage.sound(Observation::Input { slot: Slot(0), input: Input::StreamData { stream, bytes: &bytes } });
        if broke {
            stage.sound(Observation::StreamClosed { slot: Slot(0), stream });
        }
        // It takes no notice.
        if right { stage.settles() } else { stage.settles_wrongly(Rule::S3) }
    }
}

#[test]
fn what_a_carrier_tells_is_heard_unless_it_breaks_in_that_turn() {
    for (broken, right) in [(None, false), (Some(StreamId(2)), false), (Some(StreamId(1)), true)] {
        let mut stage = Stage::new(3);
        stage.meets(1);
        let known = profile_at(2, "10.0.0.3:7946".parse().unwrap());
        let carry = Message::Carry(Carry { source: id(2) });
        let mut bytes = Vec::new();
        for messages in [&[alive(2, 0, &known), carry][..], &[dead(1, 0, 2)]] {
            let mut writer = PacketWriter::frame(&mut bytes, ClusterHash::of("swim"), 1 << 16);
            assert!(messages.iter().all(|message| writer.push(message)));
            writer.finish();
        }
        stage.puppets[0].changed.clear();
        let stream = StreamId(1);
        stage.sound(Observation::Input { slot: Slot(0), input: Input::StreamData { stream, bytes: &bytes } });
        if let Some(stream) = broken {
            stage.sound(Observation::StreamClosed { slot: Slot(0), stream });
        }
        // It takes no notice.
        if right { stage.settles() } else { stage.settles_wrongly(Rule::S3) }
    }
}

#[test]
fn changed_names_whoever_events_tell_of() {
    let mut stage = Stage::new(2);
    let known = profile(1);
    stage.hears(1, &[alive(1, 0, &known)]);
    let held = Held::new(1, State::Alive, 0);
    stage.holds(held.clone());
    stage.puppets[0].changed.clear();
    stage.sound(Observation::Event { slot: Slot(0), event: Event::Joined(told(&held, Cause::Itself)) });
    stage.settles_wrongly(Rule::Contract);
}

#[test]
fn changed_names_whoever_was_heard_of_and_the_node_itself() {
    let mut stage = Stage::new(2);
    stage.meets(1);
    stage.puppets[1].table[0].incarnation = at(1);
    stage.sound(Observation::Settled { slot: Slot(1) });
    let known = profile(1);
    stage.hears(1, &[alive(1, 1, &known)]);
    stage.puppets[0].table[1].incarnation = at(1);
    stage.settles_wrongly(Rule::Contract);

    let mut stage = Stage::new(2);
    stage.hears(1, &[suspected(0, 0, 1)]);
    stage.puppets[0].table[0].incarnation = at(1);
    stage.settles_wrongly(Rule::Contract);
}

#[test]
fn what_events_show_does_not_go_back() {
    let at_life =
        |life, refutation| Held { incarnation: Incarnation { life, refutation }, ..Held::new(1, State::Alive, 0) };
    for (life, refutation, right) in [(3, 0, true), (2, 0, false)] {
        let mut stage = Stage::new(3);
        stage.meets(1);
        stage.puppets[1].table[0].incarnation = Incarnation { life: 3, refutation: 0 };
        stage.sound(Observation::Settled { slot: Slot(1) });
        stage.wakes();
        // It is told to be accused of its third life before it says anything of its second.
        let accused = Held { state: State::Suspect, ..at_life(2, 5) };
        stage.sound(Observation::Event { slot: Slot(0), event: Event::Suspected(told(&accused, Cause::ProbeFailed)) });
        let back = at_life(life, refutation);
        let event = Event::Restarted(told(&back, Cause::Itself));
        let observation = Observation::Event { slot: Slot(0), event };
        if right { stage.sound(observation) } else { stage.broken(Rule::S6, observation) }
    }
}

#[test]
fn what_an_event_shows_is_held() {
    for (shown, right) in [(0, true), (1, true), (2, false)] {
        let mut stage = Stage::new(2);
        stage.puppets[1].table[0].incarnation = at(2);
        stage.sound(Observation::Settled { slot: Slot(1) });
        let known = profile(1);
        stage.hears(1, &[alive(1, 1, &known)]);
        stage.holds(Held::new(1, State::Alive, 1));
        let shown = Held::new(1, State::Alive, shown);
        stage.sound(Observation::Event { slot: Slot(0), event: Event::Joined(told(&shown, Cause::Itself)) });
        if right { stage.settles() } else { stage.settles_wrongly(Rule::S6) }
    }
}

#[test]
fn a_datagram_is_in_the_highest_version_that_both_speak() {
    let first = Versions { min: 1, max: 1 };
    for (known, ours, version, right) in [
        (true, Versions { min: 1, max: 2 }, 2, true),
        (true, Versions { min: 1, max: 2 }, 1, false),
        (true, first, 1, true),
        (false, Versions { min: 1, max: 2 }, 1, true),
        (false, Versions { min: 1, max: 2 }, 2, false),
    ] {
        let mut stage = Stage::new(2);
        if known {
            stage.meets(1);
        }
        stage.puppets[0].config.versions = ours;
        let mut bytes = Vec::new();
        let mut writer = PacketWriter::datagram(&mut bytes, ClusterHash::of("swim"), 1400).speak(version);
        assert!(writer.push(&ping(1)));
        writer.finish();
        let observation = Observation::Transmit { slot: Slot(0), to: address(1), bytes: &bytes };
        if right { stage.sound(observation) } else { stage.broken(Rule::S7, observation) }
    }
}

#[test]
fn a_stranger_is_answered_in_the_version_in_which_it_spoke_and_asked_later_in_any() {
    let spoken_in = |version| {
        let mut bytes = Vec::new();
        let mut writer = PacketWriter::datagram(&mut bytes, ClusterHash::of("swim"), 1400).speak(version);
        assert!(writer.push(&ping(1)));
        writer.finish();
        bytes
    };
    for (came, from, later, version, right) in [
        (2, 1, false, 2, true),
        (2, 1, false, 1, false),
        (1, 1, false, 1, true),
        (1, 1, false, 2, false),
        // It is another that is spoken to.
        (2, 2, false, 1, true),
        (2, 2, false, 2, false),
        (2, 1, true, 2, true),
        (2, 1, true, 1, true),
    ] {
        let mut stage = Stage::new(3);
        stage.puppets[0].config.versions = Versions { min: 1, max: 2 };
        let bytes = spoken_in(came);
        stage.puppets[0].changed.clear();
        stage
            .sound(Observation::Input { slot: Slot(0), input: Input::Datagram { from: address(from), bytes: &bytes } });
        if later {
            stage.settles();
            stage.wakes();
        }
        let observation = Observation::Transmit { slot: Slot(0), to: address(1), bytes: &spoken_in(version) };
        if right { stage.sound(observation) } else { stage.broken(Rule::S7, observation) }
    }
}

#[test]
fn of_what_comes_above_the_rate_as_much_is_passed_over_as_must_be() {
    // The first datagram uses the burst up; the second comes at once.
    for (passed_over, right) in [([0, 1], true), ([0, 0], false), ([1, 1], false)] {
        let mut stage = Stage::new(2);
        stage.puppets[0].config.rate_in = 4096;
        stage.puppets[0].config.rate_burst = 1400;
        stage.puppets.truncate(2);
        // Known only from now on are the settings to the judge.
        stage.sound(Observation::Stopped { slot: Slot(0) });
        stage.sound(Observation::Started { slot: Slot(0) });
        stage.sound(Observation::Settled { slot: Slot(0) });
        let long = packet(&vec![ping(0); 70]);
        for (count, over) in passed_over.into_iter().enumerate() {
            stage.puppets[0].changed.clear();
            let input = Input::Datagram { from: address(1), bytes: &long };
            stage.sound(Observation::Input { slot: Slot(0), input });
            stage.puppets[0].stats.drops.rate_in += over;
            let judged = stage.tell(Observation::Settled { slot: Slot(0) });
            if judged.is_err() || count == 1 {
                assert_eq!(judged.is_ok(), right, "{passed_over:?}: {judged:?}");
                break;
            }
        }
    }
}
