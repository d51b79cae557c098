//! One link between its connection and the desk: bytes on one side, packets on the other. It knows neither what a socket
//! is nor who waits for it: a driver lends it both when it has its turn.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use swim_proto::Instant;
use swim_proto::messaging::LinkId;
use swim_zmq::{Event, Link, LinkConfig, SendError};

use super::guests::GuestId;
use super::packets::Standing;
use crate::clock::Clock;

/// Bytes read at once, at most.
pub const READ_MAX: usize = 64 * 1024;
/// How long a closed link may take to write what was put on it, and its peer to answer the end. None is given to a link
/// on which nothing was put, nor to more links at once than [`Office::closes`] has room for.
const LINGER: Duration = Duration::from_secs(1);
/// How long a link may take none of our bytes while some wait. A peer that is gone is found out before, by its silence; this
/// is for one that talks and does not read, behind whose link messages would wait and expire for ever. The system says
/// that there is room again once a good part of what it holds has been read, which on a slow path takes its time.
const UNREAD_MAX: Duration = Duration::from_secs(30);
/// Pieces written at once, at most.
const SLICES: usize = 64;
/// Packets handed over at once, at most.
const BATCH_MAX: usize = 128;
/// Room for so many packets is kept between two reads.
const BATCH_KEPT: usize = 16;

/// A connection. [`io::ErrorKind::WouldBlock`]: not now.
pub trait Wire {
    /// Writes some of these, and says how many bytes.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Reads some bytes; none: the peer has finished.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Nothing more will be written: the peer is to learn of the end once it has read what was.
    fn finish(&mut self) -> io::Result<()>;
}

/// The desk as a link's line reaches it, and where its packets wait.
pub trait Office {
    /// Where a link's packets wait, as the driver knows it.
    type Pipe;

    /// A link of ours is up.
    fn up(&mut self, link: LinkId);

    /// A guest has its handshake behind it. `None`: there is no room for what it is now.
    fn accept(&mut self, from: SocketAddr, guest: GuestId) -> Option<(LinkId, Self::Pipe)>;

    /// Packets came. `false`: the messenger has closed the link.
    fn packets(&mut self, link: LinkId, packets: &mut Vec<Vec<Bytes>>) -> bool;

    /// There is room for packets again.
    fn writable(&mut self, link: LinkId);

    /// Puts packets on the link ([`Packets::drain`](super::Packets::drain)).
    fn drain(&mut self, id: LinkId, pipe: &Self::Pipe, link: &mut Link) -> Result<Standing, SendError>;

    /// Whether no more packets come.
    fn is_closed(&mut self, id: LinkId, pipe: &Self::Pipe) -> bool;

    /// A link that the messenger has closed is about to wait until all is written and its peer has read it. `false`: too
    /// many do already. [`Office::done`] tells of its end in either case.
    fn closes(&mut self) -> bool;

    /// A guest is gone.
    fn goes(&mut self, from: SocketAddr, guest: GuestId);

    /// A link is gone, that was up or was to be; what it moved.
    fn down(&mut self, link: LinkId, was_up: bool, moved: Moved);

    /// A link that the messenger has closed is done; what it moved.
    fn done(&mut self, link: LinkId, moved: Moved);
}

/// Bytes that a link read and wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Read.
    pub bytes_in: u64,
    /// Written.
    pub bytes_out: u64,
}

/// One link's machine, and what it is to the desk.
#[derive(Debug)]
pub struct Line<P> {
    peer: SocketAddr,
    link: Link,
    stage: Stage<P>,
    /// Messages on their way to the desk.
    batch: Vec<Vec<Bytes>>,
    /// Since when the socket has taken nothing of what waits to be written.
    unread_since: Option<Instant>,
    unread_max: Duration,
    is_finished: bool,
    /// Closed, all is written and our side is shut down.
    has_said_all: bool,
    /// Closed, and nothing more comes.
    has_heard_all: bool,
}

