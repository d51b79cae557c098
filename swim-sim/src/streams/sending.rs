//! One direction of a stream at its sending end: what was written, what is under way, and when it is sent again.
//!
//! A plain TCP of the Reno kind (RFC 5681, 6298, 6582): cumulative acknowledgements, slow start, one retransmission
//! timer, a fast retransmission at the third duplicate acknowledgement. Nothing here knows of packets or hosts: the
//! parent asks [`Sender::next_segment`] what to send until it gives `None`, and when [`Sender::deadline`] is.

use std::collections::VecDeque;

use super::{MSS, StreamSettings};

/// The sending half of one end.
#[derive(Debug)]
pub(crate) struct Sender {
    /// What was written and not yet acknowledged; its first byte has the sequence `acknowledged`.
    buffer: VecDeque<u8>,
    acknowledged: u64,
    /// The sequence of what is to be sent next.
    next: u64,
    /// The greatest `next` ever was: what lies below was sent before.
    sent_before: u64,
    /// How much of what was written the application has been told is taken.
    told: u64,
    finish: Finish,
    /// How far the receiver has room.
    window_end: u64,
    congestion_window: u64,
    slow_start_until: u64,
    duplicates: u32,
    /// While recovering from a loss: where it is over.
    recovering_until: Option<u64>,
    resend_first: bool,
    probe: bool,
    /// Sequence and time of the segment whose round trip is being measured.
    timed: Option<(u64, u64)>,
    round_trip: Option<u64>,
    backoff: u32,
    /// When the retransmission timer runs out; `u64::MAX`: it does not run.
    pub(crate) deadline: u64,
    settings: StreamSettings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    /// More may be written.
    No,
    /// Nothing more will be; the receiver is to be told.
    Asked,
    /// It was, and knows.
    Acknowledged,
}

/// A segment to send: these bytes from the sequence on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) sequence: u64,
    pub(crate) len: usize,
    /// The stream ends after it.
    pub(crate) last: bool,
}

impl Sender {
    pub(crate) fn new(settings: StreamSettings) -> Sender {
        Sender {
            buffer: VecDeque::new(),
            acknowledged: 0,
            next: 0,
            sent_before: 0,
            told: 0,
            finish: Finish::No,
            window_end: 0,
            congestion_window: 10 * MSS,
            slow_start_until: u64::MAX,
            duplicates: 0,
            recovering_until: None,
            resend_first: false,
            probe: false,
            timed: None,
            round_trip: None,
            backoff: 0,
            deadline: u64::MAX,
            settings,
        }
    }

