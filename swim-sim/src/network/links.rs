//! The network at work: what becomes of each packet.
//!
//! Whatever is drawn for a packet is drawn from a generator of the sending host, so that one host's traffic does not
//! change the luck of another's.

use std::time::Duration;

use super::latency::nanos;
use super::{Cut, DATAGRAM_OVERHEAD, Network, SEGMENT_OVERHEAD, Traffic};
use crate::seeds::{Chance, Draw, Purpose, Seeds};

/// The network's state.
pub(crate) struct Links {
    network: Network,
    /// Since when it is this one.
    network_since: u64,
    hosts: Vec<Host>,
    cuts: Vec<Cut>,
    cuts_on: usize,
    filter: Option<Filter>,
    traffic: Traffic,
}

/// Looks at each packet that passes and says whether it may.
pub(crate) type Filter = Box<dyn FnMut(&Passing<'_>) -> bool + Send>;

/// A packet seen by a filter ([`World::filter`](crate::World::filter)).
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// Simulated time, in nanoseconds.
    pub now: u64,
    /// The sender's slot.
    pub from: u32,
    /// The receiver's slot.
    pub to: u32,
    /// What it is.
    pub carried: Carried,
    /// A datagram's content, or a segment's part of the stream.
    pub bytes: &'a [u8],
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carried {
    /// A datagram.
    Datagram,
    /// A request to open a stream (TCP's SYN).
    Syn,
    /// The answer to it.
    SynAck,
    /// Bytes of a stream, or its end (FIN).
    Data,
    /// An acknowledgement alone.
    Ack,
    /// The end of a stream by force (RST).
    Reset,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    Arrives {
        /// After so many nanoseconds.
        after: u64,
        /// And once more.
        again: Option<u64>,
        /// With so many bits flipped.
        damage: u8,
    },
}

/// One host's link to the network.
#[derive(Debug)]
struct Host {
    slot: u32,
    draw: Draw,
    /// When its uplink has sent what was given to it.
    uplink_free: u64,
    /// Whether its link is in a burst of loss.
    bad: bool,
    /// Until when `bad` holds.
    burst_until: u64,
    /// The faults of its link, each under the number of the entry in the schedule that brought it.
    faults: Vec<(u32, LinkFault)>,
    /// All of them together.
    fault: LinkFault,
    /// When `fault` last changed.
    fault_changed: u64,
}

/// A fault of one host's link alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkFault {
    /// How likely a packet from it is lost.
    pub outbound: Chance,
    /// How likely a packet to it is lost.
    pub inbound: Chance,
    /// Datagrams do not pass, in either direction; streams do.
    pub no_datagrams: bool,
    /// Streams do not pass, in either direction; datagrams do.
    pub no_streams: bool,
}

impl LinkFault {
    /// What passes this fault and then the other one.
    fn and(self, other: LinkFault) -> LinkFault {
        LinkFault {
            outbound: self.outbound.or(other.outbound),
            inbound: self.inbound.or(other.inbound),
            no_datagrams: self.no_datagrams || other.no_datagrams,
            no_streams: self.no_streams || other.no_streams,
        }
    }
}

impl Links {
    pub(crate) fn new(network: Network) -> Links {
        Links {
            network,
            network_since: 0,
            hosts: Vec::new(),
            cuts: Vec::new(),
            cuts_on: 0,
            filter: None,
            traffic: Traffic::default(),
        }
    }

    /// Attaches a host, and tells its number.
    pub(crate) fn attach(&mut self, slot: u32, seeds: Seeds) -> u32 {
        let number = self.hosts.len() as u32;
        self.hosts.push(Host {
            slot,
            draw: seeds.draw(Purpose::Network, number.into()),
            uplink_free: 0,
            bad: true,
            burst_until: 0,
            faults: Vec::new(),
            fault: LinkFault::default(),
            fault_changed: 0,
        });
        number
    }

    /// Gives a host to another slot.
    pub(crate) fn set_slot(&mut self, host: u32, slot: u32) {
        self.hosts[host as usize].slot = slot;
    }

