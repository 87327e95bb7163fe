//! What the claims of one client share.

use crate::keys::{BUCKETS, Bucket, BucketKeys, channel, left};
use crate::link::{Link, Live};
use crate::options::{RedisOptions, Replicas, Topology};
use crate::place::{Place, Places};
use crate::reply::{self, Answer, Renewed, Said};
use crate::script::{ASK, Call, DOWNGRADE, LEAVE, RAISE, RENEW};
use crate::tls::Certificates;
use sneck_core::{Error, ErrorKind, Mode, Token};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// What the claims of one client share.
pub(crate) struct Store {
    pub(crate) options: Arc<RedisOptions>,
    pub(crate) label: Arc<str>,
    pub(crate) places: Arc<Places>,
    pub(crate) link: Link,
    /// For grants that replicas are waited for. `WAIT` holds up all that follows on its connection, and
    /// counts only what was written on it, so it has one of its own and takes turns.
    waiting_link: Option<(Replicas, tokio::sync::Mutex<Link>)>,
    /// For each bucket how much the clock of its server is ahead of ours, in milliseconds.
    ahead_ms: Vec<AtomicI64>,
}

impl Store {
    pub(crate) fn new(options: RedisOptions, certificates: Option<Certificates>) -> Self {
        let options = Arc::new(options);
        let places = Arc::new(Places::default());
        let link = || Link::new(options.clone(), certificates.clone(), places.clone());
        Store {
            label: options.label(),
            link: link(),
            waiting_link: options.replicas.map(|replicas| (replicas, link().into())),
            ahead_ms: (0..BUCKETS).map(|_| AtomicI64::new(0)).collect(),
            places,
            options,
        }
    }

    /// Connects for the first time, and learns the server's time.
    pub(crate) async fn open(&self) -> Result<(), Error> {
        let live = self.link.live().await?;
        let time: (i64, i64) =
            self.link.command(&live, &redis::cmd("TIME"), "asking the time").await?;
        for bucket in Bucket::all() {
            self.learn_time(bucket, time.0 * 1000 + time.1 / 1000);
        }
        Ok(())
    }

    /// Asks where a place stands. `not_after_ms` is the server's time after which the question is void.
    pub(crate) async fn ask(
        &self,
        place: &Place,
        was_in_line: bool,
        not_after_ms: i64,
    ) -> Result<Answer, Error> {
        let answer = match &self.waiting_link {
            None => {
                let live = self.link.live().await?;
                self.ask_on(&self.link, &live, place, was_in_line, not_after_ms).await?
            }
            Some((replicas, link)) => {
                let link = link.lock().await;
                let live = link.live().await?;
                let answer = self.ask_on(&link, &live, place, was_in_line, not_after_ms).await?;
                if let Said::Held { .. } = answer.said {
                    self.wait_for(*replicas, &link, &live).await?;
                }
                answer
            }
        };
        self.learn_time(place.bucket, answer.now_ms);
        Ok(answer)
    }

    async fn ask_on(
        &self,
        link: &Link,
        live: &Live,
        place: &Place,
        was_in_line: bool,
        not_after_ms: i64,
    ) -> Result<Answer, Error> {
        let permits = match place.request.mode {
            Mode::Permits(permits) => permits.of().get(),
            _ => 0,
        };
        let call = self.call_on_line(Call::new(&ASK), place);
        let call = self.with_server(call, link, live, place.bucket);
        let call = call
            .arg(place.request.name.as_str())
            .arg(&place.member)
            .arg(not_after_ms)
            .arg(u8::from(was_in_line))
            // A majority has no line that all its servers agree on.
            .arg(u8::from(!self.is_one_of_many()))
            // Woken is who waits, on the connection that listens.
            .arg(self.link.client())
            .arg(place.request.description())
            .arg(permits);
        reply::answer(link.call(live, &call, "asking for the lock").await?)
    }

    /// Waits until enough replicas have what was written last.
    async fn wait_for(&self, replicas: Replicas, link: &Link, live: &Live) -> Result<(), Error> {
        let Replicas { number, within } = replicas;
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut wait = redis::cmd("WAIT");
        wait.arg(number).arg(within_ms);
        let confirmed: u32 = link.command(live, &wait, "waiting for replicas").await?;
        if confirmed >= number {
            return Ok(());
        }
        // The place is kept: asking again waits again, and who gives up leaves.
        let text =
            format!("{confirmed} of {number} replicas confirmed the grant within {within:?}");
        Err(Error::new(ErrorKind::Unavailable, text).with_unknown_outcome())
    }

