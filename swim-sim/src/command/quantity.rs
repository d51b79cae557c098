//! Quantities as people write them in flags: `500ms`, `5%`, `1ms..5ms`, `3`, `1%`.

use std::ops::Range;
use std::time::Duration;

use swim_sim::judges::Rule;
use swim_sim::{Bursts, Chance, Draw, Latency, Letters, Talk};

/// A duration: `60s`, `1.5s`, `200ms`, `50us`, `2m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let nanos = match unit.trim() {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3600e9,
        "" if number == "0" => 1.0,
        "" => return Err(format!("{text:?} has no unit; write 60s, 200ms or 50us")),
        unit => return Err(format!("{unit:?} is no unit of time; ns, us, ms, s, m and h are")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not a duration; write 60s, 200ms or 50us"))?;
    if number * nanos > 1e18 {
        return Err(format!("{text:?} is longer than a simulation can be"));
    }
    Ok(Duration::from_nanos((number * nanos).round() as u64))
}

/// A likelihood: `5%`, or a fraction such as `0.05`.
pub(crate) fn chance(text: &str) -> Result<Chance, String> {
    let wrong = || format!("{text:?} is not a likelihood; write 5% or 0.05");
    let text = text.trim();
    let fraction = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map_err(|_| wrong())? / 100.0,
        None => text.parse().map_err(|_| wrong())?,
    };
    if (0.0..=1.0).contains(&fraction) {
        Ok(Chance::of(fraction))
    } else {
        Err(format!("{text:?} lies outside 0% to 100%"))
    }
}

/// A delay: `3ms`, `1ms..5ms` (uniform), `20ms~3ms` (bell-shaped, mean and deviation), `1ms+2ms` (exponential tail).
pub(crate) fn latency(text: &str) -> Result<Latency, String> {
    if let Some((least, most)) = text.split_once("..") {
        let (least, most) = (duration(least)?, duration(most)?);
        if least > most {
            return Err(format!("{text:?} ends before it begins"));
        }
        return Ok(Latency::Uniform { least, most });
    }
    if let Some((mean, deviation)) = text.split_once('~') {
        return Ok(Latency::Normal { mean: duration(mean)?, deviation: duration(deviation)? });
    }
    if let Some((least, tail)) = text.split_once('+') {
        return Ok(Latency::Tailed { least: duration(least)?, tail: duration(tail)? });
    }
    Ok(Latency::Constant(duration(text)?))
}

/// Loss in bursts: `EVERY/LASTING`, or `EVERY/LASTING/LOSS`: `10s/500ms`, `10s/500ms/80%`.
pub(crate) fn bursts(text: &str) -> Result<Bursts, String> {
    let mut parts = text.splitn(3, '/');
    let (Some(every), Some(lasting)) = (parts.next(), parts.next()) else {
        return Err(format!("{text:?} is not EVERY/LASTING or EVERY/LASTING/LOSS, such as 10s/500ms/80%"));
    };
    let loss = parts.next().map_or(Ok(Chance::ALWAYS), chance)?;
    Ok(Bursts { every: duration(every)?, lasting: duration(lasting)?, loss })
}

/// How many nodes: `3`, or `1%` of all, at least one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Share {
    Count(u32),
    Part(f64),
}

pub(crate) fn share(text: &str) -> Result<Share, String> {
    let wrong = || format!("{text:?} is not a number of nodes; write 3 or 1%");
    match text.trim().strip_suffix('%') {
        Some(percent) => match percent.trim().parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Share::Part(percent / 100.0)),
            _ => Err(wrong()),
        },
        None => text.trim().parse().map(Share::Count).map_err(|_| wrong()),
    }
}

impl Share {
    /// How many of so many.
    pub(crate) fn of(self, nodes: u32) -> u32 {
        match self {
            Share::Count(count) => count.min(nodes),
            Share::Part(0.0) => 0,
            Share::Part(part) => ((f64::from(nodes) * part).round() as u32).clamp(1, nodes),
        }
    }

    /// Which slots, at random, but none of the first `sparing` while there are others.
    pub(crate) fn pick(self, nodes: u32, sparing: u32, draw: &mut Draw) -> Vec<u32> {
        let count = self.of(nodes) as usize;
        let mut slots: Vec<u32> = (sparing.min(nodes)..nodes).collect();
        draw.shuffle(&mut slots);
        slots.extend(0..sparing.min(nodes));
        slots.truncate(count);
        slots
    }
}

/// What is said, how often in a second in the whole cluster and of how many bytes: `5`, `5x1000`, `0.5x16..60000`.
pub(crate) fn talk(text: &str) -> Result<Talk, String> {
    let wrong = || format!("{text:?} is not RATE or RATExSIZE; write 5, 5x1000 or 0.5x16..60000");
    let (rate, size) = text.split_once('x').unwrap_or((text, "64"));
    let rate: f64 = rate.trim().parse().map_err(|_| wrong())?;
    let (least, most) = size.split_once("..").unwrap_or((size, size));
    let (least, most): (u32, u32) =
        (least.trim().parse().map_err(|_| wrong())?, most.trim().parse().map_err(|_| wrong())?);
    if !(1e-6..=1e6).contains(&rate) || least > most || most as usize > swim_proto::PAYLOAD_MAX {
        return Err(format!(
            "{text:?}: from 0.000001 to 1000000 a second of at most {} bytes",
            swim_proto::PAYLOAD_MAX
        ));
    }
    Ok(Talk::per_second(rate, least).up_to(most))
}

