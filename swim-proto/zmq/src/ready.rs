//! What a peer says of itself in READY, and other commands by name.

use bytes::Bytes;

use crate::config::{Role, Socket};
use crate::error::{IdentityError, LinkError};
use crate::limits::IDENTITY_BYTES_MAX;

/// A command's name and body; `None` where the name does not fit.
pub(crate) fn command(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = body.split_first()?;
    rest.split_at_checked(usize::from(len))
}

/// The reason in an ERROR command.
pub(crate) fn reason(body: &[u8]) -> String {
    let (len, rest) = body.split_first().map_or((0, body), |(len, rest)| (usize::from(*len), rest));
    String::from_utf8_lossy(&rest[..len.min(rest.len())]).into_owned()
}

/// Socket and identity of a peer, from the properties of its READY: `name-length name value-length value` each.
pub(crate) fn properties(ours: Role, mut body: &[u8]) -> Result<(Socket, Bytes), LinkError> {
    let (mut socket, mut identity) = (None, None);
    while !body.is_empty() {
        let (name, value, rest) = property(body).ok_or(LinkError::Ready("a property is cut short"))?;
        body = rest;
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            let theirs = || String::from_utf8_lossy(value).into_owned();
            let known = ours.peer(value).ok_or_else(|| LinkError::Socket { ours, theirs: theirs() })?;
            if socket.replace(known).is_some() {
                return Err(LinkError::Ready("two Socket-Types"));
            }
        } else if name.eq_ignore_ascii_case(b"Identity") {
            if value.len() > IDENTITY_BYTES_MAX {
                return Err(IdentityError::TooLong(value.len()).into());
            } else if value.first() == Some(&0) {
                return Err(IdentityError::LeadingZero.into());
            } else if identity.replace(value).is_some() {
                return Err(IdentityError::Twice.into());
            }
        }
    }
    let socket = socket.ok_or(LinkError::Ready("no Socket-Type"))?;
    Ok((socket, Bytes::copy_from_slice(identity.unwrap_or_default())))
}

fn property(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = command(body)?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    Some((name, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(properties: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in properties {
            body.push(name.len() as u8);
            body.extend(name.as_bytes());
            body.extend((value.len() as u32).to_be_bytes());
            body.extend(*value);
        }
        body
    }

    fn router(properties_: &[(&str, &[u8])]) -> Result<(Socket, Bytes), LinkError> {
        properties(Role::Router, &body(properties_))
    }

    const DEALER: (&str, &[u8]) = ("Socket-Type", b"DEALER");

    #[test]
    fn names_are_told_without_regard_to_case_and_strangers_are_skipped() {
        let said = router(&[("X-Load", b"7"), ("socket-type", b"DEALER"), ("IDENTITY", b"alice")]);
        assert_eq!(said, Ok((Socket::Dealer, Bytes::from_static(b"alice"))));
        assert_eq!(router(&[DEALER]), Ok((Socket::Dealer, Bytes::new())));
    }

    #[test]
    fn an_identity_is_at_most_255_bytes_and_does_not_begin_with_zero() {
        assert!(router(&[DEALER, ("Identity", &[b'x'; 255])]).is_ok());
        let refused = |value: &[u8]| router(&[DEALER, ("Identity", value)]).unwrap_err();
        assert_eq!(refused(&[b'x'; 256]), LinkError::Identity(IdentityError::TooLong(256)));
        assert_eq!(refused(&[0]), LinkError::Identity(IdentityError::LeadingZero));
        let twice = router(&[DEALER, ("Identity", b""), ("Identity", b"")]);
        assert_eq!(twice, Err(LinkError::Identity(IdentityError::Twice)));
    }

    #[test]
    fn a_socket_that_does_not_fit_is_refused_by_name() {
        let theirs = "PUB".to_owned();
        assert_eq!(router(&[("Socket-Type", b"PUB")]), Err(LinkError::Socket { ours: Role::Router, theirs }));
        assert_eq!(router(&[]), Err(LinkError::Ready("no Socket-Type")));
        assert_eq!(router(&[DEALER, DEALER]), Err(LinkError::Ready("two Socket-Types")));
        assert!(properties(Role::Dealer, &body(&[("Socket-Type", b"REP")])).is_ok());
        assert!(router(&[("Socket-Type", b"REP")]).is_err());
    }

    #[test]
    fn a_ready_that_ends_anywhere_is_cut_short() {
        let whole = body(&[DEALER, ("Identity", b"alice")]);
        let one = body(&[DEALER]).len();
        for end in (1..whole.len()).filter(|end| *end != one) {
            let cut = properties(Role::Router, &whole[..end]);
            assert_eq!(cut, Err(LinkError::Ready("a property is cut short")), "{end}");
        }
        let mut huge = body(&[DEALER]);
        huge.extend(b"\x01X\xff\xff\xff\xff");
        assert!(properties(Role::Router, &huge).is_err());
    }
}
