//! What is printed and what is written.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::curve::Curve;
use crate::figure::{Figure, Verdict};
use crate::reading::{Reading, readable};
use crate::traffic::Traffic;

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    /// What the file is called.
    name: &'static str,
    /// How the servers run, for people.
    configuration: &'static str,
    quick: bool,
    machine: Value,
    figures: Vec<Figure>,
    pub(crate) readings: Vec<Reading>,
    pub(crate) curves: Vec<Curve>,
    pub(crate) traffic: Option<Traffic>,
    took: Duration,
    load_after: String,
}

impl Report {
    pub(crate) fn new(
        name: &'static str,
        configuration: &'static str,
        quick: bool,
        machine: Value,
    ) -> Report {
        Report {
            name,
            configuration,
            quick,
            machine,
            figures: Vec::new(),
            readings: Vec::new(),
            curves: Vec::new(),
            traffic: None,
            took: Duration::ZERO,
            load_after: String::new(),
        }
    }

    pub(crate) fn add(&mut self, figures: Vec<Figure>) {
        self.figures.extend(figures);
    }

    /// What was added so far.
    #[cfg(feature = "peers")]
    pub(crate) fn figures(&self) -> &[Figure] {
        &self.figures
    }

    pub(crate) fn finish(&mut self, took: Duration, load_after: String) {
        (self.took, self.load_after) = (took, load_after);
    }

    /// Writes everything, every round too, and says where.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let file =
            folder.join(format!("{}{}.json", self.name, if self.quick { "-quick" } else { "" }));
        let json = json!({
            "quick": self.quick,
            "machine": self.machine,
            "configuration": self.configuration,
            "seconds": self.took.as_secs_f64(),
            "load_after": self.load_after,
            "figures": self.figures.iter().map(Figure::to_json).collect::<Vec<_>>(),
            "readings": self.readings.iter().map(Reading::to_json).collect::<Vec<_>>(),
            "curves": self.curves.iter().map(Curve::to_json).collect::<Vec<_>>(),
            "wire": self.traffic.as_ref().map(Traffic::to_json),
        });
        std::fs::write(&file, format!("{json:#}\n"))?;
        Ok(file)
    }

    /// In Markdown.
    pub(crate) fn table(&self) -> String {
        let mut table = String::new();
        self.put_table(&mut table).expect("writing to a string");
        table
    }

    fn put_table(&self, out: &mut String) -> std::fmt::Result {
        let of = |key: &str| self.machine[key].as_str().unwrap_or_default().to_owned();
        let processors = &self.machine["processors"];
        writeln!(out, "sneck {}, {}, {}, {}", of("sneck"), of("server"), of("java"), of("rustc"))?;
        writeln!(out, "{processors} x {}, {}", of("processor"), of("system"))?;
        writeln!(out, "{}", self.configuration)?;
        let (before, after) = (of("load_before"), &self.load_after);
        let took = self.took.as_secs_f64();
        writeln!(out, "load average {before} before and {after} after {took:.0} s")?;
        put_figures(&self.figures, out)?;
        put_readings(&self.readings, out)?;
        put_curves(&self.curves, out)?;
        self.traffic.as_ref().map_or(Ok(()), |traffic| put_traffic(traffic, out))
    }
}

fn put_figures(figures: &[Figure], out: &mut String) -> std::fmt::Result {
    if figures.is_empty() {
        return Ok(());
    }
    let rounds: BTreeSet<usize> = figures.iter().map(|figure| figure.rounds.len()).collect();
    let rounds = rounds.iter().map(usize::to_string).collect::<Vec<_>>().join(" or ");
    writeln!(out, "the ratio is the median of {rounds} rounds, in which all sides take turns\n")?;
    writeln!(out, "| what | server | ours | theirs | unit | ours | theirs | ratio | 95 % |")?;
    writeln!(out, "|---|---|---|---|---|--:|--:|--:|--:|")?;
    for figure in figures {
        let (ours, theirs) = (figure.ours_median(), figure.theirs_median());
        let ratio = match figure.verdict() {
            Verdict::Is(ratio) => readable(ratio),
            Verdict::AtMost(ratio) => format!("at most {}", readable(ratio)),
            Verdict::AtLeast(ratio) => format!("at least {}", readable(ratio)),
            Verdict::Nothing => "too noisy to tell".to_owned(),
        };
        let Figure { what, unit, scene, ours: our_name, theirs: their_name, .. } = figure;
        let (low, high) = figure.interval();
        write!(out, "| {what} | {scene} | {our_name} | {their_name} | {unit} ")?;
        let [ours, theirs, low, high] = [ours, theirs, low, high].map(readable);
        writeln!(out, "| {ours} | {theirs} | {ratio} | {low} to {high} |")?;
    }
    Ok(())
}

fn put_readings(readings: &[Reading], out: &mut String) -> std::fmt::Result {
    if readings.is_empty() {
        return Ok(());
    }
    let number = |value: Option<f64>| value.map(readable).unwrap_or_default();
    writeln!(out, "\n| what else was read | unit | ours or the machine's | theirs |")?;
    writeln!(out, "|---|---|--:|--:|")?;
    for Reading { what, unit, ours, theirs } in readings {
        writeln!(out, "| {what} | {unit} | {} | {} |", number(*ours), number(*theirs))?;
    }
    Ok(())
}

/// What is measured over the same sizes of the same thing is one table.
fn put_curves(curves: &[Curve], out: &mut String) -> std::fmt::Result {
    let sizes = |curve: &Curve| curve.points.iter().map(|(size, _)| *size).collect::<Vec<_>>();
    let is_akin = |a: &Curve, b: &Curve| a.over == b.over && sizes(a) == sizes(b);
    for curves in curves.chunk_by(is_akin) {
        write!(out, "\n| {} | unit ", curves[0].over)?;
        sizes(&curves[0]).iter().try_for_each(|size| write!(out, "| {size:.0} "))?;
        writeln!(out, "|\n|---|---|{}", "--:|".repeat(curves[0].points.len()))?;
        for Curve { what, unit, points, .. } in curves {
            write!(out, "| {what} | {unit} ")?;
            points.iter().try_for_each(|(_, value)| write!(out, "| {} ", readable(*value)))?;
            writeln!(out, "|")?;
        }
    }
    Ok(())
}

fn put_traffic(traffic: &Traffic, out: &mut String) -> std::fmt::Result {
    let (each, locks) = (traffic.requests_each(), traffic.locks());
    let by_op: Vec<String> =
        traffic.by_op().iter().map(|(name, count)| format!("{count} {name}")).collect();
    let (up, down) = traffic.bytes_each();
    writeln!(out)?;
    writeln!(out, "On the wire, for each of {locks} locks with its unlock: {each} requests")?;
    writeln!(out, "({}), {up:.1} bytes to the server, {down:.1} bytes back.", by_op.join(", "))
}
