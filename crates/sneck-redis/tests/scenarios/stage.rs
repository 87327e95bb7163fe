//! What the scenarios are played with.

use sneck_core::{
    Backend, Caller, ClaimId, Error, Guard, Locker, Mode, Name, Patience, Request, SystemClock,
    Token,
};
use sneck_redis::{Redis, RedisOptions};
use sneck_testkit::within;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

pub(crate) fn name() -> Name {
    Name::new("jobs/nightly").unwrap()
}

pub(crate) fn request(mode: Mode) -> Request {
    Request::new(name(), mode, Caller::anonymous())
}

/// A prefix that nobody else uses.
pub(crate) fn prefix() -> String {
    format!("test-{}", ClaimId::random())
}

pub(crate) fn options(url: &str, prefix: &str, term: Duration) -> RedisOptions {
    let mut options = RedisOptions::parse(url).unwrap();
    (options.prefix, options.term) = (prefix.to_owned(), term);
    options
}

/// One client.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) redis: Redis,
    pub(crate) locker: Locker,
}

impl Client {
    pub(crate) async fn new(url: &str, prefix: &str, term: Duration) -> Client {
        Client::with(options(url, prefix, term)).await
    }

    pub(crate) async fn with(options: RedisOptions) -> Client {
        let clock = options.clock.clone();
        let redis = within("connecting", Redis::connect(options)).await.unwrap();
        Client { locker: Locker::new(Arc::new(redis.clone()), clock), redis }
    }

    pub(crate) async fn hold(&self) -> Guard {
        let acquired = self.locker.acquire(request(Mode::Exclusive), Patience::Forever);
        within("the lock", acquired).await.unwrap().unwrap()
    }

    pub(crate) async fn try_hold(&self) -> Result<Option<Guard>, Error> {
        within("trying", self.locker.acquire(request(Mode::Exclusive), Patience::Once)).await
    }

    pub(crate) async fn in_line(&self) -> usize {
        let survey = self.redis.survey().unwrap();
        within("the line", survey.line(&name())).await.unwrap().len()
    }

    pub(crate) async fn until_in_line(&self, length: usize) {
        let reached = async {
            while self.in_line().await != length {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within(&format!("a line of {length}"), reached).await;
    }
}

/// A resource that checks tokens: the judge of every scenario.
#[derive(Default)]
pub(crate) struct Register(Mutex<Option<Token>>);

impl Register {
    /// Whether the write is taken: no larger token was seen before.
    pub(crate) fn write(&self, token: Token) -> bool {
        let mut last = self.0.lock().unwrap();
        let newer = Some(token) >= *last;
        if newer {
            *last = Some(token);
        }
        newer
    }
}

/// A clock for the locker where the test has no other.
pub(crate) fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock)
}
