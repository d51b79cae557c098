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

/// Nothing is waited for for long, but by messages.
fn hasty() -> MessagingConfig {
    MessagingConfig {
        link_timeout: seconds(1),
        link_retry_max: Duration::from_millis(500),
        rto_min: Duration::from_millis(500),
        rto_max: seconds(1),
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
        MessengerFlaw::GoesDeaf | MessengerFlaw::TurnsAway => {
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
        MessengerFlaw::OverlooksSomeone => letters(50.0),
        MessengerFlaw::SulksAtSomeone => {
            let scenario = letters(50.0).messaging(MessagingConfig { breaker_failures: 0, ..hasty() });
            Scenario { duration: seconds(40), ..scenario }
        }
        MessengerFlaw::HopesForever => {
            let cut = Fault::CutLinks { slot: 2, how: LinkCut::Broken };
            letters(50.0).at(seconds(5), Fault::StallLinks { slot: 2, lasting: seconds(8) }).at(seconds(6), cut)
        }
        MessengerFlaw::NeverDespairs => {
            // It asks as often as it would if its time-out were what it shows, but for the judge's grace.
            let rto = Duration::from_millis(800);
            let config = MessagingConfig { rto_min: rto, rto_max: rto, ..MessagingConfig::default() };
            letters(50.0).messaging(config).at(seconds(5), Fault::StallLinks { slot: 2, lasting: seconds(8) })
        }
        MessengerFlaw::NeverAsks => {
            letters(50.0).messaging(hasty()).at(seconds(5), Fault::StallLinks { slot: 2, lasting: seconds(8) })
        }
        MessengerFlaw::BearsGrudges => {
            let (breaker_open_min, breaker_open_max) = (seconds(10), seconds(10));
            let (rto_min, rto_max) = (Duration::from_millis(200), seconds(1));
            let config = MessagingConfig { breaker_open_min, breaker_open_max, rto_min, rto_max, ..tight() };
            letters(200.0).messaging(config).at(seconds(5), Fault::StallLinks { slot: 2, lasting: seconds(14) })
        }
        MessengerFlaw::HoldsOnToLimits => {
            let small = MessagingConfig { message_max: 200, ..MessagingConfig::default() };
            let restart = Fault::Restart { slot: 2, how: Restart::WithoutState };
            let scenario = letters(50.0).messaging_successor(MessagingConfig::default()).at(seconds(8), restart);
            Scenario { messaging: small, messaging_odd: Some(MessagingConfig::default()), ..scenario }
        }
        MessengerFlaw::KeepsItsRoom => letters(100.0).messaging(tight()),
        MessengerFlaw::WaitsForTheDead => letters(50.0)
            .at(seconds(5), Fault::Crash { slot: 2, how: Crash::Host })
            .at(seconds(8), Fault::Leave { slot: 3 }),
    }
}

/// Runs a scenario, with this flaw at one messenger if there is one.
fn run(scenario: Scenario, flaw: Option<MessengerFlaw>) -> Report {
    run_with(scenario, 1, flaw)
}

fn run_with(scenario: Scenario, seed: u64, flaw: Option<MessengerFlaw>) -> Report {
    let options = Options { judges: true, false_deaths_max: Some(0), ..Options::default() };
    let mut run = Run::new(scenario, seed, options).expect("the settings are valid");
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
fn nor_where_settings_differ_links_are_few_and_endpoints_come_and_go() {
    let few = MessagingConfig { message_max: 8_000, links_max: 2, ..hasty() };
    let odd = MessagingConfig { message_max: 2_000, window_bytes: 5_000, links_max: 3, ..hasty() };
    let later = MessagingConfig { message_max: 4_000, accepted_max: 4, ..few.clone() };
    let talk = Talk::per_second(50.0, 64).up_to(8_000);
    let workload = Workload { reliable: Some(Letters { extremes: true, ..Letters::of(talk) }), ..Workload::default() };
    for seed in 1..4 {
        let scenario = Scenario { messaging_odd: Some(odd.clone()), ..Scenario::new(9, seconds(30)) };
        let restart = |how| Fault::Restart { slot: 3, how };
        let scenario = scenario
            .workload(workload)
            .messaging(few.clone())
            .messaging_successor(later.clone())
            .at(seconds(4), restart(Restart::WithoutEndpoint))
            .at(seconds(8), Fault::Crash { slot: 5, how: Crash::Host })
            .at(seconds(12), restart(Restart::WithoutState))
            .at(seconds(16), Fault::Restart { slot: 4, how: Restart::WithState });
        let report = run_with(scenario, seed, None);
        assert_eq!(report.verdict, Verdict::Passed, "seed {seed}:\n{report}");
        let refused = report.letters.expect("there are messengers").refused;
        for why in ["no_endpoint", "too_long"] {
            assert!(refused.iter().any(|&(refused, _)| refused == why), "seed {seed}: {refused:?}");
        }
    }
}

#[test]
fn nor_where_the_only_link_leads_to_the_dead_or_more_is_sent_than_is_taken() {
    let crash = Fault::Crash { slot: 5, how: Crash::Host };
    let one_link = MessagingConfig { links_max: 1, ..MessagingConfig::default() };
    let one_link = Scenario { nodes: 8, ..letters(20.0) }.messaging(one_link).at(seconds(8), crash);
    let one_link = Scenario { duration: seconds(40), ..one_link };
    let narrow = MessagingConfig { message_max: 1_500, window_bytes: 3_500, ..tight() };
    let talk = Talk::per_second(400.0, 64).up_to(1_500);
    let workload = Workload { reliable: Some(Letters { extremes: true, ..Letters::of(talk) }), ..Workload::default() };
    let slow = |slot| Fault::SlowReader { slot, each: Some(Duration::from_millis(10)), lasting: seconds(36) };
    let narrow = MessagingConfig { queue_messages_max: 1_000, queue_bytes_max: 1 << 20, ..narrow };
    let overload = Scenario::new(3, seconds(40)).workload(workload).messaging(narrow);
    let overload = (0..3).fold(overload, |scenario, slot| scenario.at(seconds(2), slow(slot)));
    for (seed, scenario) in [(1, one_link.clone()), (2, one_link), (1, overload)] {
        let report = run_with(scenario, seed, None);
        assert_eq!(report.verdict, Verdict::Passed, "seed {seed}:\n{report}");
    }
}

#[test]
fn a_violation_names_the_messenger_that_was_broken() {
    let report = run(letters(50.0), Some(MessengerFlaw::TellsTwice));
    assert_eq!(caught(&report).slots, [Slot(BROKEN)]);
    assert_eq!(report.verdict, Verdict::Safety);
}