/// What members send each other, in how many streams: `20`, `20x100..4000`, `50x1000/4`.
pub(crate) fn letters(text: &str) -> Result<Letters, String> {
    let wrong = || format!("{text:?} is not RATE, RATExSIZE or RATExSIZE/STREAMS; write 20, 20x100..4000 or 50x1000/4");
    let (said, streams) = text.split_once('/').map_or((text, None), |(said, streams)| (said, Some(streams)));
    let letters = Letters::of(talk(said)?);
    if letters.talk.len_min < Letters::LEN_MIN {
        return Err(format!("{text:?}: a message has at least {} bytes", Letters::LEN_MIN));
    }
    let streams = streams.map(|streams| streams.trim().parse().map_err(|_| wrong())).transpose()?;
    Ok(Letters { streams: streams.unwrap_or(letters.streams), ..letters })
}

/// A rule, by its number in the judges' list.
pub(crate) fn rule(text: &str) -> Result<Rule, String> {
    const ALL: [Rule; 39] = [
        Rule::S1,
        Rule::S2,
        Rule::S3,
        Rule::S4,
        Rule::S5,
        Rule::S6,
        Rule::S7,
        Rule::S8,
        Rule::S9,
        Rule::S10,
        Rule::S11,
        Rule::S12,
        Rule::S13,
        Rule::S14,
        Rule::L1,
        Rule::L2,
        Rule::L4,
        Rule::L5,
        Rule::L6,
        Rule::U1,
        Rule::U2,
        Rule::U3,
        Rule::U4,
        Rule::U5,
        Rule::U6,
        Rule::M1,
        Rule::M2,
        Rule::M3,
        Rule::M4,
        Rule::M5,
        Rule::M6,
        Rule::M7,
        Rule::M8,
        Rule::M9,
        Rule::M10,
        Rule::M11,
        Rule::M12,
        Rule::Contract,
        Rule::FalseDeath,
    ];
    let named = |rule: &&Rule| rule.to_string().eq_ignore_ascii_case(text);
    let all = || ALL.map(|rule| rule.to_string()).join(", ");
    ALL.iter().find(named).copied().ok_or_else(|| format!("{text:?} is no rule; {} are", all()))
}

/// Seeds: `7`, or `0..1000` (the last not included).
pub(crate) fn seeds(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text:?} is not a range of seeds; write 0..1000");
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
    match text.split_once("..") {
        Some((first, end)) => {
            let (first, end) = (number(first)?, number(end)?);
            if first < end { Ok(first..end) } else { Err(format!("{text:?} holds no seed")) }
        }
        None => {
            let seed = number(text)?;
            Ok(seed..seed.checked_add(1).ok_or_else(wrong)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, expected) in [("60s", 60_000), ("1.5s", 1_500), ("200ms", 200), ("2m", 120_000), ("0", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(expected)));
        }
        assert_eq!(duration("60").unwrap_err(), "\"60\" has no unit; write 60s, 200ms or 50us");
        assert_eq!(duration("60x").unwrap_err(), "\"x\" is no unit of time; ns, us, ms, s, m and h are");
        assert!(duration("").is_err() && duration("s").is_err() && duration("1e30s").is_err());
    }

    #[test]
    fn likelihoods_latencies_and_shares_are_read_too() {
        assert_eq!(chance("5%"), Ok(Chance::percent(5.0)));
        assert_eq!(chance("0.05"), Ok(Chance::of(0.05)));
        assert_eq!(chance("105%").unwrap_err(), "\"105%\" lies outside 0% to 100%");
        let ms = Duration::from_millis;
        assert_eq!(latency("1ms..5ms"), Ok(Latency::Uniform { least: ms(1), most: ms(5) }));
        assert_eq!(latency("20ms~3ms"), Ok(Latency::Normal { mean: ms(20), deviation: ms(3) }));
        assert_eq!(latency("1ms+2ms"), Ok(Latency::Tailed { least: ms(1), tail: ms(2) }));
        assert!(latency("5ms..1ms").is_err());
        assert_eq!(share("1%").map(|share| (share.of(1000), share.of(10))), Ok((10, 1)));
        assert_eq!(share("3").map(|share| share.of(2)), Ok(2));
        assert!(share("-1").is_err() && share("101%").is_err());
        assert_eq!((seeds("3..9"), seeds("3")), (Ok(3..9), Ok(3..4)));
        assert_eq!(letters("20x100..4000/4").map(|l| (l.talk.len_max, l.streams)), Ok((4_000, 4)));
        assert!(letters("20x2").is_err() && letters("20/x").is_err());
        assert!(seeds("9..3").is_err() && bursts("10s").is_err());
    }
}
