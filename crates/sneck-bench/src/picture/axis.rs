//! An axis: from a quantity to a place in the picture.

/// How places on an axis follow from quantities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// By difference, from nothing on.
    Linear,
    /// By ratio, from a power of ten to another. What is not above zero has no place.
    Log,
}

/// An axis that has room for some quantities.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

/// About how many steps a linear axis has.
const STEPS: f64 = 5.0;

impl Axis {
    /// The axis for these quantities, which ends where a reader expects it to.
    pub(super) fn over(scale: Scale, values: impl IntoIterator<Item = f64>) -> Axis {
        let values = values.into_iter().filter(|value| value.is_finite() && *value > 0.0);
        let (low, high) = values
            .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if high > 0.0 { (low, high) } else { (1.0, 1.0) };
        match scale {
            Scale::Linear => {
                let step = step(high);
                Axis { scale, low: 0.0, high: (high / step).ceil() * step }
            }
            Scale::Log => {
                let low = low.log10().floor();
                let high = high.log10().ceil().max(low + 1.0);
                Axis { scale, low: 10_f64.powf(low), high: 10_f64.powf(high) }
            }
        }
    }

    /// Where a quantity is, from 0 to 1; `None` where the axis has no place for it.
    pub(super) fn at(&self, value: f64) -> Option<f64> {
        let part = match self.scale {
            Scale::Linear => value / self.high,
            Scale::Log if value <= 0.0 => return None,
            Scale::Log => (value / self.low).log10() / (self.high / self.low).log10(),
        };
        part.is_finite().then(|| part.clamp(0.0, 1.0))
    }

    /// The quantities that are written at the axis.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.high);
                let steps = (self.high / step).round() as usize;
                (0..=steps).map(|at| at as f64 * step).collect()
            }
            Scale::Log => {
                let first = self.low.log10().round() as i32;
                let last = self.high.log10().round() as i32;
                (first..=last).map(|power| 10_f64.powi(power)).collect()
            }
        }
    }
}

/// A step of 1, 2 or 5 times a power of ten.
fn step(high: f64) -> f64 {
    let rough = high / STEPS;
    let power = 10_f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= rough);
    times.unwrap_or(10.0) * power
}

/// A quantity as it is written at an axis: 0.01, 5, 20k, 1M.
pub(super) fn short(value: f64) -> String {
    let (value, suffix) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    // Three digits that count are enough at an axis, and hide what adding up steps leaves behind.
    let digits = if value == 0.0 { 0 } else { 2 - value.abs().log10().floor() as i32 };
    let written = format!("{value:.*}", usize::try_from(digits).unwrap_or(0));
    let written = match written.contains('.') {
        true => written.trim_end_matches('0').trim_end_matches('.'),
        false => &written,
    };
    format!("{written}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_begins_with_nothing_and_ends_with_a_round_number() {
        let axis = Axis::over(Scale::Linear, [3.0, 8.7]);
        assert_eq!(axis.ticks(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!((axis.at(0.0), axis.at(5.0), axis.at(10.0)), (Some(0.0), Some(0.5), Some(1.0)));
    }

    #[test]
    fn a_log_axis_runs_from_a_power_of_ten_to_another() {
        let axis = Axis::over(Scale::Log, [0.05, 20.0]);
        assert_eq!(axis.ticks(), [0.01, 0.1, 1.0, 10.0, 100.0]);
        assert_eq!(axis.at(1.0), Some(0.5));
        assert_eq!(axis.at(0.0), None);
    }

    #[test]
    fn nothing_and_a_single_quantity_have_an_axis_too() {
        assert_eq!(Axis::over(Scale::Linear, []).ticks().last(), Some(&1.0));
        assert_eq!(Axis::over(Scale::Log, [100.0]).ticks(), [100.0, 1000.0]);
        assert_eq!(Axis::over(Scale::Log, [f64::NAN, 0.0]).ticks(), [1.0, 10.0]);
    }

    #[test]
    fn quantities_are_short() {
        let written = [0.0, 0.01, 0.1 + 0.2, 5.0, 250.0, 1_000.0, 12_500.0, 1e6, 2e9].map(short);
        assert_eq!(written, ["0", "0.01", "0.3", "5", "250", "1k", "12.5k", "1M", "2G"]);
    }
}
