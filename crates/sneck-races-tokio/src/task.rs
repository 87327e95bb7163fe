//! Tasks.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A task that can be waited for.
#[derive(Debug)]
pub struct JoinHandle<T>(pub(crate) Option<shuttle::future::JoinHandle<T>>);

/// The task's runtime was shut down before the task was done.
#[derive(Debug)]
pub struct JoinError;

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(task) => Pin::new(task).poll(cx).map(|done| done.map_err(|_| JoinError)),
            None => Poll::Ready(Err(JoinError)),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime was shut down")
    }
}

impl std::error::Error for JoinError {}
