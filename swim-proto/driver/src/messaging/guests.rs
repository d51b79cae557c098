//! Connections of others that have not finished ZeroMQ's handshake: so far they have cost them nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Names a guest; greater is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestId(u64);

/// All of them, by host. A host that opens many pushes out its own.
#[derive(Debug)]
pub struct Guests<G> {
    by_host: BTreeMap<IpAddr, BTreeMap<GuestId, Option<G>>>,
    named: u64,
    len: usize,
}

impl<G> Default for Guests<G> {
    fn default() -> Guests<G> {
        Guests { by_host: BTreeMap::new(), named: 0, len: 0 }
    }
}

impl<G> Guests<G> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One more from there. If that makes more than `max`, the oldest of the host that has the most is given up: whoever
    /// serves it is to end.
    pub fn admit(&mut self, host: IpAddr, max: usize) -> (GuestId, Option<G>) {
        let pushed_out = if self.len >= max.max(1) { self.push_out() } else { None };
        self.named += 1;
        let id = GuestId(self.named);
        self.by_host.entry(host).or_default().insert(id, None);
        self.len += 1;
        (id, pushed_out)
    }

    /// Who serves it.
    pub fn served_by(&mut self, host: IpAddr, id: GuestId, server: G) {
        if let Some(guest) = self.by_host.get_mut(&host).and_then(|guests| guests.get_mut(&id)) {
            *guest = Some(server);
        }
    }

    /// It is one no more. `false`: it was pushed out before.
    pub fn remove(&mut self, host: IpAddr, id: GuestId) -> bool {
        let Some(guests) = self.by_host.get_mut(&host) else { return false };
        let is_removed = guests.remove(&id).is_some();
        self.len -= usize::from(is_removed);
        if guests.is_empty() {
            self.by_host.remove(&host);
        }
        is_removed
    }

    fn push_out(&mut self) -> Option<G> {
        // Of hosts that have as many, whose oldest is the oldest: no address is better than another.
        let (&host, guests) = self
            .by_host
            .iter_mut()
            .max_by_key(|(_, guests)| (guests.len(), guests.first_key_value().map(|(&oldest, _)| Reverse(oldest))))?;
        let (&id, _) = guests.first_key_value()?;
        let server = guests.get_mut(&id)?.take();
        self.remove(host, id);
        server
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_opens_many_pushes_out_its_own() {
        let (quiet, loud) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut guests = Guests::default();
        let (first, _) = guests.admit(quiet, 4);
        guests.served_by(quiet, first, 'x');
        let mut pushed_out = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..10 {
            let (id, out) = guests.admit(loud, 4);
            guests.served_by(loud, id, 'x');
            ids.push(id);
            pushed_out.extend(out);
        }
        assert_eq!((guests.len(), pushed_out.len()), (4, 7));
        assert!(!guests.remove(loud, ids[6]) && guests.remove(loud, ids[7]));
        assert!(guests.remove(quiet, first));
        assert_eq!(guests.len(), 2);
    }

    #[test]
    fn of_hosts_that_have_as_many_the_oldest_guest_goes() {
        let mut guests = Guests::default();
        // The last byte of the address, in no order that could be mistaken for the guests'.
        for host in [3, 9, 1, 5] {
            let host = IpAddr::from([10, 0, 0, host]);
            let (id, _) = guests.admit(host, 4);
            guests.served_by(host, id, host);
        }
        let pushed_out = [7, 2, 8, 4].map(|host| {
            let host = IpAddr::from([10, 0, 0, host]);
            let (id, pushed_out) = guests.admit(host, 4);
            guests.served_by(host, id, host);
            pushed_out
        });
        assert_eq!(pushed_out, [3, 9, 1, 5].map(|host| Some(IpAddr::from([10, 0, 0, host]))));
        assert_eq!(guests.len(), 4);
    }
}
