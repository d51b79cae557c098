//! Two nodes that know the same members compare what they hold: what that takes on the stream, both ways together.
//!
//! Both have heard of all members by claims; 10 of these have refuted since, of which the second node alone has heard.
//! Then the first one's periodic comparison falls due. Whomever it chooses, the second node is who answers: no other
//! node stands for a member.

use super::for_library;
use crate::libraries::{Library, foca::Foca, kinship::Kinship, ours::Ours};
use crate::packets::Content;
use crate::peer::{Peer, SECOND};
use crate::table::{Count, Figure, Table};
use crate::world::{Happening, Links, World};

/// Members that differ, in the second row.
const DIFFERENT: u32 = 10;

/// Bytes on the stream, or `None` where the library compares nothing.
fn run<P: Peer>(members: u32, different: u32) -> Option<u64> {
    let mut world = World::<P>::new(2, members, Links::LAN, 1);
    for node in [0, 1] {
        world.at(0, Happening::Start { node, join: None });
        let mut told = 0;
        while told < members {
            let content = Content { from: 2, to: node, pings: false, alive: told..members, refutations: 0 };
            let (bytes, count) = P::packet(content)?;
            world.at(1, Happening::Datagram { from: 2, to: node, bytes });
            told += count;
        }
    }
    let refuting = (0..different).map(|k| 2 + k * (members - 2) / DIFFERENT);
    for index in refuting {
        let content = Content { from: 2, to: 1, pings: false, alive: index..index + 1, refutations: 1 };
        let (bytes, _) = P::packet(content)?;
        world.at(2, Happening::Datagram { from: 2, to: 1, bytes });
    }
    world.run(SECOND / 1_000, |_| false);
    world.network.stands_in = Some(1);
    let first = world.network.streams.written().len();
    // Long enough for any interval between comparisons. Whatever else is opened afterwards is not counted.
    world.wake_late(0, 60 * SECOND);
    world.run(world.now + SECOND / 4, |_| false);
    world.network.streams.written().get(first).copied()
}

/// Adds the rows for this many members.
pub(crate) fn add(table: &mut Table, library: Library, members: u32) {
    for (different, target) in [(0, 300.0), (DIFFERENT, 24.0 * 1024.0)] {
        let bytes = for_library!(library, run(members, different));
        let figure = bytes.map_or(Figure::Without("no such thing"), Figure::from);
        let what = format!("comparing {} members of which {different} differ: bytes both ways", Count(members));
        table.add(what, "B", (members == 10_000).then_some(target), library, figure);
    }
}
