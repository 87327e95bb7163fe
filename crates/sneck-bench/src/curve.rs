//! A curve: what a quantity becomes where another grows.

use serde_json::{Value, json};

/// One quantity at several sizes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    /// What was measured.
    pub(crate) what: String,
    /// What it is measured in.
    pub(crate) unit: String,
    /// What grows.
    pub(crate) over: String,
    /// How much of that there was, and the quantity.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Curve {
    pub(crate) fn new(what: &str, unit: &str, over: &str) -> Curve {
        let (what, unit, over) = (what.to_owned(), unit.to_owned(), over.to_owned());
        Curve { what, unit, over, points: Vec::new() }
    }

    /// Adds what was measured at a size.
    pub(crate) fn put(&mut self, size: usize, quantity: f64) {
        self.points.push((size as f64, quantity));
    }

    pub(crate) fn to_json(&self) -> Value {
        let Curve { what, unit, over, points } = self;
        json!({ "what": what, "unit": unit, "over": over, "points": points })
    }

    /// Reads what [`to_json`](Curve::to_json) has written.
    pub(crate) fn from_json(value: &Value) -> Option<Curve> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let point = |point: &Value| Some((point[0].as_f64()?, point[1].as_f64()?));
        let points = value["points"].as_array()?.iter().map(point).collect::<Option<_>>()?;
        Some(Curve { what: text("what")?, unit: text("unit")?, over: text("over")?, points })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut curve = Curve::new("memory", "bytes", "locks");
        curve.put(1_000, 1.5);
        curve.put(10_000, 0.1 + 0.2);
        assert_eq!(Curve::from_json(&curve.to_json()), Some(curve));
        assert_eq!(Curve::from_json(&json!({ "what": "memory" })), None);
    }
}
