//! Starting the node, and what to say where it cannot be.

use std::io::ErrorKind;
use std::net::SocketAddr;

use swim_tokio::{MessagingOptions, Port, StartError};
use tracing::info;

use crate::config::{AgentConfig, Places};
use crate::driver::{self, Handle};

/// Starts the node; as an error, what failed, and where its cause was said.
pub(super) async fn start(config: &AgentConfig) -> Result<Handle, String> {
    let places = &config.places;
    let bind = look_up(&places.addr, &config.addr, |_| true).await?;
    let advertise = match &config.advertise {
        Some(advertise) => {
            let is_of_its_family = |address: &SocketAddr| bind.is_ipv6() == address.is_ipv6();
            Some(look_up(&places.advertise, advertise, is_of_its_family).await?)
        }
        None => None,
    };
    let started = driver::start!(config.driver, bind, options => {
        options.advertise = advertise;
        options.name.clone_from(&config.name);
        options.metadata = config.metadata.clone().into();
        options.seeds.clone_from(&config.seeds);
        options.config = config.protocol.clone();
        options.connect_timeout = config.connect_timeout;
        options.resolve_timeout = config.resolve_timeout;
        options.messaging = messaging(config);
    });
    let node = started.map_err(|error| why_not(error, config))?;
    let seeds = config.seeds.join(" ");
    info!(name = node.name(), address = %node.address(), bound = %node.bound(), seeds, "started");
    info!(profile = config.profile.name(), changed = config.changed.join(", "), "settings");
    Ok(node)
}

/// Why it cannot start, what would be right, and where it was said otherwise.
fn why_not(error: StartError, config: &AgentConfig) -> String {
    let Places { addr, advertise: advertised, zmq_port_offset } = &config.places;
    match error {
        StartError::Unreachable { address } => match &config.advertise {
            Some(name) => {
                format!("{advertised} {name}: this is {address}, which others cannot reach; name one address")
            }
            None => {
                format!("{addr} {address} listens everywhere, but others need one address; add --advertise HOST:PORT")
            }
        },
        StartError::Family { bind, advertise } => format!(
            "{advertised} {advertise}: a node that listens on {bind} sends and hears {} only; advertise such an \
             address, or listen on [::], which serves both families",
            if bind.is_ipv4() { "IPv4" } else { "IPv6" }
        ),
        StartError::Bind { address, source } if source.kind() == ErrorKind::AddrInUse => {
            format!("{addr} {address}: another process listens there; choose another port, or 0 for a free one")
        }
        StartError::Bind { address, source } if source.kind() == ErrorKind::AddrNotAvailable => format!(
            "{addr} {address}: no interface here has this address; choose one of this host's, or 0.0.0.0 with --advertise"
        ),
        StartError::BindMessaging { address, source } => format!(
            "{zmq_port_offset}: {address} cannot be had for messages: {source}; choose another offset, or --no-zmq"
        ),
        StartError::MessagingPort { gossip, .. } => {
            format!("{zmq_port_offset}: there is no port so far above {gossip}; choose a smaller offset, or --no-zmq")
        }
        error => format!("cannot start: {error}"),
    }
}

/// How messages are moved, if they are.
fn messaging(config: &AgentConfig) -> Option<MessagingOptions> {
    let offset = config.zmq_port_offset?;
    Some(MessagingOptions::default().with_config(config.messaging.clone()).with_port(Port::Above(offset)))
}

/// The first address of `HOST:PORT` that is preferred, or else the first.
async fn look_up(place: &str, host: &str, is_preferred: impl Fn(&SocketAddr) -> bool) -> Result<SocketAddr, String> {
    match tokio::net::lookup_host(host).await {
        Ok(found) => {
            let found: Vec<_> = found.collect();
            let preferred = found.iter().find(|address| is_preferred(address)).or(found.first());
            preferred.copied().ok_or_else(|| format!("{place} {host}: this name has no address"))
        }
        Err(error) => Err(format!("{place} {host}: the name cannot be looked up: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_advertised_in_the_family_that_is_bound() {
        for family in [SocketAddr::is_ipv4, SocketAddr::is_ipv6] {
            let found = look_up("--advertise", "localhost:1", family).await.unwrap();
            // Where localhost has but one family, that one it is.
            let all: Vec<_> = tokio::net::lookup_host("localhost:1").await.unwrap().collect();
            assert!(family(&found) || !all.iter().any(family), "{found} of {all:?}");
        }
    }
}