    /// What becomes of a packet from one host to another.
    pub(crate) fn fate(&mut self, now: u64, from: u32, to: u32, carried: Carried, bytes: &[u8]) -> Fate {
        let (sender, receiver) = (self.hosts[from as usize].slot, self.hosts[to as usize].slot);
        let datagram = carried == Carried::Datagram;
        if datagram {
            self.traffic.datagrams += 1;
            self.traffic.datagram_bytes += bytes.len() as u64;
        } else {
            self.traffic.segments += 1;
            self.traffic.segment_bytes += bytes.len() as u64;
        }
        self.traffic.opened += u64::from(carried == Carried::SynAck);
        if let Some(filter) = &mut self.filter
            && !filter(&Passing { now, from: sender, to: receiver, carried, bytes })
        {
            self.traffic.filtered += 1;
            return Fate::Lost;
        }
        if from == to {
            // A host's way to itself is never cut.
            return Fate::Arrives { after: 10_000, again: None, damage: 0 };
        }
        if self.cuts_on > 0 && self.cuts.iter().any(|cut| cut.on && cut.severs(sender, receiver)) {
            self.traffic.severed += 1;
            return Fate::Lost;
        }
        let (outbound, inbound) = (self.hosts[from as usize].fault, self.hosts[to as usize].fault);
        if datagram && (!self.network.datagrams || outbound.no_datagrams || inbound.no_datagrams)
            || !datagram && (outbound.no_streams || inbound.no_streams)
        {
            self.traffic.severed += 1;
            return Fate::Lost;
        }
        if datagram && bytes.len() + DATAGRAM_OVERHEAD > self.network.mtu {
            self.traffic.oversized += 1;
            return Fate::Lost;
        }
        let Some(sent) = self.sent(now, from, datagram, bytes.len()) else {
            self.traffic.congested += 1;
            return Fate::Lost;
        };
        let mut loss_in_burst = Chance::NEVER;
        if let Some(bursts) = self.network.bursts
            && (self.is_bad(now, from) | self.is_bad(now, to))
        {
            loss_in_burst = bursts.loss;
        }
        let network = &self.network;
        let latency = network.zones.as_ref().map_or(network.latency, |zones| zones.between(sender, receiver));
        let draw = &mut self.hosts[from as usize].draw;
        let lost = [network.loss, loss_in_burst, outbound.outbound, inbound.inbound];
        if lost.into_iter().any(|chance| draw.happens(chance)) {
            self.traffic.lost += 1;
            return Fate::Lost;
        }
        let mut after = sent - now + latency.draw(draw);
        if !datagram {
            if draw.happens(network.corrupt) {
                self.traffic.damaged += 1;
                return Fate::Lost;
            }
            return Fate::Arrives { after, again: None, damage: 0 };
        }
        if draw.happens(network.reorder) {
            after += draw.below(nanos(network.reorder_by) + 1);
        }
        let again = draw.happens(network.duplicate).then(|| sent - now + latency.draw(draw));
        let damage = if draw.happens(network.corrupt) { draw.between(1, 3) as u8 } else { 0 };
        self.traffic.doubled += u64::from(again.is_some());
        self.traffic.damaged += u64::from(damage > 0);
        Fate::Arrives { after, again, damage }
    }

    /// When the packet has left the uplink; `None` if it found too many waiting there.
    fn sent(&mut self, now: u64, from: u32, datagram: bool, len: usize) -> Option<u64> {
        let Some(bandwidth) = self.network.bandwidth else { return Some(now) };
        let host = &mut self.hosts[from as usize];
        let start = host.uplink_free.max(now);
        if start - now > nanos(self.network.uplink_queue) {
            return None;
        }
        let size = (len + if datagram { DATAGRAM_OVERHEAD } else { SEGMENT_OVERHEAD }) as u64;
        host.uplink_free = start + size * 1_000_000_000 / bandwidth.max(1);
        Some(host.uplink_free)
    }

