//! Access lists: who a connection is, and what that lets it do.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};
use sneck_wire::{Acl, ErrorCode, Id, Permissions};

use super::password::same;

/// The scheme of the one identity that every access list gives way to.
const SUPER: &str = "super";
const DIGEST: &str = "digest";
const IP: &str = "ip";

/// An access list as nodes share it.
pub(crate) type AccessList = Arc<[Acl]>;

/// The identity every connection has: where it comes from.
pub(crate) fn identity_of(address: IpAddr) -> Id {
    Id::new(IP, address.to_canonical().to_string())
}

/// Fails unless the list gives one of `ids` at least one of the rights `wanted`.
pub(crate) fn check(list: &[Acl], wanted: Permissions, ids: &[Id]) -> Result<(), ErrorCode> {
    match allows(list, wanted, ids) {
        true => Ok(()),
        false => Err(ErrorCode::NO_AUTH),
    }
}

/// Whether the list gives one of `ids` at least one of the rights `wanted`.
pub(crate) fn allows(list: &[Acl], wanted: Permissions, ids: &[Id]) -> bool {
    if list.is_empty() || ids.iter().any(|id| id.scheme == SUPER) {
        return true;
    }
    list.iter()
        .filter(|entry| entry.permissions.bits() & wanted.bits() != 0)
        .any(|entry| is_anyone(&entry.id) || ids.iter().any(|id| matches(id, &entry.id)))
}

/// The list as it is stored: without repetitions, and with the identities of the connection in
/// place of `auth`.
///
/// # Errors
/// [`Unsettled`].
pub(crate) fn settle(list: &[Acl], ids: &[Id], entries_max: usize) -> Result<Vec<Acl>, Unsettled> {
    let mut settled = Vec::with_capacity(list.len().min(entries_max));
    let mut seen = HashSet::new();
    for entry in list.iter().filter(|entry| seen.insert(*entry)) {
        if settled.len() >= entries_max {
            return Err(Unsettled::TooLong);
        }
        match entry.id.scheme.as_str() {
            "world" if is_anyone(&entry.id) => settled.push(entry.clone()),
            // Where somebody is does not say who: `auth` stands for what was proven.
            "auth" => {
                let proven = ids.iter().filter(|id| id.scheme == DIGEST);
                let before = settled.len();
                settled.extend(proven.map(|id| Acl::new(entry.permissions, id.clone())));
                if settled.len() == before {
                    return Err(Unsettled::Invalid);
                }
            }
            DIGEST if is_digest(&entry.id.id) => settled.push(entry.clone()),
            IP if IpRange::parse(&entry.id.id).is_some() => settled.push(entry.clone()),
            _ => return Err(Unsettled::Invalid),
        }
    }
    match settled.len() {
        0 => Err(Unsettled::Invalid),
        // One `auth` may stand for several.
        length if length > entries_max => Err(Unsettled::TooLong),
        _ => Ok(settled),
    }
}

/// Why a list cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsettled {
    /// It is empty, or has an entry that can match nobody.
    Invalid,
    /// It has more entries than a list may have.
    TooLong,
}

/// About how many bytes a list takes.
pub(crate) fn weight(list: &[Acl]) -> usize {
    list.iter().map(|entry| size_of::<Acl>() + entry.id.scheme.len() + entry.id.id.len()).sum()
}

/// The list for those who may see it but not change it: without the hashes of passwords.
pub(crate) fn masked(list: &[Acl]) -> Vec<Acl> {
    let mask = |entry: &Acl| match entry.id.scheme.as_str() {
        DIGEST => {
            let user = entry.id.id.split(':').next().unwrap_or_default();
            Acl::new(entry.permissions, Id::new(DIGEST, format!("{user}:x")))
        }
        _ => entry.clone(),
    };
    list.iter().map(mask).collect()
}

