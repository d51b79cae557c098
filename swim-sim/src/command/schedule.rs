//! Faults as people write them in flags: who or what, then when: `5%@30s`, `3@30s..40s`, `halves@30s..50s`.

use std::time::Duration;

use swim_sim::{Draw, Partition};

use super::quantity::{Share, duration, share};

/// Who, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    pub(crate) who: Who,
    pub(crate) at: Duration,
}

/// Who, and from when until when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spell {
    pub(crate) who: Who,
    pub(crate) at: Duration,
    pub(crate) lasting: Duration,
}

/// Which nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Who {
    /// So many, at random.
    Some(Share),
    /// The one in this slot: `n17`.
    Slot(u32),
    /// Those from this slot to that: `n0-n99`.
    Slots(u32, u32),
}

impl Who {
    pub(crate) fn pick(self, nodes: u32, sparing: u32, draw: &mut Draw) -> Vec<u32> {
        match self {
            Who::Some(share) => share.pick(nodes, sparing, draw),
            Who::Slot(slot) => (slot < nodes).then_some(slot).into_iter().collect(),
            Who::Slots(first, last) => (first..=last).take_while(|&slot| slot < nodes).collect(),
        }
    }
}

fn who(text: &str) -> Result<Who, String> {
    if let Some((first, last)) = text.split_once('-')
        && let (Ok(Who::Slot(first)), Ok(Who::Slot(last))) = (who(first), who(last))
    {
        return Ok(Who::Slots(first, last));
    }
    match text.trim().strip_prefix('n') {
        Some(slot) => slot.parse().map(Who::Slot).map_err(|_| format!("{text:?} names no node; the 18th is n17")),
        None => share(text).map(Who::Some),
    }
}

/// `WHO@AT`.
pub(crate) fn moment(text: &str) -> Result<Moment, String> {
    let Some((whom, at)) = text.split_once('@') else {
        return Err(format!("{text:?} does not say when; write 5%@30s, 3@30s or n17@30s"));
    };
    Ok(Moment { who: who(whom)?, at: duration(at)? })
}

/// `COUNT@AT`: how many, and when.
pub(crate) fn latecomers(text: &str) -> Result<(u32, Duration), String> {
    let wrong = || format!("{text:?} does not say how many and when; write 500@30s");
    let (count, at) = text.split_once('@').ok_or_else(wrong)?;
    Ok((count.trim().parse().map_err(|_| wrong())?, duration(at)?))
}

/// `WHO@AT..UNTIL`.
pub(crate) fn spell(text: &str) -> Result<Spell, String> {
    let (whom, at, lasting) = split_spell(text, "5%@30s..40s, 3@30s..40s or n17@30s..40s")?;
    Ok(Spell { who: who(whom)?, at, lasting })
}

fn split_spell<'a>(text: &'a str, example: &str) -> Result<(&'a str, Duration, Duration), String> {
    let wrong = || format!("{text:?} does not say from when until when; write {example}");
    let (what, when) = text.split_once('@').ok_or_else(wrong)?;
    let (at, until) = when.split_once("..").ok_or_else(wrong)?;
    let (at, until) = (duration(at)?, duration(until)?);
    if until <= at {
        return Err(format!("{text:?} ends before it begins"));
    }
    Ok((what, at, until - at))
}

/// A partition, from when until when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Parting {
    shape: Shape,
    pub(crate) at: Duration,
    pub(crate) lasting: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Halves,
    Isolate(Who),
    Ring(u32),
    Bridge,
    OneWay,
    FlipFlop(Duration),
}

/// `SHAPE@AT..UNTIL`.
pub(crate) fn parting(text: &str) -> Result<Parting, String> {
    let (shape, at, lasting) = split_spell(text, "halves@30s..50s")?;
    let (name, detail) = shape.split_once(':').map_or((shape, None), |(name, detail)| (name, Some(detail)));
    let shape = match (name, detail) {
        ("halves", None) => Shape::Halves,
        ("isolate", whom) => Shape::Isolate(who(whom.unwrap_or("1"))?),
        ("ring", reach) => {
            let reach = reach.unwrap_or("2");
            Shape::Ring(reach.parse().map_err(|_| format!("{reach:?} is not how far each reaches; write ring:2"))?)
        }
        ("bridge", None) => Shape::Bridge,
        ("one-way", None) => Shape::OneWay,
        ("flip-flop", period) => Shape::FlipFlop(duration(period.unwrap_or("2s"))?),
        _ => {
            let shapes = "halves, isolate[:WHO], ring[:REACH], bridge, one-way and flip-flop[:PERIOD]";
            return Err(format!("{shape:?} is no partition; {shapes} are"));
        }
    };
    Ok(Parting { shape, at, lasting })
}

impl Parting {
    /// The partition among so many nodes, and its flip-flop's period.
    pub(crate) fn draw(self, nodes: u32, draw: &mut Draw) -> (Partition, Option<Duration>) {
        match self.shape {
            Shape::Halves => (Partition::halves(nodes, draw), None),
            Shape::Isolate(who) => (Partition::Isolate(who.pick(nodes, 0, draw)), None),
            Shape::Ring(reach) => (Partition::Ring { reach }, None),
            Shape::Bridge => (Partition::bridge(nodes, draw), None),
            Shape::OneWay => (Partition::one_way(nodes, draw), None),
            Shape::FlipFlop(period) => (Partition::halves(nodes, draw), Some(period)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_spells_say_who_and_when() {
        let seconds = Duration::from_secs;
        assert_eq!(moment("n17@30s"), Ok(Moment { who: Who::Slot(17), at: seconds(30) }));
        let three = Who::Some(Share::Count(3));
        assert_eq!(spell("3@30s..40s"), Ok(Spell { who: three, at: seconds(30), lasting: seconds(10) }));
        assert!(moment("5%").is_err() && spell("3@30s").is_err() && spell("3@40s..30s").is_err());
    }

    #[test]
    fn a_partition_that_is_none_is_answered_with_those_that_are() {
        assert!(parting("halves@1s..2s").is_ok() && parting("ring:3@1s..2s").is_ok());
        assert!(parting("isolate@1s..2s").is_ok() && parting("isolate:n4@1s..2s").is_ok());
        let error = parting("quarters@1s..2s").unwrap_err();
        assert!(error.starts_with("\"quarters\" is no partition; halves, "), "{error}");
    }
}