#[derive(Debug)]
enum Stage<P> {
    /// We connected, for this.
    Opening(LinkId, P),
    /// Somebody connected.
    Guest(GuestId),
    Up(LinkId, P),
    /// What was put on it is written, and what comes is dropped until the peer finishes, until then at most, though what
    /// the socket takes at once still goes out. To close over unread bytes would reset the connection, and take along what
    /// the peer has not read.
    Closing(LinkId, P, Instant),
    /// The desk has heard of the end, or needs not.
    Ended,
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// It was closed, in order.
    #[error("all is written")]
    Flushed,
    /// Its peer did not read.
    #[error("what was to be written was not taken in time")]
    Unread,
    /// The messenger has no room for it.
    #[error("there is no room for it")]
    Refused,
    /// Its peer has closed it.
    #[error("the peer has closed it")]
    Finished,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer broke the rules, or was silent.
    #[error(transparent)]
    Link(#[from] swim_zmq::LinkError),
    /// A packet could not be put on it.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// What is left to do after a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// There may be more.
    More,
    /// Nothing, before the connection is ready, there are packets, or this time has come.
    Wait(Option<Instant>),
}

impl<P> Line<P> {
    /// Of a connection that we made.
    pub fn ours(clock: &Clock, peer: SocketAddr, (link, pipe): (LinkId, P), config: LinkConfig) -> Line<P> {
        Line::new(clock, peer, Stage::Opening(link, pipe), config)
    }

    /// Of one that somebody made to us.
    pub fn theirs(clock: &Clock, peer: SocketAddr, guest: GuestId, config: LinkConfig) -> Line<P> {
        Line::new(clock, peer, Stage::Guest(guest), config)
    }

    fn new(clock: &Clock, peer: SocketAddr, stage: Stage<P>, config: LinkConfig) -> Line<P> {
        let link = Link::new(clock.now(), config).expect("the limits were checked when the node was started");
        Line {
            peer,
            link,
            stage,
            batch: Vec::new(),
            unread_since: None,
            unread_max: UNREAD_MAX,
            is_finished: false,
            has_said_all: false,
            has_heard_all: false,
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Which link it is, once it is one.
    pub fn id(&self) -> Option<LinkId> {
        match &self.stage {
            Stage::Opening(id, _) | Stage::Up(id, _) | Stage::Closing(id, ..) => Some(*id),
            Stage::Guest(_) | Stage::Ended => None,
        }
    }

    /// Whether packets go to and fro.
    pub fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up(..))
    }

    /// Whether it ended in order: otherwise nothing of its connection is to stay behind in the system.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Moves what can be moved, once each way. `buffer` is where bytes are read to.
    ///
    /// # Errors
    /// It is over, and why: in order too.
    pub fn turn(
        &mut self,
        clock: &Clock,
        wire: &mut impl Wire,
        office: &mut impl Office<Pipe = P>,
        buffer: &mut [u8],
    ) -> Result<Move, End> {
        let turned = self.try_turn(clock, wire, office, buffer);
        if let Err(end) = &turned {
            self.is_finished = matches!(end, End::Flushed | End::Finished | End::Refused);
        }
        turned
    }

    fn try_turn(
        &mut self,
        clock: &Clock,
        wire: &mut impl Wire,
        office: &mut impl Office<Pipe = P>,
        buffer: &mut [u8],
    ) -> Result<Move, End> {
        self.fill(clock, wire, office)?;
        let has_written = self.write(clock, wire)?;
        if let Stage::Closing(.., until) = self.stage
            && until <= clock.now()
        {
            // Whatever else could be moved. What was written just now may have been the last.
            self.fill(clock, wire, office)?;
            return Err(if self.has_said_all { End::Flushed } else { End::Unread });
        }
        let has_read = self.read(clock, wire, buffer)?;
        self.heed(clock, office)?;
        let now = clock.now();
        let unread_until = self.unread_since.map(|since| since + self.unread_max);
        if unread_until.is_some_and(|until| until <= now) {
            return Err(End::Unread);
        }
        if has_written || has_read {
            return Ok(Move::More);
        }
        let deadline = match &self.stage {
            Stage::Closing(.., until) => return Ok(Move::Wait(Some(*until))),
            _ => self.link.deadline(),
        };
        if deadline.is_some_and(|deadline| deadline <= now) {
            self.link.handle_timeout(now);
            self.heed(clock, office)?;
            // What it wants written is written in the next turn.
            return Ok(Move::More);
        }
        Ok(Move::Wait([deadline, unread_until].into_iter().flatten().min()))
    }