    /// Gives a place up; says whether it was there. Until `doubt_ms` of the server's time a question of
    /// the claim may still be on its way.
    pub(crate) async fn leave(&self, place: &Place, doubt_ms: i64) -> Result<bool, Error> {
        let live = self.link.live().await?;
        let call = self.call_on_line(Call::new(&LEAVE), place);
        let call = call
            .arg(self.link.publish())
            .arg(channel(&self.options.prefix, place.bucket))
            .arg(place.request.name.as_str())
            .arg(&place.member)
            .arg(doubt_ms);
        let (removed, now_ms) = reply::left(self.link.call(&live, &call, "leaving").await?)?;
        self.learn_time(place.bucket, now_ms);
        Ok(removed)
    }

    /// Renews places of one bucket, each under its token, or "0" for a waiter.
    pub(crate) async fn renew(
        &self,
        bucket: Bucket,
        batch: &[(&Place, &str)],
    ) -> Result<Vec<Renewed>, Error> {
        let live = self.link.live().await?;
        let keys = self.bucket_keys(bucket);
        let call = Call::new(&RENEW).key(&keys.home).key(&keys.sizes).key(&keys.names);
        let mut call = self.with_server(call, &self.link, &live, bucket);
        for (place, token) in batch {
            call = call.key(&place.keys.line).key(&place.keys.term).key(&place.keys.place);
            call = call.arg(place.request.name.as_str()).arg(&place.member).arg(*token);
        }
        let answer = self.link.call(&live, &call, "renewing").await?;
        let (now_ms, renewed) = reply::renewed(answer, batch.len())?;
        self.learn_time(bucket, now_ms);
        Ok(renewed)
    }

    /// Gives a place a larger token, which later ones here are larger than; says whether it was there.
    pub(crate) async fn raise(&self, place: &Place, token: Token) -> Result<bool, Error> {
        let live = self.link.live().await?;
        let call = Call::new(&RAISE)
            .key(&self.bucket_keys(place.bucket).bucket)
            .key(&place.keys.term)
            .key(&place.keys.place)
            .arg(&place.member)
            .arg(token.get());
        let done = self.link.call(&live, &call, "writing the token back").await?;
        Ok(done == redis::Value::Int(1))
    }

    /// Makes a reader of a writer; says whether it held the lock.
    pub(crate) async fn downgrade(&self, place: &Place) -> Result<bool, Error> {
        let live = self.link.live().await?;
        let call = Call::new(&DOWNGRADE)
            .key(&self.bucket_keys(place.bucket).sizes)
            .key(&place.keys.line)
            .key(&place.keys.term)
            .key(&place.keys.place)
            .arg(self.link.publish())
            .arg(channel(&self.options.prefix, place.bucket))
            .arg(place.request.name.as_str())
            .arg(&place.member);
        let done = self.link.call(&live, &call, "downgrading").await?;
        Ok(done == redis::Value::Int(1))
    }

    pub(crate) fn bucket_keys(&self, bucket: Bucket) -> BucketKeys {
        BucketKeys::new(&self.options.prefix, bucket, self.options.topology == Topology::Cluster)
    }

