//! `HOST:PORT` as people write it: checked for its form here, looked up when it is used.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What an address is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// To listen on: an unspecified address means every interface, port 0 any free port, and a link-local address needs
    /// its zone.
    Binding,
    /// To be told to others: port 0 means the bound one; zones and unspecified addresses mean nothing.
    Telling,
    /// To ask there: port 0, zones and unspecified addresses mean nothing.
    Asking,
}

/// Checks the form; as an error, what is wrong and what would be right.
pub(crate) fn check(text: &str, what_for: For) -> Result<(), String> {
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
        let (address, zone) = inner.split_once('%').map_or((inner, None), |(address, zone)| (address, Some(zone)));
        let address = address.parse::<Ipv6Addr>().map_err(|_| format!("{inner:?} is not an IPv6 address; {RIGHT}"))?;
        check_ipv6(address, port, what_for)?;
        check_zone(address, zone, port, what_for)?;
    } else if host.contains(':') {
        return Err(unbracketed());
    } else if let Ok(address) = host.parse::<Ipv4Addr>() {
        if address.is_multicast() || address.is_broadcast() {
            return Err(of_many(host));
        }
        if address.is_unspecified() && what_for != For::Binding {
            return Err(of_none(host));
        }
    } else {
        check_host(host).map_err(|wrong| format!("{wrong}; {RIGHT}"))?;
    }
    match (port.parse::<u16>(), what_for) {
        _ if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.is_empty() => {
            Err(format!("{port:?} is not a port; it must be a number from 1 to 65535"))
        }
        (Err(_), _) => Err(format!("port {port} is too great; it must be at most 65535")),
        (Ok(0), For::Asking) => Err("port 0 cannot be reached by others; it must be from 1 to 65535".to_owned()),
        (Ok(_), _) => Ok(()),
    }
}

fn check_ipv6(address: Ipv6Addr, port: &str, what_for: For) -> Result<(), String> {
    match address.to_ipv4_mapped() {
        Some(plain) => {
            Err(format!("[{address}] is the IPv4 address {plain} in the guise of IPv6; write {plain}:{port}"))
        }
        None if address.is_multicast() => Err(of_many(&format!("[{address}]"))),
        None if address.is_unspecified() && what_for != For::Binding => Err(of_none(&format!("[{address}]"))),
        None => Ok(()),
    }
}

fn check_zone(address: Ipv6Addr, zone: Option<&str>, port: &str, what_for: For) -> Result<(), String> {
    match (zone, what_for) {
        (None, For::Binding) if address.is_unicast_link_local() => Err(format!(
            "{address} is a link-local address, which says nothing without its interface; add the interface's number, \
             such as [{address}%2]:{port} (`ip link` shows the numbers)"
        )),
        (None, _) => Ok(()),
        (Some(zone), For::Binding) if zone.parse::<u32>().is_err() => Err(format!(
            "{zone:?} is not an interface's number; write the number in place of the name, such as [{address}%2]:{port} \
             (`ip link` shows the numbers)"
        )),
        (Some(_), For::Binding) => Ok(()),
        (Some(zone), For::Telling | For::Asking) => Err(format!(
            "%{zone} means something on this host alone; write [{address}]:{port}, the interface is that of --addr"
        )),
    }
}

fn of_many(address: &str) -> String {
    format!("{address} is an address of many hosts; a member needs one of its own, such as 10.0.0.7")
}

fn of_none(address: &str) -> String {
    format!("{address} is where to listen on every interface, and no address to reach a member at, such as 10.0.0.7")
}

/// A name, since it is no address.
fn check_host(host: &str) -> Result<(), String> {
    let label = |label: &str| {
        let bytes = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        bytes && !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    match () {
        () if host.is_empty() => Err("the host is missing".to_owned()),
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
            assert_eq!(check(right, For::Asking), Ok(()), "{right}");
        }
        for everywhere in ["0.0.0.0:0", "[::]:0"] {
            assert_eq!(check(everywhere, For::Binding), Ok(()));
            assert!(check(everywhere, For::Telling).is_err());
        }
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
            ("[::ffff:127.0.0.1]:1", "write 127.0.0.1:1"),
            ("224.0.0.1:1", "an address of many hosts"),
            ("255.255.255.255:1", "an address of many hosts"),
            ("[ff02::1]:1", "an address of many hosts"),
            ("0.0.0.0:1", "no address to reach a member at"),
            ("[::]:1", "no address to reach a member at"),
            ("[fe80::1%2]:1", "write [fe80::1]:1"),
            ("[fe80::1%lo]:1", "write [fe80::1]:1"),
        ] {
            let error = check(wrong, For::Asking).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_link_local_address_is_bound_with_the_number_of_its_interface() {
        assert_eq!(check("[fe80::1%2]:0", For::Binding), Ok(()));
        assert_eq!(check("[fe80::1]:1", For::Asking), Ok(()));
        for (wrong, says) in [("[fe80::1]:1", "such as [fe80::1%2]:1"), ("[fe80::1%lo]:1", "such as [fe80::1%2]:1")] {
            let error = check(wrong, For::Binding).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}
