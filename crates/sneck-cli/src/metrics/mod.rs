//! What `sneck serve` counts, for Prometheus: `--metrics`.

mod exposition;
mod http;

pub(crate) use http::Metrics;
