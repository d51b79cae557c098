//! Why the `zeromq` crate is not what listens by default: whoever can connect to it ends the process.
//!
//! A greeting and one frame header are enough; there need be no READY. It reserves what the header declares, the
//! allocation fails, and a failed allocation aborts. When this test fails, that has been mended, and the decision page
//! on the default link can be looked at again.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use zeromq::{RouterSocket, Socket as _, SocketRecv as _};

const CHILD: &str = "SWIM_ZMQ_VICTIM";

/// Not a test of anything: what the other one starts in a process of its own.
#[test]
fn victim() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be had");
    runtime.block_on(async {
        let mut router = RouterSocket::new();
        let bound = router.bind("tcp://127.0.0.1:0").await.expect("loopback has ports");
        println!("\nlistens at {bound}");
        loop {
            let _ = router.recv().await;
        }
    });
}

#[test]
fn one_frame_header_ends_a_process_that_listens_with_the_zeromq_crate() {
    let mut command = Command::new(std::env::current_exe().expect("a test knows its own path"));
    command.args(["--exact", "victim", "--nocapture"]).env(CHILD, "1");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let address = lines
        .find_map(|line| line.expect("it prints text").strip_prefix("listens at tcp://").map(str::to_owned))
        .expect("it says where it listens");

    let mut stream = TcpStream::connect(address).expect("it listens");
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0];
    bytes.extend(b"NULL");
    bytes.resize(64, 0);
    // A long frame of 2^47 bytes: more than a process can address, so that no setting of the system makes it succeed.
    // Where memory is not overcommitted without limit, 2^40 does the same.
    bytes.push(0x02);
    bytes.extend((1u64 << 47).to_be_bytes());
    stream.write_all(&bytes).expect("it is connected");

    let begun = std::time::Instant::now();
    let status = loop {
        match child.try_wait().expect("it can be waited for") {
            Some(status) => break Some(status),
            None if begun.elapsed() > Duration::from_secs(30) => break None,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let _ = child.kill();
    let mut said = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("it prints text");
    let status = status.expect("it lives on: the zeromq crate no longer dies of a frame header");
    assert!(!status.success(), "{status}");
    assert!(said.contains("memory allocation of"), "{status}: {said}");
}
