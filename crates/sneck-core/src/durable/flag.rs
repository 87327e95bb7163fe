//! What the record of a durable lock says. Pure: text in, text out.

use super::Owner;
use crate::caller::Caller;
use crate::claim::ClaimId;
use crate::contender::Contender;
use crate::fields::Fields;
use crate::record::Record;
use crate::token::Token;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many releases by force are remembered for each lock; older ones are forgotten.
pub const HISTORY_MAX: usize = 8;

/// What the record of a durable lock says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flag {
    /// Who holds the lock.
    pub holder: Option<DurableHolder>,
    /// The latest releases by force, the latest last.
    pub history: Vec<ForcedRelease>,
}

/// Who holds a durable lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurableHolder {
    /// The hold: a new one each time the lock is taken, also by the same owner. Whoever frees the
    /// lock by force has to show it, so that nobody frees another hold than the one he looked at.
    pub id: ClaimId,
    /// Whose the lock is.
    pub owner: String,
    /// Why it was taken, in the owner's words.
    pub reason: String,
    /// The process that took it.
    pub caller: Option<Caller>,
    /// Since when it is this owner's, by the store's clock.
    pub since: SystemTime,
    /// The fencing token.
    pub token: Token,
}

/// That somebody freed a durable lock by force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForcedRelease {
    /// When, by the store's clock.
    pub at: SystemTime,
    /// Who did it.
    pub by: Option<Caller>,
    /// Why, in that one's words.
    pub reason: String,
    /// The hold that was ended.
    pub ended: DurableHolder,
}

impl Flag {
    /// The largest length of a reason, in bytes: all that are remembered have to fit in one record.
    pub const REASON_MAX: usize = 256;

    /// Reads a record.
    pub fn of(record: &Record) -> Self {
        let fields = Fields::parse(&record.data);
        let holder = (fields.get("state") == Some("held")).then(|| {
            let since = time(fields.get("since")).unwrap_or(record.written);
            holder(&fields, record.id, record.stamp, since)
        });
        let history = fields.all("forced").filter_map(|text| forced(text, record.written));
        let history = history.collect();
        Flag { holder, history }
    }

    /// The text of a lock that `owner` takes, and has had since then if it is taken up again.
    pub fn taken(
        &self,
        owner: &Owner,
        reason: &str,
        caller: &Caller,
        since: Option<SystemTime>,
    ) -> String {
        let mut fields = Fields::new();
        fields.put("state", "held");
        fields.put("owner", owner);
        fields.put("reason", reason);
        fields.put("caller", caller);
        if let Some(since) = since {
            fields.put("since", millis(since));
        }
        self.remember(&mut fields, None);
        fields.to_string()
    }

    /// The text of a lock that is free; `None` when there is nothing to say about it.
    pub fn freed(&self) -> Option<String> {
        if self.history.is_empty() {
            return None;
        }
        let mut fields = Fields::new();
        fields.put("state", "free");
        self.remember(&mut fields, None);
        Some(fields.to_string())
    }

    /// The text of a lock that `by` frees by force.
    pub fn forced(&self, holder: &DurableHolder, by: &Caller, reason: &str) -> String {
        let mut fields = Fields::new();
        fields.put("state", "free");
        let mut event = Fields::new();
        // When it happened is what the store says about this write.
        event.put("by", by);
        event.put("why", reason);
        put_holder(&mut event, holder);
        self.remember(&mut fields, Some(event));
        fields.to_string()
    }

    fn remember(&self, fields: &mut Fields, latest: Option<Fields>) {
        let kept = HISTORY_MAX - usize::from(latest.is_some());
        for event in &self.history[self.history.len().saturating_sub(kept)..] {
            let mut text = Fields::new();
            text.put("at", millis(event.at));
            if let Some(by) = &event.by {
                text.put("by", by);
            }
            text.put("why", &event.reason);
            put_holder(&mut text, &event.ended);
            fields.put("forced", text);
        }
        if let Some(latest) = latest {
            fields.put("forced", latest);
        }
    }
}

impl DurableHolder {
    /// The holder as one who is ahead in line.
    pub fn contender(&self) -> Contender {
        let note = match self.reason.as_str() {
            "" => self.owner.clone(),
            reason => format!("{}: {reason}", self.owner),
        };
        let caller = Caller { note, ..self.caller.clone().unwrap_or_default() };
        Contender {
            since: Some(self.since),
            token: Some(self.token),
            ..Contender::new(self.id.to_string(), caller.to_string().as_bytes())
        }
    }
}

impl fmt::Display for DurableHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (hold {})", self.owner, self.id)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

fn put_holder(fields: &mut Fields, holder: &DurableHolder) {
    fields.put("id", holder.id);
    fields.put("owner", &holder.owner);
    fields.put("reason", &holder.reason);
    if let Some(caller) = &holder.caller {
        fields.put("caller", caller);
    }
    fields.put("since", millis(holder.since));
    fields.put("token", holder.token);
}

