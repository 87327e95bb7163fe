//! A reading: a quantity that is no ratio of rounds, such as memory, or what stood in the way.

use serde_json::{Value, json};

/// One quantity, of sneck, of what it is compared with, or of the machine.
#[derive(Debug)]
pub(crate) struct Reading {
    /// What was read.
    pub(crate) what: String,
    /// What it is measured in; nothing for plain numbers.
    pub(crate) unit: &'static str,
    /// Of sneck, or of the machine if there is no other.
    pub(crate) ours: Option<f64>,
    pub(crate) theirs: Option<f64>,
}

impl Reading {
    pub(crate) fn to_json(&self) -> Value {
        let Reading { what, unit, ours, theirs } = self;
        json!({ "what": what, "unit": unit, "ours": ours, "theirs": theirs })
    }
}

/// With three digits that count, for people.
pub(crate) fn readable(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size < 0.1 => format!("{number:.4}"),
        _ => format!("{number:.2}"),
    }
}
