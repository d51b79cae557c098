//! `HOST:PORT` as people write it: checked for its form here, looked up when it is used.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether port 0 means something: to bind, "any free one"; to advertise, "the bound one"; of a seed, nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortZero {
    /// It does.
    Allowed,
    /// It does not.
    Refused,
}

/// Checks the form; as an error, what is wrong and what would be right.
pub(crate) fn check(text: &str, zero: PortZero) -> Result<(), String> {
    const RIGHT: &str = "write HOST:PORT, such as 127.0.0.1:5000 or [::1]:5000";
    if text.is_empty() {
        return Err(format!("an address is missing; {RIGHT}"));
    }
    if text.contains('/') {
        return Err(format!("{text:?} is not an address alone; {RIGHT}"));
    }
    let unbracketed = || {
        format!("{text:?} does not say where its port begins; an IPv6 address stands in brackets, such as [::1]:5000")
    };
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(unbracketed());
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("{text:?} has no port; {RIGHT}"));
    };
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or_else(|| format!("{text:?} has an unclosed bracket; {RIGHT}"))?;
        inner.parse::<Ipv6Addr>().map_err(|_| format!("{inner:?} is not an IPv6 address; {RIGHT}"))?;
    } else if host.contains(':') {
        return Err(unbracketed());
    } else {
        check_host(host).map_err(|wrong| format!("{wrong}; {RIGHT}"))?;
    }
    match (port.parse::<u16>(), zero) {
        _ if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.is_empty() => {
            Err(format!("{port:?} is not a port; it must be a number from 1 to 65535"))
        }
        (Err(_), _) => Err(format!("port {port} is too great; it must be at most 65535")),
        (Ok(0), PortZero::Refused) => Err("port 0 cannot be reached by others; it must be from 1 to 65535".to_owned()),
        (Ok(_), _) => Ok(()),
    }
}

fn check_host(host: &str) -> Result<(), String> {
    let label = |label: &str| {
        let bytes = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        bytes && !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    match () {
        () if host.is_empty() => Err("the host is missing".to_owned()),
        () if host.parse::<Ipv4Addr>().is_ok() => Ok(()),
        () if numeric => Err(format!("{host:?} is not an IPv4 address")),
        () if name.len() <= 253 && name.split('.').all(label) => Ok(()),
        () => Err(format!("{host:?} is not a host name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_ipv4_or_bracketed_ipv6() {
        for right in ["127.0.0.1:5000", "[::1]:5000", "localhost:1", "node-1.swim.svc.cluster.local.:65535", "a_b:2"] {
            assert_eq!(check(right, PortZero::Refused), Ok(()), "{right}");
        }
        assert_eq!(check("0.0.0.0:0", PortZero::Allowed), Ok(()));
        for (wrong, says) in [
            ("", "an address is missing"),
            ("localhost", "has no port"),
            ("::1", "stands in brackets"),
            ("fe80::1:x:5000", "stands in brackets"),
            ("[::1", "unclosed bracket"),
            ("[::1:5000", "unclosed bracket"),
            ("[::g]:1", "not an IPv6 address"),
            (":5000", "the host is missing"),
            ("127.0.0.300:1", "not an IPv4 address"),
            ("host:port", "not a port"),
            ("host:", "not a port"),
            ("host:+1", "not a port"),
            ("host:65536", "at most 65535"),
            ("host:0", "port 0 cannot be reached"),
            ("ho st:1", "not a host name"),
            ("-a.b:1", "not a host name"),
            ("http://a:1", "not an address alone"),
        ] {
            let error = check(wrong, PortZero::Refused).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}
