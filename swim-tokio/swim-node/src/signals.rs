//! The signals an agent heeds: Ctrl-C (SIGINT) and SIGTERM ask it to go, SIGHUP to read its file again, SIGUSR1 to log
//! how it is.

use std::io;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// To go; the signal's number.
    Stop(u8),
    /// To read the configuration again.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no such signal here"))]
    Reload,
    /// To log a summary.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no such signal here"))]
    Summary,
}

/// Waits for signals, as often as they come.
#[cfg(unix)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    user: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// From now on the signals no longer end the process by themselves.
    pub(crate) fn listen() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next one. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop(2),
            _ = self.terminate.recv() => Signal::Stop(15),
            _ = self.hang_up.recv() => Signal::Reload,
            _ = self.user.recv() => Signal::Summary,
        }
    }

    /// The next one that asks to go; the others are passed over. Safe to cancel.
    pub(crate) async fn stop(&mut self) -> u8 {
        loop {
            if let Signal::Stop(number) = self.next().await {
                return number;
            }
        }
    }
}

/// Waits for Ctrl-C, as often as it comes.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Nothing to prepare here.
    pub(crate) fn listen() -> io::Result<Signals> {
        Ok(Signals)
    }

    /// The next one, as SIGINT's number. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Signal {
        Signal::Stop(self.stop().await)
    }

    /// The next one's number, as if it were SIGINT. Safe to cancel.
    pub(crate) async fn stop(&mut self) -> u8 {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 2,
            Err(_) => std::future::pending().await,
        }
    }
}
