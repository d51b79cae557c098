//! The connections of links, served in turns as readiness, packets and time allow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use swim_driver::Clock;
use swim_driver::messaging::{
    Desk, End, GuestId, Line, Mail as _, MessagingOptions, Move, Moved, Office, Standing, dealer_config, link_config,
};
use swim_driver::runner::MOVES_PER_TURN;
use swim_driver::sockets::{self, Reach};
use swim_proto::Instant;
use swim_proto::messaging::LinkId;
use swim_zmq::{Link, LinkConfig, SendError};
use tracing::{debug, trace};

use super::entry::{Entry, Stage};
use super::mail::Mail;
use crate::acceptor::Acceptor;
use crate::tokens::Slots;

/// Connections accepted in one turn, at most.
const ACCEPTS_PER_TURN: usize = 16;

/// All links of a node.
#[derive(Debug)]
pub(super) struct Links {
    registry: Registry,
    acceptor: Acceptor,
    token: Token,
    slots: Slots<Entry>,
    by_id: BTreeMap<LinkId, Token>,
    /// Those with something to do, each once; some may have ended meanwhile.
    ready: VecDeque<Token>,
    /// Those to be served at some time, though nothing happens.
    alarms: BTreeSet<(Instant, Token)>,
    bound: SocketAddr,
    /// From where links leave, if that may be chosen.
    home: Option<IpAddr>,
    config: LinkConfig,
    connect_timeout: Duration,
    handshakes_max: usize,
    clock: Clock,
}

