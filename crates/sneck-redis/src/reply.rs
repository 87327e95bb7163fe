//! What the scripts answer.

use redis::Value;
use sneck_core::{Admission, Contender, Entry, Error, ErrorKind, Mode, Record, Token, admit};
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

/// The answer to a question, with the server's time in milliseconds.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) now_ms: i64,
    pub(crate) said: Said,
}

#[derive(Debug)]
pub(crate) enum Said {
    Held { token: Token, asked_back: bool },
    Waiting { ahead: u32, wait: Duration, holder: Option<Box<Contender>> },
    Gone,
    Late,
    OtherSize(NonZeroU32),
    TooSmall(NonZeroU32),
    Full,
}

/// What became of one place that was to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewed {
    Held,
    AskedBack,
    Waiting(Duration),
    Turn,
    Gone,
}

pub(crate) fn answer(reply: Value) -> Result<Answer, Error> {
    let fields = list(reply)?;
    let number = |at: usize| fields.get(at).and_then(integer).ok_or_else(nonsense);
    let size = |at| {
        let size = number(at).ok().and_then(|size| u32::try_from(size).ok());
        size.and_then(NonZeroU32::new).ok_or_else(nonsense)
    };
    let said = match number(0)? {
        1 => Said::Held {
            token: fields.get(2).and_then(token).ok_or_else(nonsense)?,
            asked_back: number(3)? == 1,
        },
        0 => Said::Waiting {
            ahead: u32::try_from(number(2)?).map_err(|_| nonsense())?,
            wait: millis(number(3)?),
            holder: match (fields.get(4).and_then(text), fields.get(5).and_then(text)) {
                (Some(member), Some(about)) => contender(&member, &about)
                    .map(|holder| Box::new(Contender { held: true, ..holder })),
                _ => None,
            },
        },
        -1 => Said::Gone,
        -2 => Said::Late,
        -3 => Said::OtherSize(size(2)?),
        -4 => Said::TooSmall(size(2)?),
        -5 => Said::Full,
        _ => return Err(nonsense()),
    };
    Ok(Answer { now_ms: number(1)?, said })
}

/// The answer to a release: whether the place was there, and the server's time.
pub(crate) fn left(reply: Value) -> Result<(bool, i64), Error> {
    match list(reply)?.iter().map(integer).collect::<Option<Vec<i64>>>().as_deref() {
        Some([removed, now_ms]) => Ok((*removed != 0, *now_ms)),
        _ => Err(nonsense()),
    }
}

/// The answer to a renewal of this many places.
pub(crate) fn renewed(reply: Value, places: usize) -> Result<(i64, Vec<Renewed>), Error> {
    let numbers = list(reply)?.iter().map(integer).collect::<Option<Vec<i64>>>();
    let numbers = numbers.ok_or_else(nonsense)?;
    let (now_ms, rest) = numbers.split_first().ok_or_else(nonsense)?;
    let pairs = rest.chunks_exact(2).map(|pair| match pair[0] {
        1 => Renewed::Held,
        0 => Renewed::Waiting(millis(pair[1])),
        2 => Renewed::Turn,
        3 => Renewed::AskedBack,
        _ => Renewed::Gone,
    });
    let renewed: Vec<Renewed> = pairs.collect();
    if renewed.len() == places { Ok((*now_ms, renewed)) } else { Err(nonsense()) }
}

/// The line of a lock, from members and what is known of each.
pub(crate) fn line(reply: Value) -> Result<Vec<Contender>, Error> {
    let texts = texts(reply)?;
    let places = texts.chunks_exact(2).filter_map(|pair| contender(&pair[0], &pair[1]));
    let mut line: Vec<Contender> = places.collect();
    let modes = line.iter().map(|place| place.mode.unwrap_or(Mode::Exclusive));
    let entries: Vec<Entry> = modes.map(Entry::new).collect();
    for (at, place) in line.iter_mut().enumerate() {
        place.held = admit(&entries, at) == Admission::Granted;
    }
    Ok(line)
}

pub(crate) fn texts(reply: Value) -> Result<Vec<String>, Error> {
    list(reply)?.iter().map(text).collect::<Option<Vec<String>>>().ok_or_else(nonsense)
}

