//! A store whose clients share places in its lines, each with itself.

use super::Subject;
use async_trait::async_trait;
use sneck_core::{Backend, Clock, Name, Sharing};
use std::sync::Arc;

/// A store whose clients share places in its lines, each with itself, however the claims of a case are
/// not made one by one.
#[derive(Debug)]
pub struct SharedPlaces<S>(pub S, pub Sharing);

#[async_trait]
impl<S: Subject> Subject for SharedPlaces<S> {
    async fn client(&self, case: &'static str) -> Arc<dyn Backend> {
        self.0.client(case).await
    }

    async fn mortal(&self, case: &'static str) -> Arc<dyn Backend> {
        self.0.mortal(case).await
    }

    async fn clear(&self, case: &'static str, name: &Name) {
        self.0.clear(case, name).await;
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.0.clock()
    }

    fn sharing(&self) -> Option<Sharing> {
        Some(self.1)
    }
}
