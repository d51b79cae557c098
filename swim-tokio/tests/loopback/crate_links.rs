//! The opt-in backend: links by the zeromq crate, among themselves and with the others.

use swim_tokio::{Backend, Ending, Handle, MessagingConfig, MessagingOptions, SendOptions, StartError, Trust};

use crate::cluster::{all_alive, options, soon};
use crate::messages::{next, number, send_numbered};

/// The crate connects from whatever address the system chooses, which here is not the node's own.
fn by_links() -> MessagingOptions {
    MessagingOptions::default().with_config(MessagingConfig { trust: Trust::Anywhere, ..MessagingConfig::default() })
}

fn by_the_crate() -> MessagingOptions {
    let mut messaging = by_links();
    messaging.backend = Backend::ZeromqCrate;
    messaging
}

/// Two nodes, each on one of these.
async fn pair(left: MessagingOptions, right: MessagingOptions) -> [Handle; 2] {
    let left = options("left").with_messaging(left).start().await.unwrap();
    let right = options("right").with_messaging(right).with_seeds([left.address().to_string()]);
    let nodes = [left, right.start().await.unwrap()];
    for node in &nodes {
        all_alive(node, 2).await;
    }
    nodes
}

/// A thousand messages each way, in order, and processed.
async fn exchange([left, right]: &[Handle; 2]) {
    for (from, to) in [(left, right), (right, left)] {
        let mut incoming = to.incoming();
        let reader = tokio::spawn(async move {
            for expected in 0..1000 {
                assert_eq!(number(&next(&mut incoming).await), expected);
            }
        });
        for sent in send_numbered(from, to, 1000).await {
            assert_eq!(soon("an outcome", sent).await.ending, Ending::Processed);
        }
        reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_on_the_crate_exchange_messages() {
    let nodes = pair(by_the_crate(), by_the_crate()).await;
    exchange(&nodes).await;
    for node in &nodes {
        soon("the shutdown", node.shutdown()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_on_the_crate_and_one_on_links_exchange_messages() {
    exchange(&pair(by_the_crate(), by_links()).await).await;
    exchange(&pair(by_links(), by_the_crate()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_made_anew_after_its_receiver_was_started_anew() {
    let [left, right] = pair(by_the_crate(), by_the_crate()).await;
    let how = SendOptions::default().until_processed();
    let mut incoming = right.incoming();
    let sent = left.send(right.id(), "before", how).await.unwrap();
    next(&mut incoming).await;
    assert_eq!(soon("an outcome", sent).await.ending, Ending::Processed);
    soon("the shutdown", right.shutdown()).await;

    let again = options("right").with_messaging(by_the_crate()).with_seeds([left.address().to_string()]);
    let again = again.start().await.unwrap();
    all_alive(&left, 2).await;
    let sent = left.send(again.id(), "after", how).await.unwrap();
    let mut incoming = again.incoming();
    assert_eq!(&next(&mut incoming).await.payload[..], b"after");
    assert_eq!(soon("an outcome", sent).await.ending, Ending::Processed);
}

#[tokio::test]
async fn a_runtime_of_one_thread_is_refused() {
    let error = options("node").with_messaging(by_the_crate()).start().await.unwrap_err();
    assert!(matches!(error, StartError::Runtime), "{error}");
}