    /// Takes what is to be sent.
    fn fill(&mut self, clock: &Clock, wire: &mut impl Wire, office: &mut impl Office<Pipe = P>) -> Result<(), End> {
        let Line { link, stage, has_said_all, .. } = self;
        let (Stage::Opening(id, pipe) | Stage::Up(id, pipe) | Stage::Closing(id, pipe, _)) = &*stage else {
            return Ok(());
        };
        if !link.is_ready() {
            // Closed before it was up: nobody waits for anything.
            return if office.is_closed(*id, pipe) { Err(End::Flushed) } else { Ok(()) };
        }
        let standing = office.drain(*id, pipe, link)?;
        if let Stage::Up(id, _) = stage {
            if standing.has_room_again && !standing.is_closed {
                office.writable(*id);
            } else if standing.is_closed
                && let Stage::Up(id, pipe) = std::mem::replace(stage, Stage::Ended)
            {
                // Who was told nothing, as one that was never believed, has nothing to read.
                let waits = office.closes() && link.stats().messages_out > 0;
                *stage = Stage::Closing(id, pipe, clock.now() + if waits { LINGER } else { Duration::ZERO });
            }
        }
        if standing.is_closed && standing.is_empty && link.pending() == 0 {
            if !matches!(stage, Stage::Closing(..)) || self.has_heard_all {
                return Err(End::Flushed);
            }
            if !std::mem::replace(has_said_all, true) {
                wire.finish()?;
            }
        }
        Ok(())
    }

    fn write(&mut self, clock: &Clock, wire: &mut impl Wire) -> io::Result<bool> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.link.transmit(&mut slices);
        if count == 0 {
            return Ok(false);
        }
        match wire.write(&slices[..count]) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                self.link.transmitted(clock.now(), written);
                self.unread_since = None;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.unread_since.get_or_insert_with(|| clock.now());
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, clock: &Clock, wire: &mut impl Wire, buffer: &mut [u8]) -> Result<bool, End> {
        if let Stage::Closing(..) = self.stage {
            return self.drop_input(wire, buffer);
        }
        if !self.link.wants_input() {
            return Ok(false);
        }
        match wire.read(buffer) {
            Ok(0) => Err(End::Finished),
            Ok(len) => {
                self.link.handle_input(clock.now(), &buffer[..len]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Of a link that is closed, nothing that comes is of interest but its end.
    fn drop_input(&mut self, wire: &mut impl Wire, buffer: &mut [u8]) -> Result<bool, End> {
        if self.has_heard_all {
            return Ok(false);
        }
        match wire.read(buffer) {
            Ok(0) if self.has_said_all => Err(End::Flushed),
            Ok(len) => {
                self.has_heard_all = len == 0;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the desk what the link has to tell.
    fn heed(&mut self, clock: &Clock, office: &mut impl Office<Pipe = P>) -> Result<(), End> {
        // Of a link that ended, too, what came before counts; and it can only have come after it was up.
        let mut end = None;
        while let Some(event) = self.link.poll_event() {
            match event {
                Event::Ready(_) => self.up(office)?,
                Event::Writable => {}
                Event::Closed(error) => end = Some(error),
            }
        }
        self.hand_over(clock, office);
        end.map_or(Ok(()), |error| Err(error.into()))
    }

    fn up(&mut self, office: &mut impl Office<Pipe = P>) -> Result<(), End> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Opening(link, pipe) => {
                office.up(link);
                self.stage = Stage::Up(link, pipe);
            }
            Stage::Guest(guest) => {
                let (link, pipe) = office.accept(self.peer, guest).ok_or(End::Refused)?;
                self.stage = Stage::Up(link, pipe);
            }
            stage => self.stage = stage,
        }
        Ok(())
    }

    fn hand_over(&mut self, clock: &Clock, office: &mut impl Office<Pipe = P>) {
        let Stage::Up(id, _) = self.stage else { return };
        let now = clock.now();
        loop {
            while self.batch.len() < BATCH_MAX
                && let Some(message) = self.link.poll_message(now)
            {
                self.batch.push(message);
            }
            if self.batch.is_empty() || !office.packets(id, &mut self.batch) {
                break;
            }
        }
        self.batch.clear();
        self.batch.shrink_to(BATCH_KEPT);
    }

    /// It is over, however it came to that: the desk hears of it, once.
    pub fn end(&mut self, office: &mut impl Office<Pipe = P>) {
        let stats = self.link.stats();
        let moved = Moved { bytes_in: stats.bytes_in, bytes_out: stats.bytes_out };
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Guest(guest) => office.goes(self.peer, guest),
            Stage::Opening(link, _) => office.down(link, false, moved),
            Stage::Up(link, _) => office.down(link, true, moved),
            Stage::Closing(link, ..) => office.done(link, moved),
            Stage::Ended => {}
        }
    }
}

#[cfg(test)]
mod tests;
