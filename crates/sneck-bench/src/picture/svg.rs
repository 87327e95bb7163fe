//! The elements of SVG that the pictures are made of.

use std::fmt::{self, Display, Write as _};

/// Where a text begins, or ends, or has its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture that is being drawn, on white: whoever looks at it may have a dark page.
#[derive(Debug)]
pub(super) struct Svg(String);

/// For lines that are no data, and for text.
pub(super) const GREY: &str = "#d0d0d0";
const INK: &str = "#222222";

impl Svg {
    /// `title` is what those hear who do not see it.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Svg {
        let mut svg = Svg(String::new());
        svg.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\">"
        ));
        svg.put(format_args!("<title>{}</title>", Escaped(title)));
        svg.rect((0.0, 0.0), (width, height), "#ffffff");
        svg
    }

    /// A filled rectangle, by its upper left corner and its size.
    pub(super) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
        self.put(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>"
        ));
    }

    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: &str) {
        self.put(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\"/>"
        ));
    }

    /// A line through some points, with a dot at each.
    pub(super) fn curve(&mut self, points: &[(f64, f64)], stroke: &str) {
        let mut through = String::new();
        for (x, y) in points {
            // Writing to a string cannot fail.
            let _ = write!(through, "{x:.1},{y:.1} ");
        }
        let through = through.trim_end();
        self.put(format_args!(
            "<polyline points=\"{through}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"2\"/>"
        ));
        for (x, y) in points {
            self.put(format_args!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{stroke}\"/>"
            ));
        }
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        self.put_text((x, y), anchor, "", text);
    }

    pub(super) fn heading(&mut self, (x, y): (f64, f64), text: &str) {
        self.put_text((x, y), Anchor::Start, " font-size=\"16\" font-weight=\"bold\"", text);
    }

    fn put_text(&mut self, (x, y): (f64, f64), anchor: Anchor, more: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{INK}\"{more}>{}</text>",
            Escaped(text)
        ));
    }

    /// The whole file.
    pub(super) fn finish(mut self) -> String {
        self.put("</svg>");
        self.0
    }

    fn put(&mut self, element: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{element}");
    }
}

/// Text in which nothing is markup.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_markup() {
        let mut svg = Svg::new(10.0, 20.0, "a < b & \"c\"");
        svg.text((1.0, 2.0), Anchor::End, "<script>");
        let drawn = svg.finish();
        assert!(drawn.contains("<title>a &lt; b &amp; &quot;c&quot;</title>"), "{drawn}");
        assert!(drawn.contains(">&lt;script&gt;</text>"), "{drawn}");
        assert!(drawn.ends_with("</svg>\n"), "{drawn}");
    }
}
