//! One suite, two drivers: whatever `swim-tokio` does, `swim-mio` does, and nodes of both kinds form one cluster.
//!
//! Each test runs three times: with all nodes on tokio, with all on mio, and with every other one on each. On real
//! sockets: loopback, ports chosen by the system, conditions waited for and never slept for. `docs/mio.md` has the table.

mod addresses;
mod ends;
mod events;
mod hostile;
mod interop;
// One way to run libzmq, for the tests of links and for these.
#[path = "../../../swim-proto/zmq/tests/libzmq/mod.rs"]
mod libzmq;
mod links;
mod membership;
mod messages;
mod mixed;
mod node;
mod paths;
mod post;
#[cfg(target_os = "linux")]
mod switch;
mod table;
mod userdata;

/// Runs each of these tests on every mix of drivers.
macro_rules! on_every_mix {
    ($($test:ident),* $(,)?) => {
        mod on_tokio {
            $(#[test] fn $test() { super::$test($crate::node::Mix::Tokio); })*
        }
        mod on_mio {
            $(#[test] fn $test() { super::$test($crate::node::Mix::Mio); })*
        }
        mod on_both {
            $(#[test] fn $test() { super::$test($crate::node::Mix::Both); })*
        }
    };
}
pub(crate) use on_every_mix;
