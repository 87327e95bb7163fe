//! The pictures of the curves.

use std::fs;
use std::io;
use std::path::Path;

use crate::curve::Curve;
use crate::picture::{Bar, Bars, Group, Line, Lines, Scale};
use crate::reading::readable;

/// Draws what there is of the curves into a folder.
pub(crate) fn draw(curves: &[Curve], folder: &Path, quick: bool) -> io::Result<()> {
    let suffix = if quick { "-quick" } else { "" };
    let put =
        |name: &str, svg: String| fs::write(folder.join(format!("scale-{name}{suffix}.svg")), svg);
    for side in ["client", "server"] {
        let memory = lines(&format!("Memory of the {side}"), "bytes each", curves, "memory", side);
        put(&format!("memory-{side}"), memory.to_svg())?;
        let title = format!("Processor time of the {side} while nothing happens");
        let idle = lines(&title, "ns per second each", curves, "processor", side);
        put(&format!("idle-{side}"), idle.to_svg())?;
    }
    put("hand-off", hand_offs(curves).to_svg())
}

/// The curves that say how much of this a side uses, a line for each.
fn lines(title: &str, y: &str, curves: &[Curve], of: &str, side: &str) -> Lines {
    let prefix = format!("{of} of the {side} for ");
    let line = |curve: &Curve| {
        let name = curve.what.strip_prefix(&prefix)?.replace(", idle", "");
        Some(Line { name, points: curve.points.clone() })
    };
    Lines {
        title: title.to_owned(),
        x: "how many".to_owned(),
        y: y.to_owned(),
        lines: curves.iter().filter_map(line).collect(),
    }
}

/// What is sent for each hand-off, a group for each kind of line and how many are in it.
fn hand_offs(curves: &[Curve]) -> Bars {
    let of = |kind: &str| {
        let prefix = format!("{kind} for each hand-off, ");
        curves
            .iter()
            .filter_map(|curve| Some((curve.what.strip_prefix(&prefix)?.to_owned(), curve)))
            .collect::<Vec<_>>()
    };
    let (requests, events) = (of("requests"), of("events"));
    let bar = |value: f64| Some(Bar { value, label: readable(value) });
    let mut groups = Vec::new();
    for ((line, requests), (_, events)) in requests.iter().zip(&events) {
        for ((size, requests), (_, events)) in requests.points.iter().zip(&events.points) {
            let name = format!("{line}: {size:.0}");
            groups.push(Group { name, bars: vec![bar(*requests), bar(*events)] });
        }
    }
    Bars {
        title: "What is sent to hand a lock over".to_owned(),
        unit: "for each hand-off".to_owned(),
        scale: Scale::Linear,
        series: vec!["requests".to_owned(), "events".to_owned()],
        groups,
    }
}
