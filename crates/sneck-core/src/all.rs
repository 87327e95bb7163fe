//! Several locks as one: all or none.

use crate::claim::{Claim, Grant, Standing, Term};
use crate::error::Error;
use crate::name::Name;
use async_trait::async_trait;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// One claim on several locks, which are taken one after the other in the order of their names.
///
/// Where every client takes locks in one order, none can wait in a circle. A store that can take all
/// places at once, in one transaction, does better: see [`Backend::claim_all`](crate::Backend::claim_all).
///
/// Claims with a lease of a [session](Term::Session) must share one lease: the loss of one is the loss
/// of all.
pub fn in_order(mut claims: Vec<(Name, Box<dyn Claim>)>) -> Box<dyn Claim> {
    claims.sort_by(|(a, _), (b, _)| a.cmp(b));
    Box::new(InOrder { claims, asked: 0, term: None })
}

struct InOrder {
    claims: Vec<(Name, Box<dyn Claim>)>,
    /// How many have been asked, and so may have a place.
    asked: usize,
    /// The shortest term of those that are held while others are waited for.
    term: Option<Duration>,
}

#[async_trait]
impl Claim for InOrder {
    async fn ask(&mut self) -> Result<Standing, Error> {
        let mut grants = Vec::with_capacity(self.claims.len());
        for (at, (name, claim)) in self.claims.iter_mut().enumerate() {
            self.asked = self.asked.max(at + 1);
            match claim.ask().await.map_err(|error| error.with_lock(name))? {
                Standing::Held(grant) => {
                    if let Term::Fixed(term) = grant.term {
                        self.term = Some(self.term.map_or(term, |shortest| shortest.min(term)));
                    }
                    grants.push((name.clone(), grant));
                }
                other => return Ok(other),
            }
        }
        Ok(joint(grants).map_or_else(|| unreachable!("of no locks"), Standing::Held))
    }

    async fn changed(&mut self) {
        let asked = &mut self.claims[..self.asked];
        let mut changes: Vec<_> = asked.iter_mut().map(|(_, claim)| claim.changed()).collect();
        let any = poll_fn(|context| {
            let ready = changes.iter_mut().any(|change| change.as_mut().poll(context).is_ready());
            if ready { Poll::Ready(()) } else { Poll::Pending }
        });
        // What is held while the rest is waited for wants to be renewed, as the core does for a guard.
        let renewal = async {
            match self.term {
                Some(term) => tokio::time::sleep(term / 3).await,
                None => pending().await,
            }
        };
        let (any, renewal) = (pin!(any), pin!(renewal));
        tokio::select! {
            biased;
            () = any => {}
            () = renewal => {}
        }
    }

    async fn leave(&mut self) -> Result<(), Error> {
        let mut result = Ok(());
        // The last that was taken first, so that whoever follows in the same order finds all of them.
        for (name, claim) in self.claims.iter_mut().rev() {
            if let Err(error) = claim.leave().await {
                result = Err(error.with_lock(name));
            }
        }
        result
    }
}

/// One grant of all: good for as long as the shortest, with the largest token.
///
/// `None` for none.
pub fn joint(grants: Vec<(Name, Grant)>) -> Option<Grant> {
    let tokens: Vec<_> = grants.iter().map(|(name, grant)| (name.clone(), grant.token)).collect();
    let revoked = grants.iter().any(|(_, grant)| grant.revoked);
    let all = grants.into_iter().map(|(_, grant)| grant).reduce(|all, grant| {
        let token = all.token.max(grant.token);
        let term = match (all.term, grant.term) {
            (Term::Fixed(one), Term::Fixed(other)) => Term::Fixed(one.min(other)),
            (Term::Session(lease), _) | (_, Term::Session(lease)) => Term::Session(lease),
        };
        Grant { term, ..Grant::new(token, Term::Fixed(Duration::ZERO)) }
    });
    all.map(|all| Grant { revoked, tokens, ..all })
}