    /// Whether a host's link is in a burst of loss, which is decided as far ahead as it is asked.
    fn is_bad(&mut self, now: u64, host: u32) -> bool {
        let Some(bursts) = self.network.bursts else { return false };
        let host = &mut self.hosts[host as usize];
        while host.burst_until <= now {
            host.bad = !host.bad;
            let mean = if host.bad { bursts.lasting } else { bursts.every };
            host.burst_until += host.draw.exponential(nanos(mean)).max(1_000);
        }
        host.bad
    }

    /// Flips some of a packet's bits.
    pub(crate) fn damage(&mut self, from: u32, bits: u8, bytes: &mut [u8]) {
        let draw = &mut self.hosts[from as usize].draw;
        for _ in 0..bits {
            let at = draw.index(bytes.len() * 8);
            if let Some(byte) = bytes.get_mut(at / 8) {
                *byte ^= 1 << (at % 8);
            }
        }
    }

    /// The description the network works by.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Replaces the description; cuts and faults of single links stay.
    pub(crate) fn set_network(&mut self, now: u64, network: Network) {
        self.network = network;
        self.network_since = now;
    }

    /// Since when the network has carried every datagram and segment in no more than its latency; `None` while it need
    /// not.
    pub(crate) fn lossless_since(&self) -> Option<u64> {
        let network = &self.network;
        let whole = network.datagrams && network.mtu >= 1500 && network.reorder == Chance::NEVER;
        (network.is_lossless() && whole).then_some(self.network_since)
    }

    /// Within what time every packet arrives at present, on whatever link; `None` while that cannot be said.
    pub(crate) fn carries_within(&self) -> Option<Duration> {
        let whole = self.cuts_on == 0 && self.filter.is_none();
        self.network
            .carries_within()
            .filter(|_| whole && self.hosts.iter().all(|host| host.fault == LinkFault::default()))
    }

    /// Replaces the filter.
    pub(crate) fn set_filter(&mut self, filter: Option<Filter>) {
        self.filter = filter;
    }

    /// What passed so far.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Adds a partition, not yet switched on, and tells its number.
    pub(crate) fn add_cut(&mut self, cut: Cut) -> usize {
        self.cuts.push(cut);
        self.cuts.len() - 1
    }

    /// Switches a partition.
    pub(crate) fn switch_cut(&mut self, now: u64, cut: usize, on: bool) {
        let cut = &mut self.cuts[cut];
        if cut.on != on {
            (cut.on, cut.changed) = (on, now);
            self.cuts_on = self.cuts.iter().filter(|cut| cut.on).count();
        }
    }

    /// Gives one host's link a fault, besides those that it has.
    pub(crate) fn add_fault(&mut self, now: u64, host: u32, number: u32, fault: LinkFault) {
        self.change_faults(now, host, |faults| faults.push((number, fault)));
    }

    /// Takes one of its faults from a host's link. The others stay.
    pub(crate) fn end_fault(&mut self, now: u64, host: u32, number: u32) {
        self.change_faults(now, host, |faults| faults.retain(|&(of, _)| of != number));
    }

    fn change_faults(&mut self, now: u64, host: u32, change: impl FnOnce(&mut Vec<(u32, LinkFault)>)) {
        let host = &mut self.hosts[host as usize];
        change(&mut host.faults);
        let together = host.faults.iter().fold(LinkFault::default(), |all, &(_, fault)| all.and(fault));
        if host.fault != together {
            (host.fault, host.fault_changed) = (together, now);
        }
    }

    /// Ends all partitions and all faults of single links.
    pub(crate) fn heal(&mut self, now: u64) {
        for cut in 0..self.cuts.len() {
            self.switch_cut(now, cut, false);
        }
        for host in 0..self.hosts.len() {
            self.change_faults(now, host as u32, Vec::clear);
        }
    }

