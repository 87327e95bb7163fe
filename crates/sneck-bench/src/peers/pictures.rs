//! Pictures of how long each library takes, one for each server.

use std::fs;
use std::io;
use std::path::Path;

use crate::figure::{Figure, Verdict};
use crate::picture::{Bar, Bars, Group, Scale};
use crate::reading::readable;

/// Draws them into a folder: what was measured on the first server is `peers-1.svg`.
pub(crate) fn draw(figures: &[Figure], folder: &Path, quick: bool) -> io::Result<()> {
    let suffix = if quick { "-quick" } else { "" };
    for (at, figures) in figures.chunk_by(|a, b| a.scene == b.scene).enumerate() {
        let file = folder.join(format!("peers-{}{suffix}.svg", at + 1));
        fs::write(file, picture(figures).to_svg())?;
    }
    Ok(())
}

/// Lengths are times, also where more is better, so that short bars are good in all of them.
fn picture(figures: &[Figure]) -> Bars {
    let mut series: Vec<&str> = Vec::new();
    for name in figures.iter().flat_map(|figure| [figure.ours, figure.theirs]) {
        if !series.contains(&name) {
            series.push(name);
        }
    }
    let mut whats: Vec<&str> = Vec::new();
    for figure in figures.iter().filter(|figure| time(figure, 1.0).is_some()) {
        if !whats.contains(&figure.what) {
            whats.push(figure.what);
        }
    }
    let group = |what: &&str| {
        let of_it: Vec<&Figure> = figures.iter().filter(|figure| figure.what == *what).collect();
        let bars = series.iter().map(|name| bar(&of_it, name)).collect();
        Group { name: what.replace(", more is better", ", each"), bars }
    };
    Bars {
        title: figures.first().map_or_else(String::new, |figure| figure.scene.to_owned()),
        unit: match figures.first() {
            Some(figure) if figure.unit == MS => "milliseconds, by powers; shorter is better",
            _ => "microseconds, by powers; shorter is better",
        }
        .to_owned(),
        scale: Scale::Log,
        groups: whats.iter().map(group).collect(),
        series: series.into_iter().map(str::to_owned).collect(),
    }
}

const MS: &str = "ms";

/// A quantity of a figure as a time; nothing if it is none that is waited for.
fn time(figure: &Figure, quantity: f64) -> Option<f64> {
    match figure.unit {
        "locks/s" => Some(1e6 / quantity),
        _ if figure.what.contains("processor") => None,
        _ => Some(quantity),
    }
}

/// Of one library, with how many times ours it takes where that can be told.
fn bar(figures: &[&Figure], name: &str) -> Option<Bar> {
    if let Some(figure) = figures.iter().find(|figure| figure.theirs == name) {
        let value = time(figure, figure.theirs_median())?;
        let times = |ratio: f64| match figure.unit {
            "locks/s" => readable(ratio),
            _ => readable(1.0 / ratio),
        };
        let label = match figure.verdict() {
            Verdict::Is(ratio) => format!("{}, {} times ours", readable(value), times(ratio)),
            Verdict::AtMost(ratio) | Verdict::AtLeast(ratio) => {
                let side =
                    if value < time(figure, figure.ours_median())? { "most" } else { "least" };
                format!("{}, at {side} {} times ours", readable(value), times(ratio))
            }
            Verdict::Nothing => readable(value),
        };
        return Some(Bar { value, label });
    }
    let figure = figures.iter().find(|figure| figure.ours == name)?;
    let value = time(figure, figure.ours_median())?;
    Some(Bar { value, label: readable(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(what: &'static str, unit: &'static str, ours: f64, theirs: f64) -> Figure {
        let rounds = vec![(ours, theirs); 9];
        Figure { what, unit, scene: "a server", ours: "sneck", theirs: "kazoo", rounds }
    }

    #[test]
    fn lengths_are_times_whatever_was_measured() {
        let figures = [
            figure("lock + unlock", "us", 100.0, 300.0),
            figure("64 locks, more is better", "locks/s", 10_000.0, 5_000.0),
            figure("processor time", "us", 1.0, 2.0),
        ];
        let drawn = picture(&figures);
        assert_eq!(drawn.series, ["sneck", "kazoo"]);
        let names: Vec<&str> = drawn.groups.iter().map(|group| &*group.name).collect();
        assert_eq!(names, ["lock + unlock", "64 locks, each"]);
        let labels = drawn.groups.iter().flat_map(|group| group.bars.iter().flatten());
        let labels: Vec<&str> = labels.map(|bar| &*bar.label).collect();
        assert_eq!(labels, ["100", "300, 3.00 times ours", "100", "200, 2.00 times ours"]);
    }
}
