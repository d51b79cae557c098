//! Connections of others that have not finished ZeroMQ's handshake: so far they have cost them nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use tokio::task::AbortHandle;

/// Names a guest; greater is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GuestId(u64);

/// All of them, by host. A host that opens many pushes out its own.
#[derive(Debug, Default)]
pub(super) struct Guests {
    by_host: BTreeMap<IpAddr, BTreeMap<GuestId, Option<AbortHandle>>>,
    named: u64,
    len: usize,
}

impl Guests {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// One more from there. If that makes more than `max`, the oldest of the host that has the most is given up: its task
    /// is to be ended.
    pub(super) fn admit(&mut self, host: IpAddr, max: usize) -> (GuestId, Option<AbortHandle>) {
        let pushed_out = if self.len >= max.max(1) { self.push_out() } else { None };
        self.named += 1;
        let id = GuestId(self.named);
        self.by_host.entry(host).or_default().insert(id, None);
        self.len += 1;
        (id, pushed_out)
    }

    /// The task that serves it.
    pub(super) fn served_by(&mut self, host: IpAddr, id: GuestId, task: AbortHandle) {
        if let Some(guest) = self.by_host.get_mut(&host).and_then(|guests| guests.get_mut(&id)) {
            *guest = Some(task);
        }
    }

    /// It is one no more. `false`: it was pushed out before.
    pub(super) fn remove(&mut self, host: IpAddr, id: GuestId) -> bool {
        let Some(guests) = self.by_host.get_mut(&host) else { return false };
        let is_removed = guests.remove(&id).is_some();
        self.len -= usize::from(is_removed);
        if guests.is_empty() {
            self.by_host.remove(&host);
        }
        is_removed
    }

    fn push_out(&mut self) -> Option<AbortHandle> {
        let (&host, guests) = self.by_host.iter().max_by_key(|(_, guests)| guests.len())?;
        let (&id, task) = guests.first_key_value()?;
        let task = task.clone();
        self.remove(host, id);
        task
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_that_opens_many_pushes_out_its_own() {
        let (quiet, loud) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut guests = Guests::default();
        let task = || tokio::spawn(std::future::pending::<()>()).abort_handle();
        let (first, _) = guests.admit(quiet, 4);
        guests.served_by(quiet, first, task());
        let mut pushed_out = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..10 {
            let (id, out) = guests.admit(loud, 4);
            guests.served_by(loud, id, task());
            ids.push(id);
            pushed_out.extend(out);
        }
        assert_eq!((guests.len(), pushed_out.len()), (4, 7));
        assert!(!guests.remove(loud, ids[6]) && guests.remove(loud, ids[7]));
        assert!(guests.remove(quiet, first));
        assert_eq!(guests.len(), 2);
    }
}
