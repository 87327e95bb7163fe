//! Pictures of what was measured, as SVG: [bars](Bars) beside each other, and [lines](Lines) over a quantity that grows.

mod axis;
mod bars;
mod lines;
mod svg;

pub(crate) use axis::Scale;
pub(crate) use bars::{Bar, Bars, Group};
pub(crate) use lines::{Line, Lines};

/// One colour for each bar of a group and each line, told apart also by those who do not see all colours
/// (the palette of Okabe and Ito, without its yellow, which is hard to see on white).
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// The colour of the series with this number; they come round again.
fn colour(series: usize) -> &'static str {
    COLOURS[series % COLOURS.len()]
}