    /// Takes what the application writes.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        debug_assert!(self.finish == Finish::No, "nothing is written after the end");
        self.buffer.extend(bytes);
    }

    /// Takes that the application will write no more.
    pub(crate) fn finish(&mut self) {
        if self.finish == Finish::No {
            self.finish = Finish::Asked;
        }
    }

    /// Whether everything written, and the end, has been acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.finish == Finish::Acknowledged
    }

    /// How many more bytes the socket has taken: those that fit its buffer of unacknowledged bytes.
    pub(crate) fn take_written(&mut self) -> usize {
        let taken = self.taken();
        let more = taken - self.told;
        self.told = taken;
        more as usize
    }

    /// Whether [`Sender::take_written`] has something to tell.
    pub(crate) fn has_written(&self) -> bool {
        self.taken() > self.told
    }

    fn written(&self) -> u64 {
        self.acknowledged_bytes() + self.buffer.len() as u64
    }

    /// The sequence acknowledged, but for the end's own.
    fn acknowledged_bytes(&self) -> u64 {
        self.acknowledged - u64::from(self.finish == Finish::Acknowledged)
    }

    fn taken(&self) -> u64 {
        self.written().min(self.acknowledged_bytes() + self.settings.send_buffer as u64)
    }

    fn in_flight(&self) -> u64 {
        self.next - self.acknowledged
    }

    /// The retransmission time-out before back-off (RFC 6298, with Linux's least of 200 ms).
    fn timeout(&self) -> u64 {
        let least = self.settings.segment_timeout;
        let base = self.round_trip.map_or(least, |round_trip| least.max(2 * round_trip));
        (base << self.backoff.min(20)).min(self.settings.timeout_max)
    }

    /// The next segment to send now; the timer runs from it.
    pub(crate) fn next_segment(&mut self, now: u64) -> Option<Segment> {
        if self.finish == Finish::Acknowledged {
            return None;
        }
        let written = self.written();
        let last_at = |end: u64, sender: &Sender| sender.finish == Finish::Asked && end == written;
        if self.resend_first || self.probe {
            let most = if self.probe { 1 } else { MSS };
            let len = most.min(written - self.acknowledged);
            (self.resend_first, self.probe) = (false, false);
            let end = self.acknowledged + len;
            self.timed = None;
            self.deadline = now + self.timeout();
            return Some(Segment { sequence: self.acknowledged, len: len as usize, last: last_at(end, self) });
        }
        let limit = self.taken().min(self.window_end).min(self.acknowledged + self.congestion_window);
        let len = MSS.min(limit.saturating_sub(self.next));
        let end = self.next + len;
        let last = last_at(end, self);
        // A short segment is sent only as the last of what is there, or to keep something under way.
        let worth_it = len == MSS || end == written || self.in_flight() == 0;
        if (len == 0 || !worth_it) && !(last && self.next <= written) {
            if self.in_flight() == 0 && self.next < written && self.deadline == u64::MAX {
                self.deadline = now + self.timeout(); // The window is shut: ask again later.
            }
            return None;
        }
        let segment = Segment { sequence: self.next, len: len as usize, last };
        self.next = end + u64::from(last);
        if self.next > self.sent_before {
            if self.timed.is_none() && segment.sequence >= self.sent_before {
                self.timed = Some((self.next, now));
            }
            self.sent_before = self.next;
        }
        if self.deadline == u64::MAX {
            self.deadline = now + self.timeout();
        }
        Some(segment)
    }

    /// Copies a segment's bytes.
    pub(crate) fn copy_into(&self, segment: Segment, into: &mut Vec<u8>) {
        let start = (segment.sequence - self.acknowledged) as usize;
        into.extend(self.buffer.range(start..start + segment.len));
    }

    /// Word from the receiver: it has all below `acknowledged`, and room for `window` bytes more. `alone`: it came
    /// without bytes.
    pub(crate) fn acknowledge(&mut self, now: u64, acknowledged: u64, window: u64, alone: bool) {
        if acknowledged > self.written() + u64::from(self.finish != Finish::No) || acknowledged < self.acknowledged {
            return;
        }
        let window_moved = acknowledged + window > self.window_end;
        self.window_end = self.window_end.max(acknowledged + window);
        if acknowledged > self.acknowledged {
            self.advance(now, acknowledged);
        } else if self.in_flight() == 0 {
            // An answer to a probe of a shut window: the peer is there, however long it takes.
            self.backoff = self.backoff.min(6);
        } else if alone && !window_moved {
            self.duplicates += 1;
            if self.duplicates == 3 && self.recovering_until.is_none() {
                self.slow_start_until = (self.in_flight() / 2).max(2 * MSS);
                self.congestion_window = self.slow_start_until + 3 * MSS;
                self.recovering_until = Some(self.next);
                self.resend_first = true;
            } else if self.recovering_until.is_some() {
                self.congestion_window += MSS;
            }
        }
        if window_moved && self.in_flight() == 0 {
            self.deadline = u64::MAX;
        }
    }

    fn advance(&mut self, now: u64, acknowledged: u64) {
        let fresh = acknowledged - self.acknowledged;
        let bytes = fresh.min(self.buffer.len() as u64);
        self.buffer.drain(..bytes as usize);
        self.acknowledged = acknowledged;
        if fresh > bytes {
            self.finish = Finish::Acknowledged;
        }
        self.next = self.next.max(acknowledged);
        self.sent_before = self.sent_before.max(self.next);
        if let Some((end, since)) = self.timed
            && acknowledged >= end
        {
            let measured = now - since;
            self.measured(measured);
            self.timed = None;
        }
        (self.backoff, self.duplicates) = (0, 0);
        match self.recovering_until {
            Some(until) if acknowledged < until => self.resend_first = true,
            Some(_) => {
                self.recovering_until = None;
                self.congestion_window = self.slow_start_until;
            }
            None if self.congestion_window < self.slow_start_until => self.congestion_window += fresh,
            None => self.congestion_window += (MSS * MSS / self.congestion_window).max(1),
        }
        self.deadline = if self.in_flight() > 0 { now + self.timeout() } else { u64::MAX };
    }

    /// A round trip was measured: by a segment here, or by the opening of the stream.
    pub(crate) fn measured(&mut self, round_trip: u64) {
        self.round_trip = Some(self.round_trip.map_or(round_trip, |smoothed| (7 * smoothed + round_trip) / 8));
    }

    /// The timer ran out. `false`: that was the last attempt, the stream is broken.
    pub(crate) fn time_out(&mut self) -> bool {
        self.deadline = u64::MAX;
        self.timed = None;
        if self.in_flight() == 0 {
            self.probe = true;
            self.backoff += 1;
            return self.backoff <= self.settings.segment_retries;
        }
        self.backoff += 1;
        self.slow_start_until = (self.in_flight() / 2).max(2 * MSS);
        self.congestion_window = MSS;
        self.duplicates = 0;
        self.recovering_until = None;
        self.resend_first = false;
        self.next = self.acknowledged;
        self.backoff <= self.settings.segment_retries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn sender() -> Sender {
        let mut sender = Sender::new(StreamSettings::default());
        sender.acknowledge(0, 0, 65_536, true);
        sender
    }

    fn segments(sender: &mut Sender, now: u64) -> Vec<(u64, usize)> {
        core::iter::from_fn(|| sender.next_segment(now)).map(|segment| (segment.sequence, segment.len)).collect()
    }

    #[test]
    fn a_lost_segment_is_sent_again_after_200_ms_then_400_then_800() {
        let mut sender = sender();
        sender.write(b"hello");
        assert_eq!(segments(&mut sender, 0), [(0, 5)]);
        let mut now = 0;
        for wait in [200, 400, 800, 1_600] {
            assert_eq!(sender.deadline, now + wait * MS);
            now = sender.deadline;
            assert!(sender.time_out());
            assert_eq!(segments(&mut sender, now), [(0, 5)]);
        }
        sender.acknowledge(now, 5, 65_536, true);
        assert_eq!(sender.deadline, u64::MAX);
        sender.write(b"again");
        assert_eq!(segments(&mut sender, now), [(5, 5)]);
        assert_eq!(sender.deadline, now + 200 * MS);
    }

    #[test]
    fn it_gives_up_after_its_retries() {
        let mut sender = sender();
        sender.write(b"hello");
        let mut attempts = 0;
        let mut waited = Vec::new();
        loop {
            segments(&mut sender, 0);
            waited.push(sender.deadline / MS);
            if !sender.time_out() {
                break;
            }
            attempts += 1;
        }
        assert_eq!(attempts, 15);
        assert_eq!(waited[8..11], [51_200, 60_000, 60_000]);
    }

    #[test]
    fn it_starts_with_ten_segments_and_doubles_with_each_round_trip() {
        let mut sender = sender();
        sender.write(&[0; 60_000]);
        assert_eq!(segments(&mut sender, 0).len(), 10);
        for segment in 1..=10 {
            sender.acknowledge(MS, segment * MSS, 65_536, true);
        }
        assert_eq!(segments(&mut sender, MS).len(), 20);
    }

    #[test]
    fn the_third_duplicate_acknowledgement_resends_at_once() {
        let mut sender = sender();
        sender.write(&[0; 14_600]);
        assert_eq!(segments(&mut sender, 0).len(), 10);
        for _ in 0..2 {
            sender.acknowledge(MS, 0, 65_536, true);
            assert_eq!(segments(&mut sender, MS), []);
        }
        sender.acknowledge(MS, 0, 65_536, true);
        assert_eq!(segments(&mut sender, MS), [(0, 1460)]);
        // A second hole shows itself by a partial acknowledgement.
        sender.acknowledge(2 * MS, 2 * MSS, 65_536, true);
        assert_eq!(segments(&mut sender, MS), [(2920, 1460)]);
        sender.acknowledge(3 * MS, 14_600, 65_536, true);
        assert_eq!(sender.deadline, u64::MAX);
    }

    #[test]
    fn a_shut_window_is_probed_until_it_opens() {
        let mut sender = Sender::new(StreamSettings::default());
        sender.acknowledge(0, 0, 0, true);
        sender.write(&[0; 3_000]);
        assert_eq!(segments(&mut sender, 0), []);
        assert_eq!(sender.deadline, 200 * MS);
        assert!(sender.time_out());
        assert_eq!(segments(&mut sender, 200 * MS), [(0, 1)]);
        assert_eq!(sender.deadline, 600 * MS);
        sender.acknowledge(201 * MS, 0, 0, true);
        assert!(sender.time_out());
        assert_eq!(segments(&mut sender, 600 * MS), [(0, 1)]);
        sender.acknowledge(601 * MS, 1, 65_536, true);
        assert_eq!(segments(&mut sender, 601 * MS), [(1, 1460), (1461, 1460), (2921, 79)]);
    }

    #[test]
    fn the_application_is_told_what_fits_the_socket() {
        let mut sender = sender();
        sender.write(&[0; 100_000]);
        assert_eq!((sender.take_written(), sender.take_written()), (65_536, 0));
        segments(&mut sender, 0);
        sender.acknowledge(0, 1460, 65_536, true);
        assert_eq!(sender.take_written(), 1460);
    }

    #[test]
    fn the_end_is_sent_with_the_last_bytes_and_acknowledged_as_one_more() {
        let mut sender = sender();
        sender.write(b"bye");
        sender.finish();
        assert_eq!(sender.next_segment(0), Some(Segment { sequence: 0, len: 3, last: true }));
        assert_eq!(sender.next_segment(0), None);
        sender.acknowledge(0, 3, 65_536, true);
        assert!(!sender.is_done());
        assert!(sender.time_out());
        assert_eq!(sender.next_segment(0), Some(Segment { sequence: 3, len: 0, last: true }));
        sender.acknowledge(0, 4, 65_536, true);
        assert!(sender.is_done());
        assert_eq!((sender.next_segment(0), sender.deadline, sender.take_written()), (None, u64::MAX, 3));
    }
}
