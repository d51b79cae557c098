//! What may be wrong with a node, and which rule that breaks.

use std::time::Duration;

use swim_proto::Config;

use super::HASTE;
use crate::judges::Rule;

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It shows suspects in the life before (S1).
    RemembersAnEarlierLife,
    /// It accuses suspects of incarnations that they have not reached (S2).
    AccusesTheFuture,
    /// It takes no notice of accusations of others (S3).
    IgnoresAccusations,
    /// It makes nobody's acquaintance by gossip (S3).
    KnowsNobodyNew,
    /// It passes over what exchanges say of members (S3).
    SkimsExchanges,
    /// It takes the dead for alive after a while, without a word from them (S4).
    Resurrects,
    /// It buries suspects after an eighth of their time (S5).
    BuriesHastily,
    /// It buries suspects after the least time, whoever confirms, and says that it waits (S5).
    BuriesUnconfirmed,
    /// Time in which it was stalled counts against suspects (S5).
    IgnoresItsStalls,
    /// It keeps every third event to itself (S6).
    SwallowsEvents,
    /// It tells of whoever refuted as of the incarnation that was accused (S6).
    TellsOfThePast,
    /// Its datagrams have a byte too many (S7).
    Stammers,
    /// It speaks the oldest version with everybody (S7).
    SpeaksAsOfOld,
    /// It sends each rumor eight times as often as it may (S8).
    Repeats,
    /// It passes each claim that it hears on to three others, whether it is news or not (S8).
    PassesOnAll,
    /// Leaving, it says so with each ack besides what it tells as news (S8).
    NagsWithItsLeft,
    /// It keeps one piece of news that it never ends telling (S8).
    NeverTires,
    /// It pings each target twenty times (S9).
    Pesters,
    /// It tells news however much it sent (S9).
    SpeaksWithoutLimit,
    /// It hears all that comes, however much that is (S9).
    HearsWithoutLimit,
    /// It remembers the dead for days instead of seconds (S10).
    NeverForgets,
    /// It suspects for four times as long as it may (S11).
    Hesitates,
    /// It waits for no confirmations, and says so (S11).
    Rushes,
    /// It never comes to the end of a suspicion (S11).
    LosesItsTimers,
    /// It draws lots from outside (S12).
    Improvises,
    /// It takes an accusation of itself for true (S13).
    BelievesItsAccusers,
    /// It raises its own incarnation every now and then, for no reason (S2).
    Boasts,
    /// It says that it gave way to another process of its name, and is silent from then on (S13).
    GivesUp,
    /// It accuses in names that nobody has (S14).
    InventsAccusers,
    /// It counts itself thrice among the accusers (S14).
    CountsTwice,
    /// It counts itself among the accusers, though none of its probes failed (S14).
    CountsItself,
    /// It accuses in its own name whomever others accuse (S14).
    SignsForOthers,
    /// It takes its own pings for answered (L1, L2).
    AnswersItself,
    /// After a while it probes nobody any more (L2).
    StopsProbing,
    /// It never probes one of the members (L2).
    PassesOver,
    /// It never hears that it is accused, or held dead (S13).
    IgnoresItsObituary,
    /// It tells nobody of its new metadata (L5).
    KeepsToItself,
    /// Its deadline is always now (contract).
    NeverRests,
    /// It miscounts its live members (contract).
    Miscounts,
    /// It never says which records changed (contract).
    HidesItsChanges,
    /// It hears no answers to its pings, and tells nobody whom it suspects (false death; L6, L4).
    BuriesUnheard,
    /// It tells its application each broadcast twice (U1).
    TellsTwice,
    /// It adds a byte to what others say to all (U2).
    Embellishes,
    /// It takes messages to it for its own (U3).
    MixesUpSenders,
    /// It keeps more broadcasts than it may (U4).
    Hoards,
    /// It hears no broadcasts (U5).
    TurnsADeafEar,
    /// It never tells of members what it has to (U6).
    HoldsItsTongue,
    /// It never tells what applications say (U6).
    TalksOfMembersOnly,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Flaw; 48] = [
        Flaw::RemembersAnEarlierLife,
        Flaw::AccusesTheFuture,
        Flaw::IgnoresAccusations,
        Flaw::KnowsNobodyNew,
        Flaw::SkimsExchanges,
        Flaw::Resurrects,
        Flaw::BuriesHastily,
        Flaw::BuriesUnconfirmed,
        Flaw::IgnoresItsStalls,
        Flaw::SwallowsEvents,
        Flaw::TellsOfThePast,
        Flaw::Stammers,
        Flaw::SpeaksAsOfOld,
        Flaw::Repeats,
        Flaw::PassesOnAll,
        Flaw::NagsWithItsLeft,
        Flaw::NeverTires,
        Flaw::Pesters,
        Flaw::SpeaksWithoutLimit,
        Flaw::HearsWithoutLimit,
        Flaw::NeverForgets,
        Flaw::Hesitates,
        Flaw::Rushes,
        Flaw::LosesItsTimers,
        Flaw::Improvises,
        Flaw::BelievesItsAccusers,
        Flaw::Boasts,
        Flaw::GivesUp,
        Flaw::InventsAccusers,
        Flaw::CountsTwice,
        Flaw::CountsItself,
        Flaw::SignsForOthers,
        Flaw::AnswersItself,
        Flaw::StopsProbing,
        Flaw::PassesOver,
        Flaw::IgnoresItsObituary,
        Flaw::KeepsToItself,
        Flaw::NeverRests,
        Flaw::Miscounts,
        Flaw::HidesItsChanges,
        Flaw::BuriesUnheard,
        Flaw::TellsTwice,
        Flaw::Embellishes,
        Flaw::MixesUpSenders,
        Flaw::Hoards,
        Flaw::TurnsADeafEar,
        Flaw::HoldsItsTongue,
        Flaw::TalksOfMembersOnly,
    ];

    /// The rule that it breaks first.
    pub fn rule(self) -> Rule {
        match self {
            Flaw::RemembersAnEarlierLife => Rule::S1,
            Flaw::AccusesTheFuture | Flaw::Boasts => Rule::S2,
            Flaw::IgnoresAccusations | Flaw::KnowsNobodyNew | Flaw::SkimsExchanges => Rule::S3,
            Flaw::Resurrects => Rule::S4,
            Flaw::BuriesHastily | Flaw::BuriesUnconfirmed | Flaw::IgnoresItsStalls => Rule::S5,
            Flaw::SwallowsEvents | Flaw::TellsOfThePast => Rule::S6,
            Flaw::Stammers | Flaw::SpeaksAsOfOld => Rule::S7,
            Flaw::Repeats | Flaw::PassesOnAll | Flaw::NagsWithItsLeft | Flaw::NeverTires => Rule::S8,
            Flaw::Pesters | Flaw::SpeaksWithoutLimit | Flaw::HearsWithoutLimit => Rule::S9,
            Flaw::NeverForgets => Rule::S10,
            Flaw::Hesitates | Flaw::Rushes | Flaw::LosesItsTimers => Rule::S11,
            Flaw::Improvises => Rule::S12,
            Flaw::BelievesItsAccusers | Flaw::IgnoresItsObituary | Flaw::GivesUp => Rule::S13,
            Flaw::InventsAccusers | Flaw::CountsTwice | Flaw::CountsItself | Flaw::SignsForOthers => Rule::S14,
            Flaw::AnswersItself | Flaw::StopsProbing | Flaw::PassesOver => Rule::L2,
            Flaw::KeepsToItself => Rule::L5,
            Flaw::NeverRests | Flaw::Miscounts | Flaw::HidesItsChanges => Rule::Contract,
            Flaw::BuriesUnheard => Rule::FalseDeath,
            Flaw::TellsTwice => Rule::U1,
            Flaw::Embellishes => Rule::U2,
            Flaw::MixesUpSenders => Rule::U3,
            Flaw::Hoards => Rule::U4,
            Flaw::TurnsADeafEar => Rule::U5,
            Flaw::HoldsItsTongue | Flaw::TalksOfMembersOnly => Rule::U6,
        }
    }

    /// The settings that the node really runs with, if they are not those it shows.
    pub(super) fn settings(self, shown: &Config) -> Option<Config> {
        let run = |change: fn(&mut Config)| {
            let mut config = shown.clone();
            change(&mut config);
            Some(config)
        };
        match self {
            Flaw::BuriesHastily => run(|config| config.suspicion_alpha /= HASTE),
            Flaw::Repeats => run(|config| config.retransmit_mult = 32),
            Flaw::NeverForgets => run(|config| config.tombstone_retention = Duration::from_secs(72 * 3600)),
            Flaw::Hesitates => run(|config| config.suspicion_beta *= 4.0),
            Flaw::BuriesUnconfirmed | Flaw::Rushes => run(|config| config.lha_suspicion = false),
            Flaw::IgnoresItsStalls => run(|config| config.stall_min = Duration::ZERO),
            Flaw::LosesItsTimers => run(|config| config.suspicion_alpha *= HASTE),
            Flaw::Improvises => run(|_| ()),
            Flaw::SpeaksWithoutLimit => run(|config| config.rate_out = 0),
            Flaw::HearsWithoutLimit => run(|config| config.rate_in = 0),
            Flaw::Hoards => run(|config| config.broadcasts_max = 1024),
            _ => None,
        }
    }
}
