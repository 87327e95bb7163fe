//! Looking on from outside the line: who holds a lock, and every change of that.

use crate::acquire::Locker;
use crate::backoff::Backoff;
use crate::contender::Contender;
use crate::error::{Error, ErrorKind};
use crate::name::Name;
use std::time::Duration;

/// Who holds a lock, and every change of that.
///
/// Changes that follow each other faster than the store can be asked are told as one.
#[derive(Debug)]
pub struct Observer {
    locker: Locker,
    name: Name,
    /// What was told last; nothing at first.
    told: Option<Option<Contender>>,
    backoff: Backoff,
}

impl Observer {
    /// Looks at the lock of this name.
    pub fn new(locker: Locker, name: Name) -> Self {
        let (first, max) = (Duration::from_millis(50), Duration::from_secs(2));
        let backoff = Backoff::new(first, max, locker.seed());
        Observer { locker, name, told: None, backoff }
    }

    /// At first who holds the lock, then each time somebody else does; `None` when nobody does. While the
    /// store cannot be reached, waits.
    ///
    /// # Errors
    /// When the store refuses, or cannot show its lines.
    ///
    /// # Cancel safety
    /// Cancel safe: what was not told is told by the next call.
    pub async fn next(&mut self) -> Result<Option<Contender>, Error> {
        let backend = self.locker.backend().clone();
        let survey = backend.survey().ok_or_else(|| {
            Error::new(ErrorKind::Refused, "this store cannot show who holds a lock")
                .with_backend(&backend.label())
        })?;
        loop {
            match survey.line(&self.name).await {
                Ok(line) => {
                    let holder = line.into_iter().next();
                    if self.is_news(holder.as_ref()) {
                        self.backoff.reset();
                        self.told = Some(holder.clone());
                        return Ok(holder);
                    }
                }
                Err(error) if error.is_transient() => {
                    tokio::time::sleep(self.backoff.pause()).await;
                    continue;
                }
                Err(error) => return Err(error.with_lock(&self.name)),
            }
            let seen = self.told.as_ref().and_then(Option::as_ref);
            let changed = survey.holder_changed(&self.name, seen);
            // As for those who wait in line: what was not told is seen some time later.
            let recheck = self.backoff.jitter(self.locker.limits().recheck);
            match tokio::time::timeout(recheck, changed).await {
                Ok(Err(error)) if error.is_transient() => {
                    tokio::time::sleep(self.backoff.pause()).await;
                }
                Ok(Err(error)) => return Err(error.with_lock(&self.name)),
                Ok(Ok(())) | Err(_) => {}
            }
        }
    }

    fn is_news(&self, holder: Option<&Contender>) -> bool {
        let place = |of: Option<&Contender>| of.map(|of| (of.place.clone(), of.token));
        match &self.told {
            None => true,
            Some(told) => place(told.as_ref()) != place(holder),
        }
    }
}