/// Whether a record was changed, and what there is now.
pub(crate) fn change(reply: Value) -> Result<(bool, Option<Record>), Error> {
    let fields = list(reply)?;
    let done = fields.first().and_then(integer).ok_or_else(nonsense)? == 1;
    let now = match fields.get(2..) {
        None | Some([]) => None,
        Some(fields) => record(Value::Array(fields.to_vec()))?,
    };
    Ok((done, now))
}

/// A record from its fields; `None` where there is none.
pub(crate) fn record(reply: Value) -> Result<Option<Record>, Error> {
    let fields = list(reply)?;
    if let Some(Value::Nil) = fields.first() {
        return Ok(None);
    }
    let [id, Value::BulkString(data), stamp, written] = &fields[..] else {
        return Err(nonsense());
    };
    let id = text(id).and_then(|id| id.parse().ok()).ok_or_else(nonsense)?;
    let written = text(written).and_then(|at| at.parse().ok()).ok_or_else(nonsense)?;
    Ok(Some(Record {
        id,
        data: data.as_slice().into(),
        stamp: token(stamp).ok_or_else(nonsense)?,
        written: SystemTime::UNIX_EPOCH + Duration::from_millis(written),
    }))
}

/// What the peer would not say if it ran our scripts.
pub(crate) fn nonsense() -> Error {
    Error::new(ErrorKind::Protocol, "the server's answer is none that the script gives")
}

/// One place, of which the server knows `token|since|client|caller`.
fn contender(member: &str, about: &str) -> Option<Contender> {
    let mut fields = about.splitn(4, '|');
    let (token, since, _client, caller) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let since: u64 = since.parse().ok()?;
    let (mode, claim) = member.split_once(':')?;
    let told = Contender::new(member, caller.as_bytes());
    Some(Contender {
        claim: claim.parse().ok(),
        mode: match mode {
            "x" => Some(Mode::Exclusive),
            "s" => Some(Mode::Shared),
            "w" => Some(Mode::Write),
            // How many there are stands beside it only.
            _ => told.mode,
        },
        since: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(since)),
        token: token.parse().ok().and_then(Token::new),
        ..told
    })
}

fn list(reply: Value) -> Result<Vec<Value>, Error> {
    match reply {
        Value::Array(fields) => Ok(fields),
        _ => Err(nonsense()),
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

fn token(value: &Value) -> Option<Token> {
    text(value)?.parse().ok().and_then(Token::new)
}

fn millis(number: i64) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_an_error_and_no_panic() {
        let numbers =
            |numbers: &[i64]| Value::Array(numbers.iter().map(|n| Value::Int(*n)).collect());
        for reply in
            [Value::Nil, numbers(&[]), numbers(&[9, 1]), numbers(&[1, 1]), numbers(&[-3, 1, 0])]
        {
            let error = answer(reply).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol);
        }
        assert!(renewed(numbers(&[1, 1, 0]), 2).is_err());
        assert!(left(numbers(&[1])).is_err());
    }

    #[test]
    fn who_holds_is_told_from_the_line() {
        let about = |text: &str| format!("7|1700000000000|c|by=sneck{text}");
        let line_of = |places: &[(&str, &str)]| {
            let texts =
                places.iter().flat_map(|(member, text)| [(*member).to_owned(), about(text)]);
            let texts = texts.map(|text| Value::BulkString(text.into_bytes())).collect();
            let line = line(Value::Array(texts)).unwrap();
            line.iter().map(|place| place.held).collect::<Vec<_>>()
        };
        assert_eq!(
            line_of(&[("s:1", ""), ("s:2", ""), ("w:3", ""), ("s:4", "")]),
            [true, true, false, false]
        );
        let of_three = |take: &str| format!(" permits={take}/3");
        let (two, one) = (of_three("2"), of_three("1"));
        assert_eq!(
            line_of(&[("p2:1", &two), ("p2:2", &two), ("p1:3", &one)]),
            [true, false, false]
        );
    }

    #[test]
    fn a_place_is_read_back_whatever_the_caller_wrote() {
        let contender =
            contender("x:1", "1700000000000001|1700000000000|c|host=a|b by=sneck").unwrap();
        assert_eq!(contender.token.map(Token::get), Some(1_700_000_000_000_001));
        assert_eq!(contender.text, "host=a|b by=sneck");
        assert_eq!(contender.mode, Some(Mode::Exclusive));
        assert_eq!(super::contender("x:1", "0|1|c|").unwrap().token, None);
        assert!(super::contender("x:1", "garbage").is_none());
    }
}
