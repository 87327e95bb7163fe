//! Bars that lie beside each other in groups: several who did the same work, for some kinds of work.

use super::axis::{Axis, Scale, short};
use super::colour;
use super::svg::{Anchor, GREY, Svg};

/// A picture of grouped bars, which lie so that the names of groups can be long.
#[derive(Debug)]
pub(crate) struct Bars {
    /// What is seen.
    pub(crate) title: String,
    /// What the bars' lengths are measured in.
    pub(crate) unit: String,
    /// Whether lengths compare by difference or by ratio.
    pub(crate) scale: Scale,
    /// Who is compared, in the order of their colours.
    pub(crate) series: Vec<String>,
    /// From top to bottom.
    pub(crate) groups: Vec<Group>,
}

/// What belongs together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// One for each of the series; `None` where one has nothing to show.
    pub(crate) bars: Vec<Option<Bar>>,
}

/// One quantity.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) value: f64,
    /// What stands behind it, for instance a ratio.
    pub(crate) label: String,
}

const WIDTH: f64 = 900.0;
/// Where bars begin: the names of groups are left of it.
const LEFT: f64 = 260.0;
/// What is left free on the right, for the label of the longest bar.
const RIGHT: f64 = 130.0;
/// Room for the title and the names of the series.
const TOP: f64 = 70.0;
/// Room for the axis.
const BOTTOM: f64 = 50.0;
const BAR: f64 = 17.0;
const BETWEEN_GROUPS: f64 = 14.0;
/// How far a text's foot is below the middle of what it belongs to.
const FOOT: f64 = 4.5;

impl Bars {
    /// The picture as a file.
    pub(crate) fn to_svg(&self) -> String {
        let bars: usize = self.groups.iter().map(|group| group.bars.len()).sum();
        let height = TOP + bars as f64 * BAR + self.groups.len() as f64 * BETWEEN_GROUPS + BOTTOM;
        let values = self.groups.iter().flat_map(|group| group.bars.iter().flatten());
        let axis = Axis::over(self.scale, values.map(|bar| bar.value));
        let mut svg = Svg::new(WIDTH, height, &self.title);
        svg.heading((16.0, 26.0), &self.title);
        self.put_names(&mut svg);
        self.put_axis(&mut svg, &axis, height - BOTTOM);
        let mut y = TOP + BETWEEN_GROUPS / 2.0;
        for group in &self.groups {
            y = group.put(&mut svg, &axis, y) + BETWEEN_GROUPS;
        }
        svg.finish()
    }

    fn put_names(&self, svg: &mut Svg) {
        let mut x = 16.0;
        for (at, name) in self.series.iter().enumerate() {
            svg.rect((x, 41.0), (12.0, 12.0), colour(at));
            svg.text((x + 18.0, 51.5), Anchor::Start, name);
            // How wide a text becomes is known only where it is shown; this is ample.
            x += 46.0 + 7.5 * name.chars().count() as f64;
        }
    }

    fn put_axis(&self, svg: &mut Svg, axis: &Axis, bottom: f64) {
        for tick in axis.ticks() {
            let x = x_of(axis, tick);
            svg.line((x, TOP), (x, bottom), GREY);
            svg.text((x, bottom + 17.0), Anchor::Middle, &short(tick));
        }
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        svg.text((middle, bottom + 38.0), Anchor::Middle, &self.unit);
    }
}

impl Group {
    /// Draws from `y` down, and says where it ends.
    fn put(&self, svg: &mut Svg, axis: &Axis, y: f64) -> f64 {
        let height = self.bars.len() as f64 * BAR;
        svg.text((LEFT - 10.0, y + height / 2.0 + FOOT), Anchor::End, &self.name);
        for (at, bar) in self.bars.iter().enumerate() {
            let Some(bar) = bar else { continue };
            let (top, end) = (y + at as f64 * BAR, x_of(axis, bar.value));
            svg.rect((LEFT, top + 1.0), (end - LEFT, BAR - 2.0), colour(at));
            svg.text((end + 6.0, top + BAR / 2.0 + FOOT), Anchor::Start, &bar.label);
        }
        y + height
    }
}

fn x_of(axis: &Axis, value: f64) -> f64 {
    LEFT + axis.at(value).unwrap_or(0.0) * (WIDTH - RIGHT - LEFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(value: f64, label: &str) -> Option<Bar> {
        Some(Bar { value, label: label.to_owned() })
    }

    #[test]
    fn lengths_are_the_quantities() {
        let bars = Bars {
            title: "locks".to_owned(),
            unit: "us".to_owned(),
            scale: Scale::Linear,
            series: vec!["ours".to_owned(), "theirs".to_owned()],
            groups: vec![Group {
                name: "alone".to_owned(),
                bars: vec![bar(5.0, "1x"), bar(10.0, "2.0x")],
            }],
        };
        let drawn = bars.to_svg();
        assert!(drawn.contains("width=\"255.0\" height=\"15.0\" fill=\"#0072b2\""), "{drawn}");
        assert!(drawn.contains("width=\"510.0\" height=\"15.0\" fill=\"#d55e00\""), "{drawn}");
        for text in [">locks<", ">us<", ">ours<", ">theirs<", ">alone<", ">2.0x<"] {
            assert!(drawn.contains(text), "{text} in {drawn}");
        }
    }

    #[test]
    fn who_has_nothing_to_show_keeps_the_place() {
        let group = Group { name: String::new(), bars: vec![None, bar(1.0, "")] };
        let axis = Axis::over(Scale::Linear, [1.0]);
        let mut svg = Svg::new(1.0, 1.0, "");
        assert_eq!(group.put(&mut svg, &axis, 0.0), 2.0 * BAR);
        assert!(svg.finish().contains(&format!("y=\"{:.1}\"", BAR + 1.0)));
    }
}
