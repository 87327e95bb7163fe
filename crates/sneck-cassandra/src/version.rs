//! Which servers keep what sneck builds on.

use sneck_core::{Error, ErrorKind};

/// Refuses releases whose conditional statements are known to be wrong.
///
/// Before 3.0.24 and 3.11.10 a serial read could miss a round that had been accepted (CASSANDRA-12126);
/// 4.1.0 to 4.1.5 could apply an old insert once more (CASSANDRA-19617). ScyllaDB calls itself 3.0.8 and is
/// not asked.
pub(crate) fn check(release: &str) -> Result<(), Error> {
    let mut numbers = release.split(['.', '-', '~']).map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let version = (next(), next(), next());
    let good = match version {
        (3, 0, patch) => patch >= 24,
        (3, 11, patch) => patch >= 10,
        (4, 1, patch) => patch >= 6,
        (major, _, _) => major >= 4,
    };
    if good {
        return Ok(());
    }
    let shown: String = release.chars().filter(|c| !c.is_control()).take(32).collect();
    let text =
        format!("a node runs Cassandra {shown}, whose conditional statements are not reliable");
    let hint = "sneck needs 3.0.24, 3.11.10, 4.0, 4.1.6, 5.0 or later in each of these lines";
    Err(Error::new(ErrorKind::Refused, text).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_releases_that_are_known_to_be_right() {
        for good in [
            "3.0.24",
            "3.11.10",
            "3.11.19",
            "4.0.0",
            "4.0-rc1",
            "4.1.6",
            "5.0.6",
            "5.0-beta1",
            "6.0",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "2.1.0",
            "2.2.19",
            "3.0.23",
            "3.11.9",
            "3.5",
            "4.1.0",
            "4.1.5",
            "4.1-alpha1",
            "",
            "x\u{7}",
        ] {
            let error = check(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{bad}");
            assert!(error.hint().is_some() && !error.to_string().chars().any(char::is_control));
        }
    }
}
