//! A claim on several locks of ZooKeeper, whose places are all taken in one transaction.
//!
//! All lines then have all such claims in one order, that of the transactions: of two that share locks,
//! one is ahead of the other wherever they meet. So there is nothing to wait for in a circle, in whatever
//! order each of them names its locks.
//!
//! Each place is a [`Seat`](super::seat::Seat) like any other. Only its entrance is performed here, for
//! all of them; from then on each is asked by itself.

use super::claim::ZooKeeperClaim;
use super::failure;
use super::step::{Answer, Next, Step};
use crate::error::RequestError;
use crate::session::{Created, Session};
use async_trait::async_trait;
use sneck_core::{Claim, Error, ErrorKind, Loss, Standing, joint};
use sneck_wire::{ErrorCode, MultiOp, MultiResult};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

pub(crate) struct Together {
    claims: Vec<ZooKeeperClaim>,
}

impl Together {
    /// A claim on all of these, none of which has been asked.
    pub(crate) fn new(claims: Vec<ZooKeeperClaim>) -> Self {
        Together { claims }
    }

    /// Makes sure that all places are taken; `false` when some are and others are not, which never comes
    /// of a transaction.
    async fn enter(&mut self) -> Result<bool, Error> {
        loop {
            let mut nowhere = 0;
            for claim in &mut self.claims {
                claim.settle().await?;
                nowhere += usize::from(claim.seat()?.is_nowhere());
            }
            match nowhere {
                0 => return Ok(true),
                all if all == self.claims.len() => self.enter_all().await?,
                _ => return Ok(false),
            }
        }
    }

    async fn enter_all(&mut self) -> Result<(), Error> {
        let Some(first) = self.claims.first_mut() else { return Ok(()) };
        let session = first.choose_session().await?;
        for claim in &mut self.claims {
            claim.join_session(session.clone());
            while claim.seat()?.lacks_parent() {
                claim.step().await?;
                if session.state().borrow().end().is_some() {
                    // The next attempt is made on another session, by all of them.
                    return Ok(());
                }
            }
        }
        let mut creates = Vec::with_capacity(self.claims.len());
        for claim in &mut self.claims {
            match claim.seat()?.next() {
                Next::Do(Step::Enter(path)) => creates.push(claim.create(path)),
                other => {
                    let text = format!("a place that is not taken comes to {other:?}");
                    return Err(Error::new(ErrorKind::Internal, text));
                }
            }
        }
        // Nothing is awaited since the seats were told, so that a future that is dropped leaves them
        // either all unsettled or all outside.
        let entered = session.multi(creates.into_iter().map(MultiOp::Create2).collect());
        self.entered(&session, entered.await).await
    }

    async fn entered(
        &mut self,
        session: &Session,
        results: Result<Vec<MultiResult>, RequestError>,
    ) -> Result<(), Error> {
        let failed = match &results {
            Ok(results) => failure::of_results(results).map(|code| (culprit(results), code)),
            Err(_) => None,
        };
        let mut outcome = Ok(());
        for (at, claim) in self.claims.iter_mut().enumerate() {
            let created = match (&results, failed) {
                (Err(error), _) => Err(error.clone()),
                (_, Some((culprit, code))) if culprit == at => Err(RequestError::Refused(code)),
                (_, Some(_)) => {
                    claim.seat()?.not_entered();
                    continue;
                }
                (Ok(results), None) => created(&results[at]),
            };
            // The line is listed when the place is asked for.
            let children = Err(RequestError::Interrupted);
            let told = claim.seat()?.on(Answer::Entered { created, children });
            if let Err(error) = told {
                outcome = Err(claim.locate(error));
            }
        }
        if let Err(RequestError::Over { .. }) = results {
            super::claim::session_over(Some(session)).await;
        }
        outcome
    }
}

#[async_trait]
impl Claim for Together {
    async fn ask(&mut self) -> Result<Standing, Error> {
        if !self.enter().await? {
            return Ok(Standing::Gone(Loss::Removed));
        }
        let asked = join(self.claims.iter_mut().map(|claim| claim.ask()).collect()).await;
        let mut grants = Vec::with_capacity(asked.len());
        let mut waiting = None;
        let mut failed = None;
        for (claim, standing) in self.claims.iter().zip(asked) {
            match standing {
                Ok(Standing::Held(grant)) => grants.push((claim.name().clone(), grant)),
                Ok(Standing::Gone(loss)) => return Ok(Standing::Gone(loss)),
                Ok(standing) => waiting = waiting.or(Some(standing)),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match (failed, waiting, joint(grants)) {
            (Some(error), ..) => Err(error),
            (_, Some(waiting), _) => Ok(waiting),
            (_, _, Some(grant)) => Ok(Standing::Held(grant)),
            _ => Err(Error::new(ErrorKind::Internal, "a claim on no locks")),
        }
    }

    async fn changed(&mut self) {
        let mut changes: Vec<_> = self.claims.iter_mut().map(|claim| claim.changed()).collect();
        let any = poll_fn(|context| {
            let ready = changes.iter_mut().any(|change| change.as_mut().poll(context).is_ready());
            if ready { Poll::Ready(()) } else { Poll::Pending }
        });
        any.await;
    }

    async fn leave(&mut self) -> Result<(), Error> {
        let left = join(self.claims.iter_mut().map(|claim| claim.leave()).collect()).await;
        left.into_iter().collect()
    }

    fn let_go(&mut self) -> bool {
        // Each begins, also after one that cannot.
        let begun: Vec<_> = self.claims.iter_mut().map(|claim| claim.let_go()).collect();
        begun.into_iter().all(|begun| begun)
    }
}

/// Which operation a transaction failed of.
fn culprit(results: &[MultiResult]) -> usize {
    let is_consequence = |result: &MultiResult| {
        matches!(result, MultiResult::Error(ErrorCode::OK | ErrorCode::RUNTIME_INCONSISTENCY))
    };
    results.iter().position(|result| !is_consequence(result)).unwrap_or(0)
}

fn created(result: &MultiResult) -> Result<Created, RequestError> {
    match result {
        MultiResult::Create { path, stat: Some(stat) } => {
            Ok(Created { path: path.clone(), stat: *stat })
        }
        // Some servers do not tell the rest, so the node is looked for as if the answer had been lost.
        _ => Err(RequestError::Interrupted),
    }
}

type Asked<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// All of them at once: their requests share their round trips.
async fn join<T>(mut futures: Vec<Asked<'_, T>>) -> Vec<T> {
    let mut outputs: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let all = poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let Poll::Ready(done) = future.as_mut().poll(context)
            {
                *output = Some(done);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    });
    all.await;
    outputs.into_iter().flatten().collect()
}