    fn call_on_line<'a>(&self, call: Call<'a>, place: &Place) -> Call<'a> {
        let keys = self.bucket_keys(place.bucket);
        call.key(&keys.bucket)
            .key(&keys.sizes)
            .key(&keys.names)
            .key(&place.keys.line)
            .key(&place.keys.term)
            .key(&place.keys.place)
            .key(&left(&self.options.prefix, place.bucket, &place.member))
            .key(&keys.home)
    }

    /// The arguments that say which server we believe to speak to, and how to wake others there.
    pub(crate) fn with_server<'a>(
        &self,
        call: Call<'a>,
        link: &Link,
        live: &Live,
        bucket: Bucket,
    ) -> Call<'a> {
        call.arg(&live.facts.run_id)
            .arg(live.before(self.options.clock.now()))
            .arg(u64::try_from(self.options.term.as_millis()).unwrap_or(u64::MAX))
            .arg(link.publish())
            .arg(channel(&self.options.prefix, bucket))
    }

    fn is_one_of_many(&self) -> bool {
        self.options.topology == Topology::Quorum
    }

    /// The server's time, a little less than it is: the time its last answer took is missing.
    pub(crate) fn server_now_ms(&self, bucket: Bucket) -> i64 {
        self.local_ms() + self.ahead_ms[bucket.index()].load(Ordering::Acquire)
    }

    pub(crate) fn learn_time(&self, bucket: Bucket, server_now_ms: i64) {
        let ahead = server_now_ms - self.local_ms();
        self.ahead_ms[bucket.index()].store(ahead, Ordering::Release);
    }

    fn local_ms(&self) -> i64 {
        i64::try_from(self.options.clock.now().as_nanos() / 1_000_000).unwrap_or(i64::MAX)
    }

    /// The answer timeout in milliseconds.
    pub(crate) fn answer_ms(&self) -> i64 {
        i64::try_from(self.options.answer_timeout().as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Said;
    use sneck_core::{Caller, ClaimId, Name, Request};
    use sneck_testkit::{or_skip, redis::shared};

    /// One client, and a place that nobody else asks for.
    async fn alone(url: &str) -> (Store, Place) {
        let mut options = RedisOptions::parse(url).unwrap();
        options.prefix = format!("store-{}", ClaimId::random());
        let store = Store::new(options, None);
        store.open().await.unwrap();
        let place = place(&store);
        (store, place)
    }

    fn place(store: &Store) -> Place {
        let name = Name::new("alone").unwrap();
        let request = Request::new(name, Mode::Exclusive, Caller::anonymous());
        Place::new(&store.options.prefix, request)
    }

    /// A majority has no line: whoever is refused by one of its servers must not be in the way there.
    #[tokio::test]
    async fn who_does_not_wait_stays_in_no_line() {
        let servers = or_skip!(shared().await);
        let (store, holder) = alone(&servers.url()).await;
        let one_of_many = RedisOptions { topology: Topology::Quorum, ..(*store.options).clone() };
        let one_of_many = Store::new(one_of_many, None);
        one_of_many.open().await.unwrap();
        let not_after_ms = store.server_now_ms(holder.bucket) + store.answer_ms();
        let answer = store.ask(&holder, false, not_after_ms).await.unwrap();
        assert!(matches!(answer.said, Said::Held { .. }), "{answer:?}");
        let answer = one_of_many.ask(&place(&store), false, not_after_ms).await.unwrap();
        assert!(matches!(answer.said, Said::Waiting { .. }), "{answer:?}");
        assert_eq!(store.line(&holder.request.name).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_question_that_comes_too_late_takes_no_place() {
        let servers = or_skip!(shared().await);
        let (store, place) = alone(&servers.url()).await;
        // As one that sat in the buffer of a server that stood still.
        let not_after_ms = store.server_now_ms(place.bucket) - 1_000;
        let answer = store.ask(&place, false, not_after_ms).await.unwrap();
        assert!(matches!(answer.said, Said::Late), "{answer:?}");
        assert!(store.line(&place.request.name).await.unwrap().is_empty());
    }

    /// The tokens of a majority's servers differ: what was agreed on is the floor of each.
    #[tokio::test]
    async fn a_token_that_was_written_back_is_a_floor() {
        let servers = or_skip!(shared().await);
        let (store, place) = alone(&servers.url()).await;
        let granted = async || {
            let not_after_ms = store.server_now_ms(place.bucket) + store.answer_ms();
            let answer = store.ask(&place, false, not_after_ms).await.unwrap();
            let Said::Held { token, .. } = answer.said else { panic!("{answer:?}") };
            token
        };
        // By an hour more than any clock would give.
        let agreed = Token::new(granted().await.get() + 3_600_000_000).unwrap();
        assert!(store.raise(&place, agreed).await.unwrap(), "it holds the lock");
        assert_eq!(granted().await, agreed, "asking again finds it");
        assert!(store.leave(&place, 0).await.unwrap());
        assert!(!store.raise(&place, agreed).await.unwrap(), "it holds nothing any more");
        assert!(granted().await > agreed);
    }

    /// A question can overtake the release of its own claim, on another connection.
    #[tokio::test]
    async fn a_question_that_arrives_after_its_claim_has_left_takes_no_place() {
        let servers = or_skip!(shared().await);
        let (store, place) = alone(&servers.url()).await;
        // Until then the question is not refused for being late.
        let not_after_ms = store.server_now_ms(place.bucket) + 600_000;
        assert!(!store.leave(&place, not_after_ms).await.unwrap(), "nothing was there");
        let answer = store.ask(&place, false, not_after_ms).await.unwrap();
        assert!(matches!(answer.said, Said::Gone), "{answer:?}");
        assert!(store.line(&place.request.name).await.unwrap().is_empty());
    }
}