fn holder(fields: &Fields, id: ClaimId, token: Token, since: SystemTime) -> DurableHolder {
    let text = |key| fields.get(key).unwrap_or_default().to_owned();
    DurableHolder {
        id,
        owner: text("owner"),
        reason: text("reason"),
        caller: fields.get("caller").and_then(Caller::parse),
        since,
        token,
    }
}

/// An event that does not say when it was is the one its record was written for.
fn forced(text: &str, written: SystemTime) -> Option<ForcedRelease> {
    let fields = Fields::parse(text.as_bytes());
    let id = fields.get("id")?.parse().ok()?;
    let token = Token::new(fields.get("token")?.parse().ok()?)?;
    let since = time(fields.get("since")).unwrap_or(written);
    Some(ForcedRelease {
        at: time(fields.get("at")).unwrap_or(written),
        by: fields.get("by").and_then(Caller::parse),
        reason: fields.get("why").unwrap_or_default().to_owned(),
        ended: holder(&fields, id, token, since),
    })
}

fn millis(at: SystemTime) -> u128 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

fn time(ms: Option<&str>) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(ms)
    }

    fn record(number: u64, text: &str) -> Record {
        let (id, stamp) = (ClaimId::from_u128(number.into()), Token::new(number).unwrap());
        Record { id, data: text.as_bytes().into(), stamp, written: at(1_000 * number) }
    }

    fn caller(host: &str) -> Caller {
        Caller { host: host.into(), pid: 7, ..Caller::anonymous() }
    }

    #[test]
    fn a_taken_lock_says_whose_it_is_and_since_when() {
        let owner = Owner::new("deploy\u{e9}r 100%").unwrap();
        let text = Flag::default().taken(&owner, "v2\nstate=free", &caller("h"), None);
        let flag = Flag::of(&record(3, &text));
        let holder = flag.holder.clone().unwrap();
        assert_eq!(
            (holder.owner.as_str(), holder.reason.as_str()),
            ("deploy\u{e9}r 100%", "v2\nstate=free")
        );
        assert_eq!((holder.since, holder.token.get()), (at(3_000), 3));
        // Taken up again, it is still his since then, under another token.
        let again = flag.taken(&owner, "v2", &caller("h"), Some(holder.since));
        let holder = Flag::of(&record(5, &again)).holder.unwrap();
        assert_eq!((holder.since, holder.token.get()), (at(3_000), 5));
    }

    #[test]
    fn a_release_by_force_is_remembered_while_the_lock_is_taken_again_and_freed() {
        let owner = Owner::new("a").unwrap();
        let mut flag = Flag::of(&record(1, &Flag::default().taken(&owner, "", &caller("h"), None)));
        let ended = flag.holder.clone().unwrap();
        flag = Flag::of(&record(2, &flag.forced(&ended, &caller("admin"), "it is dead")));
        assert_eq!(flag.holder, None);
        flag = Flag::of(&record(3, &flag.taken(&owner, "", &caller("h"), None)));
        flag = Flag::of(&record(4, &flag.freed().expect("there is something to say")));
        let [event] = &flag.history[..] else { panic!("{:?}", flag.history) };
        assert_eq!(
            (event.at, event.reason.as_str(), &event.ended),
            (at(2_000), "it is dead", &ended)
        );
        assert_eq!(event.by.as_ref().unwrap().host, "admin");
        assert_eq!(Flag::default().freed(), None);
    }

    #[test]
    fn the_history_is_bounded_and_fits_the_record() {
        let owner = Owner::new(&"\"".repeat(256)).unwrap();
        let reason = "%".repeat(Flag::REASON_MAX);
        let loud = Caller { note: "%".repeat(500), command: "%".repeat(500), ..caller("h") };
        let mut flag = Flag::default();
        for number in 1..40 {
            let text = flag.taken(&owner, &reason, &loud, None);
            assert!(text.len() <= Record::DATA_MAX, "{}", text.len());
            flag = Flag::of(&record(2 * number, &text));
            let holder = flag.holder.clone().unwrap();
            let text = flag.forced(&holder, &loud, &reason);
            assert!(text.len() <= Record::DATA_MAX, "{}", text.len());
            flag = Flag::of(&record(2 * number + 1, &text));
            assert_eq!(flag.history.len(), HISTORY_MAX.min(number as usize));
            assert_eq!(flag.history.last().unwrap().ended, holder);
        }
    }

    #[test]
    fn what_strangers_wrote_is_a_free_lock_without_a_history() {
        assert_eq!(Flag::of(&record(1, "forced=at%3D1\nhello")), Flag::default());
    }
}