    /// Since when packets pass between two hosts both ways, but for the loss that all share.
    pub(crate) fn linked_since(&self, a: u32, b: u32) -> Option<u64> {
        let mut since = 0;
        for host in [&self.hosts[a as usize], &self.hosts[b as usize]] {
            if host.fault != LinkFault::default() {
                return None;
            }
            since = since.max(host.fault_changed);
        }
        let (a, b) = (self.hosts[a as usize].slot, self.hosts[b as usize].slot);
        for cut in self.cuts.iter().filter(|cut| cut.severs(a, b) || cut.severs(b, a)) {
            if cut.on {
                return None;
            }
            since = since.max(cut.changed);
        }
        Some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Bursts, Latency, Partition};
    use super::*;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MS;

    fn links(network: Network) -> Links {
        let mut links = Links::new(network);
        for slot in 0..4 {
            assert_eq!(links.attach(slot, Seeds::of(1)), slot);
        }
        links
    }

    fn quick() -> Network {
        Network::new(Latency::Constant(Duration::from_millis(1)))
    }

    /// How many of 20,000 datagrams from host 0 to host 1, 10 ms apart, are lost.
    fn lost(links: &mut Links, carried: Carried) -> usize {
        (0..20_000).filter(|at| links.fate(at * 10 * MS, 0, 1, carried, &[0; 100]) == Fate::Lost).count()
    }

    #[test]
    fn datagrams_and_segments_are_lost_as_often_as_the_loss_says() {
        // Five standard deviations around the mean of 20,000 draws at 10 %.
        for carried in [Carried::Datagram, Carried::Syn, Carried::SynAck, Carried::Data, Carried::Ack] {
            let lost = lost(&mut links(quick().with_loss(Chance::percent(10.0))), carried);
            assert!(lost.abs_diff(2_000) < 5 * 43, "{carried:?}: {lost}");
        }
    }

    #[test]
    fn nobody_can_say_when_packets_arrive_while_a_link_is_cut() {
        let mut links = links(quick());
        let within = Some(Duration::from_millis(1));
        assert_eq!(links.carries_within(), within);
        let cut = links.add_cut(Cut::new(&Partition::Isolate(vec![1]), 4));
        assert_eq!(links.carries_within(), within, "a cut that is not switched on");
        links.switch_cut(0, cut, true);
        assert_eq!(links.carries_within(), None);
        links.switch_cut(SECOND, cut, false);
        links.add_fault(SECOND, 2, 0, LinkFault { no_streams: true, ..LinkFault::default() });
        assert_eq!(links.carries_within(), None);
        links.end_fault(SECOND, 2, 0);
        assert_eq!(links.carries_within(), within);
    }

    #[test]
    fn bursts_lose_in_runs() {
        let bursts = Bursts { every: Duration::from_secs(9), lasting: Duration::from_secs(1), loss: Chance::ALWAYS };
        let mut links = links(quick().with_bursts(bursts));
        let fates: Vec<bool> =
            (0..200_000).map(|at| links.fate(at * 10 * MS, 0, 1, Carried::Datagram, &[0]) == Fate::Lost).collect();
        let lost = fates.iter().filter(|lost| **lost).count();
        let runs = fates.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        // Either link is bad a tenth of the time: together 19 %. A run outlasts its second when the two overlap.
        assert!((28_000..48_000).contains(&lost), "{lost}");
        assert!((80..160).contains(&(lost / runs)), "{} a run", lost / runs);
    }

    #[test]
    fn a_large_datagram_vanishes_and_a_large_segment_passes() {
        let mut links = links(quick().with_mtu(1_000));
        assert_eq!(links.fate(0, 0, 1, Carried::Datagram, &[0; 973]), Fate::Lost);
        assert_ne!(links.fate(0, 0, 1, Carried::Datagram, &[0; 972]), Fate::Lost);
        assert_ne!(links.fate(0, 0, 1, Carried::Data, &[0; 1460]), Fate::Lost);
        assert_eq!(links.traffic().oversized, 1);
    }

