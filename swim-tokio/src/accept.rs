//! Accepts connections for as long as the driver listens, and waits a little when the system has no room.

use swim_driver::sockets::{ACCEPT_PAUSE, is_about_one_connection};
use tokio::net::TcpListener;

use crate::inputs::{Input, Inputs};

pub(crate) async fn accept(listener: TcpListener, inputs: Inputs) {
    loop {
        let accepted = listener.accept().await;
        let wait = accepted.as_ref().err().is_some_and(|error| !is_about_one_connection(error));
        if inputs.send(Input::Accepted(accepted)).await.is_err() {
            return;
        }
        if wait {
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}
