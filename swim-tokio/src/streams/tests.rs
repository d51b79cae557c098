//! Streams over real connections, without a node: what the core would order is ordered here.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::*;
use crate::inputs::INPUTS_MAX;

const SOON: Duration = Duration::from_secs(10);
const ID: StreamId = StreamId(7);

/// A stream of ours, and its peer's socket.
async fn pair() -> (Streams, mpsc::Receiver<Input>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (inputs, received) = mpsc::channel(INPUTS_MAX);
    let mut streams = Streams::new("127.0.0.1:0".parse().unwrap(), SOON, inputs);
    streams.connect(ID, listener.local_addr().unwrap());
    let (peer, _) = listener.accept().await.unwrap();
    (streams, received, peer)
}

async fn next(received: &mut mpsc::Receiver<Input>) -> Moved {
    match timeout(SOON, received.recv()).await.expect("nothing happened to the stream") {
        Some(Input::Stream(ID, moved)) => moved,
        _ => panic!("something happened, but not to the stream"),
    }
}

async fn written(received: &mut mpsc::Receiver<Input>, len: usize) {
    let mut sum = 0;
    while sum < len {
        if let Moved::Written(more) = next(received).await {
            sum += more;
        }
    }
    assert_eq!(sum, len, "each byte is reported once");
}

#[tokio::test]
async fn bytes_go_both_ways_and_both_sides_finish() {
    let (mut streams, mut received, mut peer) = pair().await;
    assert!(matches!(next(&mut received).await, Moved::Connected));
    streams.write(ID, b"hello, ");
    streams.write(ID, b"peer");
    streams.finish(ID);
    written(&mut received, 11).await;
    let mut heard = String::new();
    timeout(SOON, peer.read_to_string(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, "hello, peer");

    peer.write_all(b"hello back").await.unwrap();
    drop(peer);
    let mut said = Vec::new();
    loop {
        match next(&mut received).await {
            Moved::Data(bytes) => said.extend_from_slice(&bytes),
            Moved::Finished => break,
            _ => panic!("neither data nor the end"),
        }
    }
    assert_eq!(said, b"hello back");
    timeout(SOON, async {
        while streams.len() > 0 {
            assert_eq!(streams.reap(), []);
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a stream finished by both sides is forgotten");
}

#[tokio::test]
async fn a_stream_whose_task_panics_has_failed() {
    let (inputs, _received) = mpsc::channel(INPUTS_MAX);
    let mut streams = Streams::new("127.0.0.1:0".parse().unwrap(), SOON, inputs);
    streams.spawn(ID, "127.0.0.1:1".parse().unwrap(), async |_| panic!("as a defect of ours would"));
    let failed = timeout(SOON, async {
        loop {
            match &streams.reap()[..] {
                [] => tokio::task::yield_now().await,
                failed => return failed.to_vec(),
            }
        }
    });
    assert_eq!(failed.await.expect("it is noticed"), [ID]);
    assert_eq!(streams.len(), 0);

    // One that was reset has ended already, as far as the core is concerned.
    streams.spawn(ID, "127.0.0.1:1".parse().unwrap(), async |_| std::future::pending().await);
    streams.reset(ID);
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert_eq!(streams.reap(), []);
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_fails_the_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let (inputs, mut received) = mpsc::channel(INPUTS_MAX);
    let mut streams = Streams::new("127.0.0.1:0".parse().unwrap(), SOON, inputs);
    streams.connect(ID, nobody);
    assert!(matches!(next(&mut received).await, Moved::Unconnected(_)));
}

#[tokio::test]
async fn a_peer_that_is_slow_to_accept_fails_the_stream_in_time() {
    // A listener that does not accept, its backlog filled.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let to = listener.local_addr().unwrap().as_socket().unwrap();
    let (inputs, mut received) = mpsc::channel(INPUTS_MAX);
    let mut streams = Streams::new("127.0.0.1:0".parse().unwrap(), Duration::from_millis(200), inputs);
    for id in 0..16 {
        streams.connect(StreamId(id), to);
    }
    let late = async {
        loop {
            if let Some(Input::Stream(_, Moved::Unconnected(_))) = received.recv().await {
                return;
            }
        }
    };
    timeout(SOON, late).await.expect("opening a stream has a time-out");
}

#[tokio::test]
async fn a_reset_is_felt_by_the_peer_at_once() {
    let (mut streams, mut received, mut peer) = pair().await;
    assert!(matches!(next(&mut received).await, Moved::Connected));
    streams.reset(ID);
    assert_eq!(streams.len(), 0);
    let error = timeout(SOON, peer.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_reset_by_the_peer_fails_the_stream() {
    let (_streams, mut received, peer) = pair().await;
    assert!(matches!(next(&mut received).await, Moved::Connected));
    peer.set_zero_linger().unwrap();
    drop(peer);
    assert!(matches!(next(&mut received).await, Moved::Failed));
}

#[tokio::test]
async fn a_peer_that_floods_is_read_no_faster_than_the_driver_listens() {
    let (_streams, received, mut peer) = pair().await;
    let flood = async {
        let mut sum = 0;
        loop {
            sum += peer.write(&[0; 65_536]).await.unwrap();
            if sum > 256 << 20 {
                return;
            }
        }
    };
    // The system's buffers and the queue take what they take; then the peer waits.
    assert!(timeout(Duration::from_millis(500), flood).await.is_err(), "the flood was swallowed");
    let mut held = 0;
    let mut received = received;
    while let Ok(input) = received.try_recv() {
        if let Input::Stream(_, Moved::Data(bytes)) = input {
            assert!(bytes.len() <= READ_MAX);
            held += bytes.len();
        }
    }
    assert!(held <= INPUTS_MAX * READ_MAX, "{held} bytes were held");
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_up_nobody_else() {
    let (mut streams, mut received, _peer) = pair().await;
    assert!(matches!(next(&mut received).await, Moved::Connected));
    let block = vec![0; swim_proto::STREAM_CREDIT];
    let mut credit = swim_proto::STREAM_CREDIT;
    // As the core would: no more than the credit, until the peer's buffers are full and none comes back.
    loop {
        streams.write(ID, &block[..credit]);
        credit = match timeout(Duration::from_millis(300), next(&mut received)).await {
            Ok(Moved::Written(len)) => len,
            Ok(_) => panic!("neither written nor waiting"),
            Err(_) => break,
        };
    }
    // Meanwhile another stream works.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    streams.connect(StreamId(8), listener.local_addr().unwrap());
    streams.write(StreamId(8), b"x");
    let (mut other, _) = listener.accept().await.unwrap();
    assert_eq!(timeout(SOON, other.read_u8()).await.unwrap().unwrap(), b'x');
    // And the slow one is gone as soon as it is reset.
    streams.reset(ID);
    timeout(SOON, streams.abort()).await.unwrap();
}

#[tokio::test]
async fn flushing_writes_what_was_written_and_ends() {
    let (mut streams, _received, mut peer) = pair().await;
    let all = vec![7; swim_proto::STREAM_CREDIT];
    streams.write(ID, &all);
    let reader = tokio::spawn(async move {
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.map(|_| heard)
    });
    drop(_received);
    streams.flush(SOON).await;
    assert_eq!(reader.await.unwrap().unwrap(), all);
}

#[tokio::test]
async fn flushing_does_not_wait_for_ever() {
    let (mut streams, _received, peer) = pair().await;
    streams.write(ID, &[7]);
    timeout(SOON, streams.flush(Duration::from_millis(100))).await.unwrap();
    streams.abort().await;
    drop(peer);
    sleep(Duration::ZERO).await;
}
