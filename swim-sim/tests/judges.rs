//! Each judge catches a deliberately broken node among sound ones, and lets the same scenario pass without it.

use std::time::Duration;

use swim_proto::{Config, Instant, Transport};
use swim_sim::broken::{Broken, Flaw};
use swim_sim::judges::{Fingerprint, Judges, Rule, Settings, Violation};
use swim_sim::observe::Slot;
use swim_sim::{
    Chance, Crash, Difference, Fault, LinkFault, Machine, Network, Options, Partition, Report, Run, Scenario, Talk,
    Verdict, Workload, World, compare,
};

/// Where the broken node is.
const BROKEN: u32 = 1;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Eight nodes of which one crashes and is found, suspected and buried by all.
fn a_crash() -> Scenario {
    Scenario::new(8, seconds(60)).at(seconds(10), Fault::Crash { slot: 5, how: Crash::Host })
}

/// Eight nodes of which one is cut off for so long that the two sides bury each other, and then linked again.
fn a_partition() -> Scenario {
    let partition = Partition::Isolate(vec![BROKEN]);
    Scenario::new(8, seconds(80)).at(seconds(10), Fault::Partition { partition, lasting: seconds(60), flips: None })
}

/// Twelve nodes with nothing to do but watch each other.
fn peace() -> Scenario {
    Scenario::new(12, seconds(30))
}

/// Two nodes of which one crashes.
fn a_pair() -> Scenario {
    Scenario::new(2, seconds(150)).at(seconds(10), Fault::Crash { slot: 0, how: Crash::Host })
}

/// Twelve nodes of which one leaves unheard, slowly: meanwhile it is probed.
fn a_departure() -> Scenario {
    let config = Config { gossip_interval: seconds(1), gossip_fanout: 1, leave_timeout: seconds(20), ..Config::lan() };
    let fault = LinkFault { outbound: Chance::ALWAYS, ..LinkFault::default() };
    Scenario::new(12, seconds(40))
        .config(config)
        .at(seconds(10), Fault::Link { slot: BROKEN, fault, lasting: seconds(20) })
        .at(seconds(10), Fault::Leave { slot: BROKEN })
}

/// New metadata for the node that may be broken.
fn metadata() -> Scenario {
    Scenario::new(5, seconds(20)).at(seconds(10), Fault::Metadata { slot: BROKEN, len: 20 })
}

/// Twelve nodes whose applications say short things so often in a second, to all and to each other.
fn talk(rate: f64) -> Scenario {
    let talk = Some(Talk::per_second(rate, 32));
    Scenario::new(12, seconds(30)).workload(Workload { broadcasts: talk, messages: talk, reliable: None })
}

/// Twelve nodes with more to tell than they can at once, of members and of what applications say. (A network that may
/// lose something: what is never told on need not reach anybody.)
fn much_talk_and_news() -> Scenario {
    let workload = Workload { broadcasts: Some(Talk::per_second(30.0, 100)), messages: None, reliable: None };
    let network = Network::default().with_loss(Chance::percent(0.1));
    let mut scenario = Scenario::new(12, seconds(30)).workload(workload).network(network);
    for tick in 20..300_u64 {
        let (at, slot) = (Duration::from_millis(tick * 100), (tick % 12) as u32);
        scenario = scenario.at(at, Fault::Metadata { slot, len: 64 });
    }
    scenario
}

/// Two of twelve nodes are held up for so long that they are suspected, and refute.
fn two_refutations() -> Scenario {
    let pause = |slot| Fault::Pause { slot, lasting: seconds(4) };
    Scenario::new(12, seconds(30)).at(seconds(10), pause(5)).at(seconds(15), pause(7))
}

/// More than they may say, or hear, in a second.
fn limited(config: Config) -> Scenario {
    talk(40.0).config(Config { rate_burst: 1400, transport: Transport::Datagram, ..config })
}

/// Who does not hear answers hears none by carrier either.
fn by_datagram_alone() -> Config {
    Config { transport: Transport::Datagram, ..Config::lan() }
}

