//! What a node is to itself: alive, until it leaves or gives way, and past what it is accused of.

use super::*;

#[test]
fn a_node_holds_itself_alive_unless_it_leaves() {
    for (status, right) in [(Status::Joined, false), (Status::Leaving, true), (Status::Left, true)] {
        let mut stage = Stage::new(2);
        if right {
            stage.sound(Observation::Input { slot: Slot(0), input: Input::Command(Command::Leave) });
        }
        stage.puppets[0].status = status;
        stage.puppets[0].table[0].state = State::Left;
        if right {
            stage.settles()
        } else {
            stage.settles_wrongly(Rule::S13)
        }
        let left = Message::Left(Left { id: id(0), incarnation: at(0) });
        stage.hears(1, &[ping(0)]);
        assert_eq!(stage.sends(1, &[left]).is_ok(), right);
        assert_eq!(stage.sends(1, &[suspected(0, 0, 1)]).expect_err("never").rule, Rule::S13);
    }
}

#[test]
fn a_node_leaves_when_it_is_told_to_and_only_then() {
    let mut stage = Stage::new(2);
    stage.wakes();
    stage.puppets[0].status = Status::Leaving;
    stage.puppets[0].table[0].state = State::Left;
    stage.settles_wrongly(Rule::S13);

    let mut stage = Stage::new(2);
    stage.sound(Observation::Input { slot: Slot(0), input: Input::Command(Command::Leave) });
    stage.settles_wrongly(Rule::S13);
}

#[test]
fn a_node_gives_way_to_a_newer_process_of_its_name_that_answers_and_to_nothing_else() {
    for (heard, answered, rule) in [(true, true, None), (false, true, Some(Rule::S13)), (true, false, Some(Rule::S13))]
    {
        let mut stage = Stage::new(2);
        let rival = rival(2);
        stage.sound(Observation::Injected { packet: &packet(&[rival_alive(&rival)]) });
        stage.hears(1, if heard { vec![rival_alive(&rival)] } else { vec![] }.as_slice());
        stage.settles();
        let ack = Message::Ack(Ack { seq: 1, incarnation: Incarnation { life: 2, refutation: 0 } });
        stage.hears(1, if answered { vec![ack] } else { vec![] }.as_slice());
        stage.puppets[0].status = Status::Superseded;
        match rule {
            Some(rule) => stage.settles_wrongly(rule),
            None => stage.settles(),
        }
    }
}

#[test]
fn a_node_goes_past_a_rival_that_does_not_answer_once_it_has_waited() {
    for (waited, rule) in [(true, None), (false, Some(Rule::S2))] {
        let mut stage = Stage::new(2);
        let rival = rival(2);
        stage.sound(Observation::Injected { packet: &packet(&[rival_alive(&rival)]) });
        stage.hears(1, &[rival_alive(&rival)]);
        stage.settles();
        if waited {
            stage.wakes()
        } else {
            stage.hears(1, &[])
        }
        stage.puppets[0].table[0].incarnation = Incarnation { life: 3, refutation: 0 };
        stage.puppets[0].changed.push(id(0));
        match rule {
            Some(rule) => stage.settles_wrongly(rule),
            None => stage.settles(),
        }
    }
}

/// The profile of another process of puppet 0's name, elsewhere, and its life.
fn rival(life: u64) -> (Vec<u8>, u64) {
    (profile_at(0, address(1)), life)
}

fn rival_alive((profile, life): &(Vec<u8>, u64)) -> Message<'_> {
    match alive(0, 0, profile) {
        Message::Alive(alive) => {
            let incarnation = Incarnation { life: *life, refutation: 0 };
            Message::Alive(swim_proto::wire::Alive { incarnation, ..alive })
        }
        other => other,
    }
}

#[test]
fn a_node_goes_past_what_it_is_accused_of_by_the_least_step_and_for_no_other_reason() {
    for (heard, reached, rule) in [
        (Some(0), 1, None),
        (Some(0), 0, Some(Rule::S13)),
        (Some(0), 2, Some(Rule::S2)),
        (Some(3), 4, None),
        (None, 1, Some(Rule::S2)),
    ] {
        let mut stage = Stage::new(2);
        stage.meets(1);
        let accusation = suspected(0, heard.unwrap_or(0), 1);
        stage.sound(Observation::Injected { packet: &packet(&[accusation]) });
        stage.hears(1, if heard.is_some() { std::slice::from_ref(&accusation) } else { &[] });
        stage.puppets[0].table[0].incarnation = at(reached);
        stage.puppets[0].changed.push(id(0));
        match rule {
            Some(rule) => stage.settles_wrongly(rule),
            None => stage.settles(),
        }
    }
}