    #[test]
    fn an_uplink_sends_one_packet_after_the_other_and_drops_what_would_wait_too_long() {
        let mut links = links(quick().with_bandwidth(100_000));
        let mut arrivals = Vec::new();
        for _ in 0..20 {
            match links.fate(0, 0, 1, Carried::Datagram, &[0; 972]) {
                Fate::Arrives { after, .. } => arrivals.push(after / MS),
                Fate::Lost => arrivals.push(0),
            }
        }
        assert_eq!(arrivals[..11], [11, 21, 31, 41, 51, 61, 71, 81, 91, 101, 111]);
        assert!(arrivals[11..].iter().all(|&after| after == 0));
    }

    #[test]
    fn two_hosts_are_linked_since_the_last_cut_between_them_ended() {
        let mut links = links(quick());
        let cut = links.add_cut(Cut::new(&Partition::OneWay { from: vec![0], to: vec![1] }, 4));
        links.switch_cut(SECOND, cut, true);
        assert_eq!((links.linked_since(1, 0), links.linked_since(0, 2)), (None, Some(0)));
        assert_eq!(links.fate(SECOND, 0, 1, Carried::Datagram, &[0]), Fate::Lost);
        assert_ne!(links.fate(SECOND, 1, 0, Carried::Datagram, &[0]), Fate::Lost);
        links.switch_cut(2 * SECOND, cut, false);
        assert_eq!(links.linked_since(0, 1), Some(2 * SECOND));
        links.add_fault(3 * SECOND, 2, 0, LinkFault { no_datagrams: true, ..LinkFault::default() });
        assert_eq!(links.fate(0, 0, 2, Carried::Datagram, &[0]), Fate::Lost);
        assert_ne!(links.fate(0, 0, 2, Carried::Data, &[0]), Fate::Lost);
        links.heal(4 * SECOND);
        assert_eq!(links.linked_since(1, 2), Some(4 * SECOND));
    }

    #[test]
    fn faults_of_one_link_add_up_and_end_one_by_one() {
        let mut links = links(quick());
        let deaf = |share| LinkFault { inbound: Chance::percent(share), ..LinkFault::default() };
        let lost_from = |links: &mut Links| lost(links, Carried::Datagram);
        links.add_fault(SECOND, 1, 7, deaf(50.0));
        links.add_fault(2 * SECOND, 1, 8, deaf(20.0));
        links.add_fault(2 * SECOND, 1, 9, LinkFault { no_streams: true, ..LinkFault::default() });
        // Five standard deviations around the mean of 20,000 draws at 60 %, 20 % and 0 %.
        assert!(lost_from(&mut links).abs_diff(12_000) < 5 * 70);
        assert_eq!(links.fate(0, 0, 1, Carried::Data, &[0]), Fate::Lost);
        links.end_fault(3 * SECOND, 1, 7);
        assert!(lost_from(&mut links).abs_diff(4_000) < 5 * 57);
        links.end_fault(4 * SECOND, 1, 8);
        assert_eq!((lost_from(&mut links), links.linked_since(0, 1)), (0, None));
        links.end_fault(5 * SECOND, 1, 9);
        assert_eq!(links.linked_since(0, 1), Some(5 * SECOND));
    }

    #[test]
    fn a_filter_sees_every_packet_and_may_refuse_it() {
        let mut links = links(quick());
        links.set_filter(Some(Box::new(|passing| passing.carried != Carried::Syn || passing.to != 2)));
        assert_eq!(links.fate(0, 0, 2, Carried::Syn, &[]), Fate::Lost);
        assert_ne!(links.fate(0, 0, 1, Carried::Syn, &[]), Fate::Lost);
    }

    #[test]
    fn doubled_and_damaged_datagrams_are_as_frequent_as_said() {
        let network = quick().with_duplicates(Chance::percent(20.0)).with_corruption(Chance::percent(5.0));
        let mut links = links(network);
        assert_eq!(lost(&mut links, Carried::Datagram), 0);
        assert!(links.traffic().doubled.abs_diff(4_000) < 300, "{:?}", links.traffic());
        assert!(links.traffic().damaged.abs_diff(1_000) < 160, "{:?}", links.traffic());
        let mut bytes = [0; 8];
        links.damage(0, 1, &mut bytes);
        assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    }
}