impl Links {
    pub(super) fn new(
        (listener, bound, home): (TcpListener, SocketAddr, Option<IpAddr>),
        registry: &Registry,
        (token, tokens): (Token, Range<usize>),
        (options, identity): (&MessagingOptions, &str),
        clock: Clock,
    ) -> io::Result<Links> {
        Ok(Links {
            acceptor: Acceptor::new(listener, registry, token)?,
            registry: registry.try_clone()?,
            token,
            slots: Slots::new(tokens, super::width(options))?,
            by_id: BTreeMap::new(),
            ready: VecDeque::new(),
            alarms: BTreeSet::new(),
            bound,
            home,
            config: link_config(&options.config, identity),
            connect_timeout: options.config.link_timeout,
            handshakes_max: options.handshakes_max,
            clock,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn are_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let alarm = self.alarms.first().map(|(at, _)| *at);
        [alarm, self.acceptor.deadline()].into_iter().flatten().min()
    }

    /// The system says that a socket is ready. `false`: none of these.
    pub(super) fn handle_event(&mut self, event: &Event) -> bool {
        let token = event.token();
        if token == self.token {
            self.acceptor.may_have_guests();
        } else if self.slots.owns(token) {
            let is_readable = event.is_readable() || event.is_read_closed() || event.is_error();
            let is_writable = event.is_writable() || event.is_write_closed() || event.is_error();
            if let Some(entry) = self.slots.get_mut(token) {
                entry.wired.mark(is_readable, is_writable);
                self.wake(token);
            }
        } else {
            return false;
        }
        true
    }

    /// Does what the desk has asked for: opens links, and wakes those that have packets to write.
    pub(super) fn heed(&mut self, desk: &mut Desk<Mail>) {
        // To open one may fail, which may make the machine ask for more.
        while let Some((link, to)) = desk.mail.opens.pop() {
            desk.count(|counts| counts.connects += 1);
            if let Err(error) = self.open(link, to) {
                debug!(%to, %error, "cannot open a link");
                AtDesk { desk, clock: self.clock }.down(link, false, Moved::default());
            }
        }
        while let Some(link) = desk.mail.touched.pop() {
            match self.by_id.get(&link) {
                Some(token) => self.wake(*token),
                // Nobody writes for it any more.
                None => desk.mail.is_done(link),
            }
        }
    }

    fn open(&mut self, link: LinkId, to: SocketAddr) -> io::Result<()> {
        let socket = TcpStream::from_std(sockets::connect_link(self.bound, self.home, to)?);
        let until = self.clock.now() + self.connect_timeout;
        let token = self.insert(Entry::connecting(link, to, socket, until))?;
        self.by_id.insert(link, token);
        self.alarms.insert((until, token));
        Ok(())
    }

    fn insert(&mut self, mut entry: Entry) -> io::Result<Token> {
        let none_free = || io::Error::other("all tokens for links are taken");
        let token = self.slots.next().ok_or_else(none_free)?;
        self.registry.register(&mut entry.wired.socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.slots.insert(entry).ok_or_else(none_free)
    }

    /// Takes in those who connected.
    pub(super) fn accept(&mut self, desk: &mut Desk<Mail>) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.acceptor.accept(self.clock.now()) {
                None => return,
                Some(Ok((socket, from))) => self.admit(desk, socket, Reach::inward(from)),
                Some(Err(error)) => desk.accept_failed(&error),
            }
        }
    }

    fn admit(&mut self, desk: &mut Desk<Mail>, socket: TcpStream, from: SocketAddr) {
        let (guest, pushed_out) = desk.admit(from.ip(), self.handshakes_max);
        if let Some(token) = pushed_out {
            self.end(desk, token);
        }
        let line = Line::theirs(&self.clock, from, guest, self.config.clone());
        match self.insert(Entry::accepted(line, socket)) {
            Ok(token) => {
                desk.served_by(from.ip(), guest, token);
                self.wake(token);
            }
            Err(error) => {
                debug!(%from, %error, "no room for a connection");
                desk.goes(from, guest);
            }
        }
    }

    fn wake(&mut self, token: Token) {
        if let Some(entry) = self.slots.get_mut(token).filter(|entry| !entry.is_listed) {
            entry.is_listed = true;
            self.ready.push_back(token);
        }
    }

    /// Serves those that are ready, or due, each at least once if the time until `until` lasts: else who was left out is
    /// first the next time. One is always served.
    pub(super) fn serve(&mut self, desk: &mut Desk<Mail>, until: Instant, buffer: &mut [u8]) {
        let now = self.clock.now();
        while let Some(&(at, token)) = self.alarms.first().filter(|(at, _)| *at <= now) {
            self.alarms.remove(&(at, token));
            if let Some(entry) = self.slots.get_mut(token) {
                entry.alarm = None;
            }
            self.wake(token);
        }
        let budget = self.ready.len().max(MOVES_PER_TURN);
        for _ in 0..budget {
            let Some(token) = self.ready.pop_front() else { return };
            self.serve_one(desk, token, buffer);
            self.heed(desk);
            if self.clock.now() >= until {
                return;
            }
        }
    }

    fn serve_one(&mut self, desk: &mut Desk<Mail>, token: Token, buffer: &mut [u8]) {
        let Some(entry) = self.slots.get_mut(token) else { return };
        entry.is_listed = false;
        if let Stage::Connecting(link, to) = entry.stage {
            match entry.wired.is_connected() {
                // Nobody wants it any more.
                Ok(_) if desk.mail.is_closed(link) => return self.end(desk, token),
                Ok(true) => {
                    let config = dealer_config(&self.config, link);
                    entry.stage = Stage::Line(Box::new(Line::ours(&self.clock, to, (link, ()), config)));
                }
                Ok(false) if entry.alarm.is_some() => return,
                Ok(false) => return self.fail(desk, token, to, &io::ErrorKind::TimedOut.into()),
                Err(error) => return self.fail(desk, token, to, &error),
            }
        }
        let Entry { stage: Stage::Line(line), wired, .. } = entry else { return };
        let mut office = AtDesk { desk, clock: self.clock };
        match line.turn(&self.clock, wired, &mut office, buffer) {
            Ok(moved) => {
                if let Some(link) = line.id() {
                    self.by_id.insert(link, token);
                }
                match moved {
                    // Others want their turn too.
                    Move::More => self.wake(token),
                    Move::Wait(deadline) => self.set_alarm(token, deadline),
                }
            }
            Err(end) => {
                let peer = line.peer();
                match &end {
                    End::Flushed => trace!(%peer, "a link is closed"),
                    end if line.is_up() => debug!(%peer, %end, "a link broke"),
                    end => debug!(%peer, %end, "a link did not come about"),
                }
                self.end(desk, token);
            }
        }
    }

    /// An alarm that rings too early costs less than one that is set anew with each packet.
    fn set_alarm(&mut self, token: Token, deadline: Option<Instant>) {
        let (Some(entry), Some(deadline)) = (self.slots.get_mut(token), deadline) else { return };
        if entry.alarm.is_none_or(|alarm| deadline < alarm) {
            if let Some(alarm) = entry.alarm.replace(deadline) {
                self.alarms.remove(&(alarm, token));
            }
            self.alarms.insert((deadline, token));
        }
    }

    fn fail(&mut self, desk: &mut Desk<Mail>, token: Token, to: SocketAddr, error: &io::Error) {
        debug!(%to, %error, "cannot open a link");
        self.end(desk, token);
    }

    /// Forgets a connection, however it came to its end; the desk hears of it.
    fn end(&mut self, desk: &mut Desk<Mail>, token: Token) {
        let Some(mut entry) = self.slots.remove(token) else { return };
        if let Some(alarm) = entry.alarm {
            self.alarms.remove(&(alarm, token));
        }
        if let Some(link) = entry.id() {
            self.by_id.remove(&link);
        }
        // It goes with the socket, wherever this fails.
        let _ = self.registry.deregister(&mut entry.wired.socket);
        entry.let_go();
        match &mut entry.stage {
            Stage::Connecting(link, _) => AtDesk { desk, clock: self.clock }.down(*link, false, Moved::default()),
            Stage::Line(line) => line.end(&mut AtDesk { desk, clock: self.clock }),
        }
    }

    /// No more connections are taken in, and those that are no links yet go.
    pub(super) fn refuse_guests(&mut self, desk: &mut Desk<Mail>) {
        self.acceptor.close();
        for token in self.slots.tokens() {
            if self.slots.get(token).is_some_and(|entry| entry.id().is_none()) {
                self.end(desk, token);
            }
        }
    }

    /// Cuts all that are left.
    pub(super) fn abort(&mut self, desk: &mut Desk<Mail>) {
        for token in self.slots.tokens() {
            self.end(desk, token);
        }
    }
}

/// The desk, for the line that has its turn: the machine acts upon each thing that it is told.
struct AtDesk<'a> {
    desk: &'a mut Desk<Mail>,
    clock: Clock,
}

