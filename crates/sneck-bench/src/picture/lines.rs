//! Lines over a quantity that grows, both axes by ratio: what is proportional is straight, and what stays the
//! same is level.

use super::axis::{Axis, Scale, short};
use super::colour;
use super::svg::{Anchor, GREY, Svg};

/// A picture of some lines.
#[derive(Debug)]
pub(crate) struct Lines {
    /// What is seen.
    pub(crate) title: String,
    /// What grows, and what it is measured in.
    pub(crate) x: String,
    /// What follows from it, and what that is measured in.
    pub(crate) y: String,
    pub(crate) lines: Vec<Line>,
}

/// One line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// From left to right. What is not above zero has no place on such axes, and is left out.
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
/// The names of the lines are right of the axes.
const RIGHT: f64 = 320.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = 60.0;
/// From one name to the next.
const NAME: f64 = 22.0;

impl Lines {
    /// The picture as a file.
    pub(crate) fn to_svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let x = Axis::over(Scale::Log, points().map(|(x, _)| x));
        let y = Axis::over(Scale::Log, points().map(|(_, y)| y));
        let mut svg = Svg::new(WIDTH, HEIGHT, &self.title);
        svg.heading((16.0, 26.0), &self.title);
        self.put_axes(&mut svg, &x, &y);
        for (at, line) in self.lines.iter().enumerate() {
            let place = |&(of_x, of_y): &(f64, f64)| Some((x_of(&x, of_x)?, y_of(&y, of_y)?));
            let points: Vec<(f64, f64)> = line.points.iter().filter_map(place).collect();
            svg.curve(&points, colour(at));
            let foot = TOP + 10.0 + at as f64 * NAME;
            svg.rect((WIDTH - RIGHT + 16.0, foot - 10.0), (12.0, 12.0), colour(at));
            svg.text((WIDTH - RIGHT + 34.0, foot), Anchor::Start, &line.name);
        }
        svg.finish()
    }

    fn put_axes(&self, svg: &mut Svg, x: &Axis, y: &Axis) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in x.ticks() {
            let Some(at) = x_of(x, tick) else { continue };
            svg.line((at, TOP), (at, bottom), GREY);
            svg.text((at, bottom + 17.0), Anchor::Middle, &short(tick));
        }
        for tick in y.ticks() {
            let Some(at) = y_of(y, tick) else { continue };
            svg.line((LEFT, at), (right, at), GREY);
            svg.text((LEFT - 8.0, at + 4.5), Anchor::End, &short(tick));
        }
        svg.text((f64::midpoint(LEFT, right), HEIGHT - 16.0), Anchor::Middle, &self.x);
        svg.text((16.0, TOP - 16.0), Anchor::Start, &self.y);
    }
}

fn x_of(axis: &Axis, value: f64) -> Option<f64> {
    axis.at(value).map(|part| LEFT + part * (WIDTH - RIGHT - LEFT))
}

fn y_of(axis: &Axis, value: f64) -> Option<f64> {
    axis.at(value).map(|part| HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, points: &[(f64, f64)]) -> Line {
        Line { name: name.to_owned(), points: points.to_vec() }
    }

    #[test]
    fn what_stays_the_same_is_level_and_what_is_nothing_is_left_out() {
        let lines = Lines {
            title: "locks".to_owned(),
            x: "locks held".to_owned(),
            y: "bytes".to_owned(),
            lines: vec![
                line("level", &[(1.0, 10.0), (100.0, 10.0)]),
                line("grows", &[(1.0, 0.0), (10.0, 1.0), (100.0, 100.0)]),
            ],
        };
        let drawn = lines.to_svg();
        assert!(drawn.contains("points=\"70.0,215.0 580.0,215.0\""), "{drawn}");
        assert!(drawn.contains("points=\"325.0,360.0 580.0,70.0\""), "{drawn}");
        for text in [">locks<", ">locks held<", ">bytes<", ">level<", ">grows<"] {
            assert!(drawn.contains(text), "{text} in {drawn}");
        }
    }
}