/// The name in an identity, as `whoAmI` tells it.
pub(crate) fn user(id: &Id) -> String {
    match id.scheme.as_str() {
        DIGEST => id.id.split(':').next().unwrap_or_default().to_owned(),
        SUPER => String::new(),
        _ => id.id.clone(),
    }
}

/// The identities that a credential proves, or `None` if it proves nothing.
pub(crate) fn authenticate(
    scheme: &str,
    credential: &[u8],
    address: IpAddr,
    super_digest: Option<&str>,
) -> Option<Vec<Id>> {
    match scheme {
        IP => Some(vec![identity_of(address)]),
        DIGEST => {
            let digest = digest(credential);
            let is_super =
                super_digest.is_some_and(|wanted| same(wanted.as_bytes(), digest.as_bytes()));
            let first = is_super.then(|| Id::new(SUPER, ""));
            Some(first.into_iter().chain([Id::new(DIGEST, digest)]).collect())
        }
        _ => None,
    }
}

/// `user:password` as access lists have it: `user:` and the hash of the whole.
///
/// ```
/// let id = sneck_server::digest(b"super:test");
/// assert_eq!(id, "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
/// ```
pub fn digest(credential: &[u8]) -> String {
    let text = String::from_utf8_lossy(credential);
    let user = text.split(':').next().unwrap_or_default();
    format!("{user}:{}", BASE64.encode(Sha1::digest(text.as_bytes())))
}

fn is_anyone(id: &Id) -> bool {
    id.scheme == "world" && id.id == "anyone"
}

fn matches(id: &Id, wanted: &Id) -> bool {
    if id.scheme != wanted.scheme {
        return false;
    }
    match wanted.scheme.as_str() {
        IP => IpRange::parse(&wanted.id)
            .zip(id.id.parse().ok())
            .is_some_and(|(range, address)| range.contains(address)),
        DIGEST => same(id.id.as_bytes(), wanted.id.as_bytes()),
        _ => false,
    }
}

/// Whether this is a user and a hash. Colons at the end do not count, as for Apache.
fn is_digest(id: &str) -> bool {
    id.trim_end_matches(':').split(':').count() == 2
}

/// Addresses whose first bits are given, such as `10.0.0.0/8`.
struct IpRange {
    bits: u128,
    is_v4: bool,
    length: u32,
}