/// The scenario in which a flaw shows.
fn scenario(flaw: Flaw) -> Scenario {
    match flaw {
        Flaw::RemembersAnEarlierLife
        | Flaw::AccusesTheFuture
        | Flaw::IgnoresAccusations
        | Flaw::Resurrects
        | Flaw::BuriesHastily
        | Flaw::SwallowsEvents
        | Flaw::Hesitates
        | Flaw::Rushes
        | Flaw::PassesOnAll
        | Flaw::InventsAccusers
        | Flaw::CountsTwice
        | Flaw::CountsItself
        | Flaw::SignsForOthers => a_crash(),
        Flaw::NeverForgets => {
            let config = Config { tombstone_retention: seconds(12), ..Config::lan() };
            a_crash().config(config)
        }
        Flaw::Stammers
        | Flaw::Repeats
        | Flaw::NeverTires
        | Flaw::Boasts
        | Flaw::StopsProbing
        | Flaw::GivesUp
        | Flaw::Pesters
        | Flaw::Improvises
        | Flaw::NeverRests
        | Flaw::Miscounts => peace(),
        Flaw::BuriesUnheard => peace().config(by_datagram_alone()),
        Flaw::KnowsNobodyNew | Flaw::SkimsExchanges | Flaw::HidesItsChanges | Flaw::SpeaksAsOfOld => peace(),
        Flaw::TellsOfThePast => two_refutations(),
        Flaw::SpeaksWithoutLimit => limited(Config { rate_out: 4096, ..Config::lan() }),
        Flaw::HearsWithoutLimit => limited(Config { rate_in: 4096, ..Config::lan() }),
        Flaw::BelievesItsAccusers | Flaw::IgnoresItsObituary => a_partition(),
        Flaw::AnswersItself | Flaw::LosesItsTimers => a_pair(),
        // So many confirmations take longer to come than Min.
        Flaw::BuriesUnconfirmed => a_crash().config(Config { suspicion_confirmations: 5, ..Config::lan() }),
        // It suspects the other within three seconds; Min is four.
        Flaw::IgnoresItsStalls => {
            let config = Config { suspicion_alpha: 4.0, ..Config::lan() };
            let pause = Fault::Pause { slot: BROKEN, lasting: seconds(10) };
            a_pair().config(config).at(Duration::from_millis(13_500), pause)
        }
        Flaw::KeepsToItself => metadata(),
        Flaw::PassesOver => Scenario::new(12, seconds(60)),
        Flaw::NagsWithItsLeft => a_departure(),
        Flaw::TellsTwice | Flaw::Embellishes | Flaw::TurnsADeafEar => talk(2.0),
        Flaw::MixesUpSenders => talk(2.0),
        Flaw::Hoards => {
            let config = Config { broadcasts_max: 2, ..Config::lan() };
            talk(40.0).config(config)
        }
        Flaw::HoldsItsTongue | Flaw::TalksOfMembersOnly => much_talk_and_news(),
    }
}

fn judged() -> Options {
    Options { judges: true, false_deaths_max: Some(0), ..Options::default() }
}

/// Runs a scenario, with this flaw at one node if there is one.
fn run(scenario: Scenario, flaw: Option<Flaw>, options: Options) -> Report {
    let mut run = Run::new(scenario, 1, options).expect("the settings are valid");
    if let Some(flaw) = flaw {
        run.world_mut().set_maker(Box::new(move |slot, node| match slot {
            Slot(BROKEN) => Machine::from(Broken::new(node, flaw)),
            Slot(_) => Machine::from(node),
        }));
    }
    run.finish()
}

fn caught(report: &Report) -> &Violation {
    report.violation.as_ref().unwrap_or_else(|| panic!("nothing was found wrong:\n{report}"))
}

/// All flaws but that which no single run can show.
fn flaws() -> impl Iterator<Item = Flaw> {
    Flaw::ALL.into_iter().filter(|&flaw| flaw != Flaw::Improvises)
}

#[test]
fn each_judge_catches_a_broken_node() {
    for flaw in flaws() {
        let report = run(scenario(flaw), Some(flaw), judged());
        assert!(report.violation.is_some(), "{flaw:?}: nothing was found wrong:\n{report}");
        let violation = caught(&report);
        assert_eq!(violation.rule, flaw.rule(), "{flaw:?}: {violation}");
        assert!(violation.slots.contains(&Slot(BROKEN)), "{flaw:?}: {violation}");
        let verdict =
            if matches!(violation.rule, Rule::L4 | Rule::L5) { Verdict::NotConverged } else { Verdict::Safety };
        assert_eq!(report.verdict, verdict, "{flaw:?}: {violation}");
    }
}

