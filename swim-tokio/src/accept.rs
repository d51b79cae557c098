//! Accepts connections for as long as the driver listens, and waits a little when the system has no room.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::inputs::{Input, Inputs};

/// How long to wait after an error that the next attempt would only meet again (too many open files).
pub(crate) const BACK_OFF: Duration = Duration::from_millis(100);

pub(crate) async fn accept(listener: TcpListener, inputs: Inputs) {
    loop {
        let accepted = listener.accept().await;
        let wait = accepted.as_ref().err().is_some_and(|error| !is_about_one_connection(error));
        if inputs.send(Input::Accepted(accepted)).await.is_err() {
            return;
        }
        if wait {
            tokio::time::sleep(BACK_OFF).await;
        }
    }
}

pub(crate) fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
