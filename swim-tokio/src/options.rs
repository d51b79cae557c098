//! How a node is to be run, and its start.

#[cfg(feature = "zeromq")]
use swim_driver::messaging::Backend;
use swim_driver::{Limits, StartError};
use tokio::net::{TcpListener, UdpSocket};
use tracing::Instrument;

use crate::driver::{Driver, Messages};
use crate::handle::Handle;
use crate::messaging::Listening;

swim_driver::options! {
    /// How a node is to be run. Begin with [`Options::new`], end with [`Options::start`].
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), swim_tokio::StartError> {
    /// let node = swim_tokio::Options::new("0.0.0.0:7946".parse().unwrap())
    ///     .with_advertise("192.0.2.17:7946".parse().unwrap())
    ///     .with_name("web-17")
    ///     .with_seeds(["seed-a.example:7946", "seed-b.example:7946"])
    ///     .start()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
}

impl Options {
    /// Binds the sockets and starts the node, on a task of the runtime this is called in. With seeds, it is joining
    /// when this returns; [`Handle::joined`] waits for its success.
    ///
    /// # Errors
    /// Something about the options, or the system gives no socket: nothing runs and nothing is bound.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled.
    pub async fn start(self) -> Result<Handle, StartError> {
        let prepared = swim_driver::Options::from(self).prepare()?;
        let bind = prepared.bind();
        let listening = match prepared.router()? {
            Some((backend, address)) => {
                #[cfg(feature = "zeromq")]
                if backend == Backend::ZeromqCrate
                    && tokio::runtime::Handle::current().runtime_flavor() != tokio::runtime::RuntimeFlavor::MultiThread
                {
                    return Err(StartError::Runtime);
                }
                let listening = Listening::at(backend, address).await;
                Some(listening.map_err(|source| StartError::BindMessaging { address, source })?)
            }
            None => None,
        };
        let built = prepared.build(listening.as_ref().and_then(|listening| listening.address().ok()))?;

        let bound = |source| StartError::Bind { address: bind, source };
        let udp = built.sockets.udp.map(UdpSocket::from_std).transpose().map_err(bound)?;
        let tcp = TcpListener::from_std(built.sockets.tcp).map_err(bound)?;
        // Until the system has said so once, the runtime takes the socket for one that cannot send.
        if let Some(udp) = &udp {
            udp.writable().await.map_err(bound)?;
        }
        let messages = built
            .messages
            .zip(listening)
            .map(|((messenger, options), listening)| Messages::new(messenger, built.clock, listening, options));
        let (seeds, limits): (_, Limits) = (built.seeds, built.limits);
        let span = tracing::debug_span!("node", name = built.identity.name);
        let (driver, ends) = span.in_scope(|| {
            let node = (built.node, built.clock);
            let (mut driver, ends) = Driver::new(node, (udp, tcp, built.sockets.bound), &limits, messages);
            if !seeds.is_empty() {
                driver.join(seeds)?;
            }
            Ok::<_, StartError>((driver, ends))
        })?;
        tokio::spawn(driver.run().instrument(span));
        Ok(Handle::new(built.identity, ends))
    }
}
