//! swim-proto on tokio.
