//! How a node is to be run, and the two ways to start it.

use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::Arc;

use mio::{Poll, Registry, Waker};
use swim_driver::messaging::Backend;
use swim_driver::sockets::bind_tcp;
use swim_driver::{Built, StartError};
use swim_proto::NodeId;

use crate::handle::Handle;
use crate::node::Node;
use crate::thread;

swim_driver::options! {
    /// How a node is to be run. Begin with [`Options::new`]; end with [`Options::start`], for a thread of its own, or with
    /// [`Options::bind`], for a loop of yours.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), swim_mio::StartError> {
    /// let node = swim_mio::Options::new("0.0.0.0:7946".parse().unwrap())
    ///     .with_advertise("192.0.2.17:7946".parse().unwrap())
    ///     .with_name("web-17")
    ///     .with_seeds(["seed-a.example:7946", "seed-b.example:7946"])
    ///     .start()?;
    /// # Ok(())
    /// # }
    /// ```
}

impl Options {
    /// Binds the sockets and starts the node, on a thread with a [`Poll`] of its own. With seeds, it is joining when this
    /// returns; [`Handle::joined`] waits for its success.
    ///
    /// # Errors
    /// Nothing runs and nothing is bound.
    pub fn start(self) -> Result<Handle, StartError> {
        let bound = self.bind()?;
        let poll = Poll::new().map_err(StartError::System)?;
        let waker = Arc::new(Waker::new(poll.registry(), thread::WAKER).map_err(StartError::System)?);
        let wake = move || drop(waker.wake());
        let mut node = bound.register(poll.registry(), thread::TOKENS, wake)?;
        let handle = node.handle();
        node.end_with_handles();
        thread::spawn(node, poll).map_err(StartError::System)?;
        Ok(handle)
    }

    /// Binds the sockets, and no more: [`Bound::register`] makes a node of them that is part of your own loop.
    ///
    /// # Errors
    /// Nothing is bound.
    pub fn bind(self) -> Result<Bound, StartError> {
        let prepared = swim_driver::Options::from(self).prepare()?;
        let links = match prepared.router()? {
            None => None,
            Some((Backend::Links, address)) => {
                let listener = bind_tcp(address);
                Some(listener.map_err(|source| StartError::BindMessaging { address, source })?)
            }
            Some((backend, _)) => return Err(StartError::Backend { backend }),
        };
        let at = links.as_ref().and_then(|links| links.local_addr().ok());
        Ok(Bound { built: prepared.build(at)?, links })
    }
}

/// A node with its sockets, which nobody listens to yet.
#[derive(Debug)]
pub struct Bound {
    built: Built,
    /// Where links for messages are accepted, if they are.
    links: Option<TcpListener>,
}

impl Bound {
    /// The address under which others will reach this node.
    pub fn address(&self) -> SocketAddr {
        self.built.identity.address
    }

    /// The local member's id.
    pub fn id(&self) -> NodeId {
        self.built.identity.id
    }

    /// How many tokens [`Bound::register`] needs: with more, it takes longer until one is used again.
    pub fn tokens_min(&self) -> usize {
        Node::tokens_min(&self.built)
    }

    /// Makes the node part of the loop that `registry` belongs to. It registers its sockets there, and those that it will
    /// open and accept, with tokens of this range alone, which nobody else there may use: `1 << 20 .. usize::MAX`, say.
    ///
    /// `wake` is called by other threads when there is something for [`Node::handle_timeout`] to do: an answer of a name
    /// server, a request of a [`Handle`]. Mostly it is `move || drop(waker.wake())` with your loop's [`Waker`].
    ///
    /// With seeds, the node joins at once.
    ///
    /// # Errors
    /// [`StartError::System`]: the range is smaller than [`Bound::tokens_min`], or the system refuses.
    pub fn register(
        self,
        registry: &Registry,
        tokens: Range<usize>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Node, StartError> {
        Node::new((self.built, self.links), registry, tokens, Arc::new(wake))
    }
}