#[test]
fn no_judge_finds_fault_with_sound_nodes_in_the_same_scenarios() {
    for flaw in flaws() {
        let report = run(scenario(flaw), None, judged());
        assert_eq!(report.verdict, Verdict::Passed, "scenario of {flaw:?}:\n{report}");
    }
}

#[test]
fn a_suspicion_without_an_end_is_seen_while_it_is_open() {
    let report = run(a_pair(), Some(Flaw::LosesItsTimers), judged());
    // The crash at 10 s, three periods, Min, and a silence of `stall_max`; the flaw's own Min is 32 s.
    assert!(caught(&report).at < Instant::ZERO + seconds(35), "{report}");
}

#[test]
fn a_death_that_is_never_noticed_is_missed_in_the_end_even_by_those_who_do_not_count_the_time() {
    let options = Options { ignore: vec![Rule::L2], ..judged() };
    let report = run(a_pair(), Some(Flaw::AnswersItself), options);
    assert_eq!(caught(&report).rule, Rule::L1);
    assert_eq!(report.verdict, Verdict::NotConverged);
}

#[test]
fn burying_the_living_on_a_network_that_loses_nothing_is_no_accident() {
    // As many false deaths as it likes; but whom it asked, any answer would have reached it.
    let options = Options { false_deaths_max: None, ..judged() };
    let report = run(scenario(Flaw::BuriesUnheard), Some(Flaw::BuriesUnheard), options.clone());
    let violation = caught(&report);
    assert_eq!(violation.rule, Rule::L6, "{violation}");
    assert!(violation.slots.contains(&Slot(BROKEN)), "{violation}");
    // Where little is lost, what it did not hear may have been.
    let network = Network::default().with_loss(Chance::percent(0.1));
    let lossy = scenario(Flaw::BuriesUnheard).network(network);
    let report = run(lossy, Some(Flaw::BuriesUnheard), Options { ignore: vec![Rule::L4], ..options });
    assert!(report.false_deaths > 0, "{report}");
    assert!(report.violation.is_none_or(|violation| violation.rule != Rule::L6));
}

#[test]
fn burying_the_living_after_faults_stopped_is_no_accident() {
    // As many false deaths as it likes; but none in a cluster to which nothing happens any more.
    let options = Options { false_deaths_max: None, ..judged() };
    let report = run(Scenario::new(12, seconds(2)).config(by_datagram_alone()), Some(Flaw::BuriesUnheard), options);
    let violation = caught(&report);
    assert_eq!(violation.rule, Rule::L4, "{violation}");
}

#[test]
fn two_runs_of_a_node_that_draws_lots_from_outside_differ() {
    let sound = || fingerprint(None);
    let improvised = || fingerprint(Some(Flaw::Improvises));
    sound().compare(&sound()).expect("the same seed is the same run");
    let violation = improvised().compare(&improvised()).expect_err("it drew other lots");
    assert_eq!(violation.rule, Flaw::Improvises.rule());
}

#[test]
fn where_two_runs_part_is_said() {
    let run = |flaw: Option<Flaw>| {
        let mut run = Run::new(peace(), 1, Options::default()).expect("the settings are valid");
        if let Some(flaw) = flaw {
            run.world_mut().set_maker(Box::new(move |_, node| Machine::from(Broken::new(node, flaw))));
        }
        run
    };
    compare(run(None), run(None)).expect("the same seed is the same run");
    let parted = compare(run(Some(Flaw::Improvises)), run(Some(Flaw::Improvises))).expect_err("it drew other lots");
    assert!(parted.step > 0 && parted.first != parted.second, "{parted}");
    for part in [format!("step {}", parted.step), parted.first.clone(), parted.second.clone()] {
        assert!(parted.to_string().contains(&part), "{parted}");
    }
    assert_eq!(Difference::EXIT_CODE, 4, "what docs/simulator.md promises");
}

fn fingerprint(flaw: Option<Flaw>) -> Fingerprint {
    let mut world = World::new(peace(), 1).expect("the settings are valid");
    world.set_judges(Judges::new(Settings { fingerprint: true, ..Settings::default() }));
    if let Some(flaw) = flaw {
        world.set_maker(Box::new(move |_, node| Machine::from(Broken::new(node, flaw))));
    }
    world.run_until(seconds(10));
    world.with_judges(|judges, _, _| judges.fingerprint().clone()).expect("judges were set")
}
