//! Each judge of messages catches a deliberately broken messenger, and lets the same scenario pass without it.

use std::time::Duration;

use swim_proto::messaging::MessagingConfig;
use swim_sim::broken::{BrokenMessenger, FAVOURS, MessengerFlaw};
use swim_sim::judges::Violation;
use swim_sim::observe::Slot;
use swim_sim::{
    Crash, Fault, Letters, LinkCut, LinkSettings, Options, Report, Restart, Run, Scenario, Talk, Verdict, Workload,
};

/// Where the broken messenger is.
const BROKEN: u32 = 1;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Five members that send each other so many messages a second, of up to 500 bytes, for 20 seconds.
fn letters(rate: f64) -> Scenario {
    let talk = Talk::per_second(rate, 8).up_to(500);
    let workload = Workload { reliable: Some(Letters::of(talk)), ..Workload::default() };
    Scenario::new(5, seconds(20)).workload(workload)
}

/// One member takes its messages slowly, for most of the time.
fn with_a_slow_reader(scenario: Scenario, slot: u32) -> Scenario {
    let each = Some(Duration::from_millis(400));
    scenario.at(seconds(3), Fault::SlowReader { slot, each, lasting: seconds(15) })
}

/// Little room everywhere.
fn tight() -> MessagingConfig {
    MessagingConfig {
        message_max: 500,
        window_messages: 16,
        window_bytes: 16 * 1024,
        queue_messages_max: 16,
        queue_bytes_max: 16 * 1024,
        flight_bytes_min: 1_024,
        ..MessagingConfig::default()
    }
}

/// The scenario in which a flaw shows.
fn scenario(flaw: MessengerFlaw) -> Scenario {
    match flaw {
        MessengerFlaw::TellsTwice
        | MessengerFlaw::SwallowsOutcomes
        | MessengerFlaw::Flatters
        | MessengerFlaw::Stutters
        | MessengerFlaw::Embellishes
        | MessengerFlaw::ForgetsTheOrder
        | MessengerFlaw::Overpromises
        | MessengerFlaw::Pesters
        | MessengerFlaw::NeverGivesUp
        | MessengerFlaw::NeverRests => letters(50.0),
        MessengerFlaw::GoesDeaf => {
            let cut = Fault::CutLinks { slot: BROKEN, how: LinkCut::Broken };
            letters(50.0).at(seconds(6), cut)
        }
        MessengerFlaw::KnowsNothing => with_a_slow_reader(letters(50.0), 2),
        MessengerFlaw::Shuffles | MessengerFlaw::HasAFavourite => with_a_slow_reader(letters(100.0), BROKEN),
        MessengerFlaw::GivesToAnyLife => {
            let cut = Fault::CutLinks { slot: 2, how: LinkCut::Broken };
            let restart = Fault::Restart { slot: 2, how: Restart::WithoutState };
            let stalled = Fault::StallLinks { slot: 2, lasting: seconds(4) };
            letters(100.0).at(seconds(6), stalled).at(seconds(9), cut).at(seconds(9), restart)
        }
        MessengerFlaw::Overdraws | MessengerFlaw::Hoards | MessengerFlaw::KeepsQuiet => {
            with_a_slow_reader(letters(100.0).messaging(tight()), 2)
        }
        MessengerFlaw::Favours => {
            // Three times as much as may be sent.
            let (message_max, rate_out_peer, rate_burst) = (8 * 1024, 4_096, 17 * 1024);
            let config = MessagingConfig { message_max, rate_out_peer, rate_burst, ..MessagingConfig::default() };
            Scenario { nodes: 3, ..letters(300.0) }.messaging(MessagingConfig { class_weights: FAVOURS, ..config })
        }
        MessengerFlaw::IgnoresFullness | MessengerFlaw::WaitsForNothing => {
            let scenario = letters(100.0).at(seconds(5), Fault::StallLinks { slot: 2, lasting: seconds(5) });
            Scenario { links: LinkSettings { frames_max: 2, ..LinkSettings::default() }, ..scenario }
        }
        MessengerFlaw::WaitsForTheDead => letters(50.0)
            .at(seconds(5), Fault::Crash { slot: 2, how: Crash::Host })
            .at(seconds(8), Fault::Leave { slot: 3 }),
    }
}

/// Runs a scenario, with this flaw at one messenger if there is one.
fn run(scenario: Scenario, flaw: Option<MessengerFlaw>) -> Report {
    let options = Options { judges: true, false_deaths_max: Some(0), ..Options::default() };
    let mut run = Run::new(scenario, 1, options).expect("the settings are valid");
    if let Some(flaw) = flaw {
        run.world_mut().set_messenger_maker(Box::new(move |slot, messenger| match slot {
            Slot(BROKEN) => Box::new(BrokenMessenger::new(messenger, flaw)),
            Slot(_) => Box::new(messenger),
        }));
    }
    run.finish()
}

fn caught(report: &Report) -> &Violation {
    report.violation.as_ref().unwrap_or_else(|| panic!("nothing was found wrong:\n{report}"))
}

#[test]
fn each_judge_catches_a_broken_messenger() {
    let wrong = MessengerFlaw::ALL.into_iter().filter_map(|flaw| {
        let report = run(scenario(flaw), Some(flaw));
        let found = report.violation.as_ref().map(|violation| (violation.rule, violation.to_string()));
        (found.as_ref().map(|(rule, _)| *rule) != Some(flaw.rule())).then(|| format!("{flaw:?}: {found:?}\n{report}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_judge_finds_fault_with_sound_messengers_in_the_same_scenarios() {
    for flaw in MessengerFlaw::ALL {
        let report = run(scenario(flaw), None);
        assert_eq!(report.verdict, Verdict::Passed, "scenario of {flaw:?}:\n{report}");
    }
}

#[test]
fn a_violation_names_the_messenger_that_was_broken() {
    let report = run(letters(50.0), Some(MessengerFlaw::TellsTwice));
    assert_eq!(caught(&report).slots, [Slot(BROKEN)]);
    assert_eq!(report.verdict, Verdict::Safety);
}