impl AtDesk<'_> {
    fn work<T>(&mut self, work: impl FnOnce(&mut Desk<Mail>, Instant) -> T) -> T {
        let now = self.clock.now();
        let done = work(self.desk, now);
        if self.desk.act(now) {
            self.desk.mail.signals.readable.happens();
        }
        done
    }
}

impl Office for AtDesk<'_> {
    type Pipe = ();

    fn up(&mut self, link: LinkId) {
        self.work(|desk, now| desk.up(now, link));
    }

    fn accept(&mut self, from: SocketAddr, guest: GuestId) -> Option<(LinkId, ())> {
        self.work(|desk, now| desk.accept(now, from, guest)).map(|link| (link, ()))
    }

    fn packets(&mut self, link: LinkId, packets: &mut Vec<Vec<Bytes>>) -> bool {
        self.work(|desk, now| desk.packets(now, link, packets));
        self.desk.mail.knows(link)
    }

    fn writable(&mut self, link: LinkId) {
        self.work(|desk, now| desk.writable(now, link));
    }

    fn drain(&mut self, id: LinkId, (): &(), link: &mut Link) -> Result<Standing, SendError> {
        match self.desk.mail.pipes.get_mut(&id) {
            Some(packets) => packets.drain(link),
            None => Ok(Standing { has_room_again: false, is_closed: true, is_empty: true }),
        }
    }

    fn is_closed(&mut self, id: LinkId, (): &()) -> bool {
        self.desk.mail.is_closed(id)
    }

    fn closes(&mut self) -> bool {
        self.desk.closes()
    }

    fn goes(&mut self, from: SocketAddr, guest: GuestId) {
        self.desk.goes(from, guest);
    }

    fn down(&mut self, link: LinkId, was_up: bool, moved: Moved) {
        self.work(|desk, now| desk.down(now, link, was_up, moved));
    }

    fn done(&mut self, link: LinkId, moved: Moved) {
        self.desk.mail.is_done(link);
        self.desk.done(moved);
    }
}

#[cfg(test)]
mod tests;