impl IpRange {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse().ok()?)),
            None => (text, None),
        };
        let (bits, is_v4) = Self::bits(address.parse().ok()?);
        let width = if is_v4 { 32 } else { 128 };
        let length = length.unwrap_or(width);
        (length <= width).then_some(Self { bits, is_v4, length })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let (bits, is_v4) = Self::bits(address);
        // A shift by the whole width would overflow, and then every address is in the range.
        let outside = 128 - self.length;
        let differ = (bits ^ self.bits).checked_shr(outside).unwrap_or(0);
        is_v4 == self.is_v4 && differ == 0
    }

    /// The address at the upper end of the number, so that a prefix is the same in both families.
    fn bits(address: IpAddr) -> (u128, bool) {
        match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, true),
            IpAddr::V6(address) => (address.to_bits(), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(permissions: Permissions, scheme: &str, id: &str) -> Acl {
        Acl::new(permissions, Id::new(scheme, id))
    }

    #[test]
    fn lists_are_settled_as_apache_settles_them() {
        let me = [Id::new("ip", "10.1.2.3"), Id::new("digest", "me:hash")];
        let anybody = [Id::new("ip", "10.1.2.3")];
        let all = Permissions::ALL;
        type Case<'a> = (&'a [Acl], &'a [Id], Option<&'a [Acl]>);
        let cases: &[Case<'_>] = &[
            (&[], &me, None),
            (&Acl::open(), &me, Some(&Acl::open())),
            (&[acl(all, "world", "someone")], &me, None),
            (&[acl(all, "auth", "")], &me, Some(&[acl(all, "digest", "me:hash")])),
            (&[acl(all, "auth", "")], &anybody, None),
            (&[acl(all, "digest", "nobody")], &me, None),
            (&[acl(all, "digest", "a:b:c")], &me, None),
            (&[acl(all, "digest", "a:")], &me, None),
            (&[acl(all, "digest", "a:b")], &me, Some(&[acl(all, "digest", "a:b")])),
            (&[acl(all, "ip", "10.0.0.0/8")], &me, Some(&[acl(all, "ip", "10.0.0.0/8")])),
            (&[acl(all, "ip", "10.0.0.0/33")], &me, None),
            (&[acl(all, "ip", "host")], &me, None),
            (&[acl(all, "sasl", "me")], &me, None),
            (&[Acl::open(), Acl::open()].concat(), &me, Some(&Acl::open())),
        ];
        for (list, ids, expected) in cases {
            let expected = expected.map(<[Acl]>::to_vec).ok_or(Unsettled::Invalid);
            assert_eq!(settle(list, ids, 2), expected, "{list:?}");
        }
    }

    #[test]
    fn what_auth_stands_for_counts_for_the_length_of_a_list() {
        let ids: Vec<_> = (0..3).map(|n| Id::new("digest", format!("user{n}:hash"))).collect();
        let list = [acl(Permissions::ALL, "auth", ""), acl(Permissions::READ, "auth", "")];
        assert_eq!(settle(&list, &ids, 6).map(|settled| settled.len()), Ok(6));
        assert_eq!(settle(&list, &ids, 5), Err(Unsettled::TooLong));
        assert_eq!(settle(&list, &ids, 2), Err(Unsettled::TooLong));
    }

    #[test]
    fn rights_are_checked_one_by_one() {
        let list = [
            acl(Permissions::READ, "world", "anyone"),
            acl(Permissions::WRITE, "digest", "me:hash"),
            acl(Permissions::CREATE, "ip", "10.0.0.0/8"),
        ];
        let me = [Id::new("digest", "me:hash")];
        let near = [Id::new("ip", "10.9.9.9")];
        let far = [Id::new("ip", "11.0.0.1")];
        assert!(allows(&list, Permissions::READ, &[]));
        assert!(allows(&list, Permissions::READ | Permissions::ADMIN, &[]));
        assert!(allows(&list, Permissions::WRITE, &me));
        assert!(!allows(&list, Permissions::WRITE, &near));
        assert!(allows(&list, Permissions::CREATE, &near));
        assert!(!allows(&list, Permissions::CREATE, &far));
        assert!(!allows(&list, Permissions::ADMIN, &me));
        assert!(allows(&list, Permissions::ADMIN, &[Id::new("super", "")]));
    }

    #[test]
    fn ranges_of_addresses() {
        let contains = |range: &str, address: &str| {
            IpRange::parse(range).unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("0.0.0.0/0", "9.9.9.9"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("127.0.0.1", "127.0.0.1"));
        assert!(!contains("127.0.0.1", "127.0.0.2"));
        assert!(contains("fe80::/10", "fe80::1"));
        assert!(!contains("fe80::/10", "::1"));
    }

    #[test]
    fn hashes_are_hidden_from_those_who_may_not_change_them() {
        let list =
            [acl(Permissions::ALL, "digest", "me:hash"), acl(Permissions::READ, "ip", "::1")];
        assert_eq!(masked(&list)[0], acl(Permissions::ALL, "digest", "me:x"));
        assert_eq!(masked(&list)[1], list[1]);
    }

    #[test]
    fn the_super_user() {
        let address = IpAddr::from([127, 0, 0, 1]);
        let digest = digest(b"super:test");
        let ids = authenticate("digest", b"super:test", address, Some(&digest)).unwrap();
        assert!(allows(&[acl(Permissions::READ, "ip", "1.1.1.1")], Permissions::ADMIN, &ids));
        assert_eq!(user(&ids[1]), "super");
        let ids = authenticate("digest", b"super:guess", address, Some(&digest)).unwrap();
        assert_eq!(ids.len(), 1);
        assert_eq!(authenticate("sasl", b"", address, None), None);
    }
}
