//! Partitions: which pairs of nodes cannot reach each other, for a while.

use crate::seeds::Draw;

/// A shape of partition. Nodes are named by their slots; a node that moves to another address stays on its side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partition {
    /// These against all others.
    Split(Vec<u32>),
    /// Each of these is cut off from everyone.
    Isolate(Vec<u32>),
    /// Each node reaches only its nearest `reach` neighbours on either side, on a ring of all slots.
    Ring {
        /// How far each node reaches.
        reach: u32,
    },
    /// These against all others, but for one node that reaches both sides.
    Bridge {
        /// One side.
        side: Vec<u32>,
        /// The node between.
        bridge: u32,
    },
    /// What these send to those is lost; the other direction works. An empty list means everyone not in the other.
    OneWay {
        /// The senders.
        from: Vec<u32>,
        /// The receivers.
        to: Vec<u32>,
    },
}

impl Partition {
    /// A random half against the other.
    pub fn halves(nodes: u32, draw: &mut Draw) -> Partition {
        Partition::Split(random(nodes / 2, nodes, draw))
    }

    /// Two random halves and a bridge between them.
    pub fn bridge(nodes: u32, draw: &mut Draw) -> Partition {
        let mut side = random(nodes.div_ceil(2), nodes, draw);
        let bridge = side.pop().unwrap_or(0);
        Partition::Bridge { side, bridge }
    }

    /// A random half that the other half does not hear.
    pub fn one_way(nodes: u32, draw: &mut Draw) -> Partition {
        Partition::OneWay { from: random(nodes / 2, nodes, draw), to: Vec::new() }
    }
}

/// So many of the slots below `nodes`.
fn random(count: u32, nodes: u32, draw: &mut Draw) -> Vec<u32> {
    draw.sample(count as usize, nodes as usize).into_iter().map(|slot| slot as u32).collect()
}

/// A partition at work, or done with: it is remembered so that one can tell since when two nodes were linked again.
#[derive(Debug)]
pub(crate) struct Cut {
    shape: Shape,
    /// Whether packets are lost to it now.
    pub(crate) on: bool,
    /// When it was last switched on or off.
    pub(crate) changed: u64,
}

#[derive(Debug)]
enum Shape {
    /// Groups by slot; nodes of one group reach each other, and those in [`EVERYWHERE`] reach all.
    Groups(Vec<u32>),
    Ring {
        nodes: u32,
        reach: u32,
    },
    /// By slot: whether it sends in vain ([`MUTE`]), and whether it is deaf to those ([`DEAF`]).
    OneWay(Vec<u8>),
}

const EVERYWHERE: u32 = u32::MAX;
const MUTE: u8 = 1;
const DEAF: u8 = 2;

impl Cut {
    /// The partition among the slots below `nodes`, not yet switched on.
    pub(crate) fn new(partition: &Partition, nodes: u32) -> Cut {
        let mut groups = vec![0; nodes as usize];
        let mut put = |slots: &[u32], mut group: u32, step: u32| {
            for &slot in slots.iter().filter(|&&slot| slot < nodes) {
                groups[slot as usize] = group;
                group += step;
            }
        };
        let shape = match partition {
            Partition::Split(side) => {
                put(side, 1, 0);
                Shape::Groups(groups)
            }
            Partition::Isolate(alone) => {
                put(alone, 1, 1);
                Shape::Groups(groups)
            }
            Partition::Bridge { side, bridge } => {
                put(side, 1, 0);
                put(&[*bridge], EVERYWHERE, 0);
                Shape::Groups(groups)
            }
            Partition::Ring { reach } => Shape::Ring { nodes, reach: *reach },
            Partition::OneWay { from, to } => Shape::OneWay(
                (0..nodes)
                    .map(|slot| {
                        let (sends, hears) = (from.contains(&slot), to.contains(&slot));
                        let mute = if from.is_empty() { !hears } else { sends };
                        let deaf = if to.is_empty() { !sends } else { hears };
                        u8::from(mute) * MUTE + u8::from(deaf) * DEAF
                    })
                    .collect(),
            ),
        };
        Cut { shape, on: false, changed: 0 }
    }

    /// Whether a packet between these slots is lost while the cut is on.
    pub(crate) fn severs(&self, from: u32, to: u32) -> bool {
        match &self.shape {
            Shape::Groups(groups) => {
                let group = |slot: u32| groups.get(slot as usize).copied().unwrap_or(0);
                let (a, b) = (group(from), group(to));
                a != b && a != EVERYWHERE && b != EVERYWHERE
            }
            Shape::Ring { nodes, reach } => {
                let around = from.abs_diff(to) % nodes.max(&1);
                around.min(nodes - around) > *reach
            }
            Shape::OneWay(sides) => {
                let side = |slot: u32| sides.get(slot as usize).copied().unwrap_or(0);
                side(from) & MUTE != 0 && side(to) & DEAF != 0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn severed(partition: &Partition, nodes: u32) -> Vec<(u32, u32)> {
        let cut = Cut::new(partition, nodes);
        let pairs = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
        pairs.filter(|&(from, to)| cut.severs(from, to)).collect()
    }

    #[test]
    fn each_shape_severs_its_pairs() {
        assert_eq!(severed(&Partition::Split(vec![0, 1]), 3), [(0, 2), (1, 2), (2, 0), (2, 1)]);
        assert_eq!(severed(&Partition::Isolate(vec![0, 1]), 3).len(), 6);
        assert_eq!(severed(&Partition::Bridge { side: vec![0], bridge: 1 }, 3), [(0, 2), (2, 0)]);
        assert_eq!(severed(&Partition::OneWay { from: vec![0], to: vec![] }, 3), [(0, 1), (0, 2)]);
        assert_eq!(severed(&Partition::OneWay { from: vec![], to: vec![0] }, 3), [(1, 0), (2, 0)]);
        assert_eq!(severed(&Partition::OneWay { from: vec![0], to: vec![2] }, 3), [(0, 2)]);
        let ring = severed(&Partition::Ring { reach: 1 }, 5);
        assert!(ring.contains(&(0, 2)) && !ring.contains(&(0, 4)) && !ring.contains(&(3, 4)));
        assert_eq!(ring.len(), 10);
    }

    #[test]
    fn random_halves_are_halves() {
        let Partition::Split(side) = Partition::halves(10, &mut Draw::new(1)) else { panic!("a split") };
        assert_eq!(side.len(), 5);
        let Partition::Bridge { side, bridge } = Partition::bridge(9, &mut Draw::new(1)) else { panic!("a bridge") };
        assert!(side.len() == 4 && !side.contains(&bridge));
    }
}
