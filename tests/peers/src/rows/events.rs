//! Single events: what one datagram costs a node that knows so many members and has no news to tell.
//!
//! Each event is one call into the library with all that follows from it, the answer handed over included: as a slice
//! where the library lends one, as a vector that is freed where it gives one away. Instructions are counted by callgrind,
//! within [`measured`] alone, in a process of their own; allocations and bytes here.

mod callgrind;
mod subjects;

pub(crate) use callgrind::Unavailable;
use subjects::Subject;

use super::for_library;
use crate::heap;
use crate::libraries::Library;
use crate::peer::Index;
use crate::table::{Count, Figure, Table};
use subjects::{FocaSubject as Foca, KinshipSubject as Kinship, OursSubject as Ours};

/// What arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arrival {
    /// A ping, to be answered.
    Ping,
    /// A ping with ten claims that the node has known for long.
    PingWithClaims,
    /// As many known claims as fit into a datagram.
    Claims,
}

impl Arrival {
    const ALL: [Arrival; 3] = [Arrival::Ping, Arrival::PingWithClaims, Arrival::Claims];

    /// How many different datagrams of this kind are counted, to average over.
    fn repeats(self) -> u32 {
        match self {
            Arrival::Ping => 100,
            Arrival::PingWithClaims => 40,
            Arrival::Claims => 10,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Arrival::Ping => "ping",
            Arrival::PingWithClaims => "ping-with-claims",
            Arrival::Claims => "claims",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Arrival::Ping => "ping answered",
            Arrival::PingWithClaims => "ping with 10 known claims",
            Arrival::Claims => "1,400 B of known claims",
        }
    }

    /// What ours are to reach (`docs/benchmarks.md`), in instructions.
    fn target(self, members: u32) -> Option<f64> {
        match (self, members) {
            (Arrival::Ping, 1_000 | 10_000) => Some(2_000.0),
            (Arrival::PingWithClaims, 1_000 | 10_000) => Some(6_000.0),
            (Arrival::Claims, 10_000) => Some(20_000.0),
            _ => None,
        }
    }
}

/// What [`measured`] runs.
type Work<'w> = &'w mut dyn FnMut();

/// Callgrind counts what happens within this function, found by its name.
#[inline(never)]
fn measured(work: Work<'_>) {
    work();
    // Keeps the call from becoming a jump that leaves this function before the work begins.
    std::hint::black_box(());
}

/// A node that has heard every datagram to be counted twice before, so that nothing in them is new.
struct Prepared<S> {
    subject: S,
    packets: Vec<(Index, Vec<u8>)>,
    /// Claims in one of them, on average.
    claims: f64,
}

fn prepare<S: Subject>(arrival: Arrival, members: u32) -> Prepared<S> {
    let mut subject = S::knowing(members);
    let mut claims = 0;
    let packets: Vec<(Index, Vec<u8>)> = (0..arrival.repeats())
        .map(|k| {
            let from = 1 + k.wrapping_mul(7_919) % members;
            let (packet, count) = subjects::packet::<S>(arrival, members, from);
            claims += count;
            (from, packet)
        })
        .collect();
    // First everything that is told a limited number of times is told.
    for _ in 0..2 {
        for (from, packet) in &packets {
            subject.hear(*from, packet);
        }
    }
    for k in 0..100 {
        let (ping, _) = subjects::packet::<S>(Arrival::Ping, members, 1 + k % members);
        subject.hear(1 + k % members, &ping);
    }
    subject.check(members);
    Prepared { subject, packets, claims: f64::from(claims) / f64::from(arrival.repeats()) }
}

/// Hears all the datagrams once, and checks that each was answered if it was to be.
fn hear<S: Subject>(prepared: &mut Prepared<S>, arrival: Arrival) {
    let expected = u32::from(arrival != Arrival::Claims);
    let Prepared { subject, packets, .. } = prepared;
    let mut wrong = 0;
    measured(&mut || {
        for (from, packet) in packets.iter() {
            wrong += u32::from(subject.hear(*from, packet) != expected);
        }
    });
    assert_eq!(wrong, 0, "datagrams that were not answered as expected");
}

/// What runs under callgrind: the events and nothing else within [`measured`].
pub(crate) fn count(library: Library, arrival: Arrival, members: u32) {
    fn run<S: Subject>(arrival: Arrival, members: u32) {
        hear(&mut prepare::<S>(arrival, members), arrival);
    }
    for_library!(library, run(arrival, members));
}

/// Allocations of one event, and claims in it.
fn allocations<S: Subject>(arrival: Arrival, members: u32) -> (f64, f64) {
    let mut prepared = prepare::<S>(arrival, members);
    hear(&mut prepared, arrival);
    let before = heap::calls();
    hear(&mut prepared, arrival);
    ((heap::calls() - before) as f64 / f64::from(arrival.repeats()), prepared.claims)
}

/// Bytes of heap for each member known.
fn bytes_per_member<S: Subject>(members: u32) -> f64 {
    let alone = heap::owned_by(S::knowing(0));
    let prepared = prepare::<S>(Arrival::Ping, members);
    let knowing = heap::owned_by(prepared.subject);
    (knowing as f64 - alone as f64) / f64::from(members)
}

/// Adds the rows of a library for these numbers of members known. For those of `also`, instructions only: so that one
/// sees whether work grows with the cluster.
pub(crate) fn add(table: &mut Table, library: Library, sizes: &[u32], also: &[u32]) -> Option<Unavailable> {
    let mut without = None;
    let mut instructions = |table: &mut Table, arrival: Arrival, members| {
        let figure = match callgrind::instructions(library, arrival, members) {
            Ok(instructions) => Figure::Number(instructions as f64 / f64::from(arrival.repeats())),
            Err(error) => {
                without = Some(error);
                Figure::Without("no valgrind")
            }
        };
        let what = format!("{}, of {} members: instructions", arrival.title(), Count(members));
        table.add(what, "", arrival.target(members), library, figure);
    };
    for arrival in Arrival::ALL {
        for &members in sizes {
            instructions(table, arrival, members);
        }
        for &members in sizes {
            let row = |what: &str| format!("{}, of {} members: {what}", arrival.title(), Count(members));
            let (allocations, claims) = for_library!(library, allocations(arrival, members));
            table.add(row("allocations"), "", Some(0.0), library, allocations);
            if arrival == Arrival::Claims {
                table.add(row("claims in it"), "", None, library, claims);
            }
        }
    }
    for &members in sizes {
        let bytes = for_library!(library, bytes_per_member(members));
        table.add(format!("heap per known member, of {}", Count(members)), "B", Some(128.0), library, bytes);
    }
    for arrival in Arrival::ALL {
        for &members in also {
            instructions(table, arrival, members);
        }
    }
    without
}
