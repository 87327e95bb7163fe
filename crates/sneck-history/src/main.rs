//! `sneck-history`: judges histories, writes them down, makes samples of them.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use sneck_history::{Desk, Header, HistoryReader, HistoryWriter, Sample, Store, judge};

const USAGE: &str = "\
usage: sneck-history check FILE...                       judge histories; exit code 1 if one is violated
       sneck-history arbitrate SOCKET FILE [HEADER]      write one, until standard input ends
       sneck-history sample SEED ENTRIES CLIENTS FILE    make a good one";

/// All histories are clean.
const CLEAN: u8 = 0;
/// At least one violates a property.
const VIOLATED: u8 = 1;
/// A file is no history, cannot be read or written; or the command is no command.
const TROUBLE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match &arguments[..] {
        ["check", files @ ..] if !files.is_empty() => check_all(files),
        ["arbitrate", socket, file] => arbitrate(socket, file, None),
        ["arbitrate", socket, file, header] => arbitrate(socket, file, Some(header)),
        ["sample", seed, entries, clients, file] => sample(seed, entries, clients, file),
        _ => Err(USAGE.to_owned()),
    };
    ExitCode::from(done.unwrap_or_else(|trouble| {
        // Nobody is left to be told if that fails.
        let _ = writeln!(std::io::stderr(), "{trouble}");
        TROUBLE
    }))
}

fn check_all(files: &[&str]) -> Result<u8, String> {
    let mut worst = CLEAN;
    for file in files {
        worst = worst.max(check(file)?);
    }
    Ok(worst)
}

fn check(name: &str) -> Result<u8, String> {
    let told = |error: &dyn std::fmt::Display| format!("{name}: {error}");
    let began = Instant::now();
    let file = File::open(name).map_err(|error| told(&error))?;
    let reader = HistoryReader::new(BufReader::with_capacity(1 << 20, file));
    let reader = reader.map_err(|error| told(&error))?;
    let header = reader.header().clone();
    let report = judge(reader).map_err(|error| told(&error))?;
    let mut out = std::io::stdout().lock();
    let about = header.about.escape_debug();
    let seconds = began.elapsed().as_secs_f64();
    let verdict = if report.is_clean() { "clean" } else { "VIOLATED" };
    write!(out, "{name}: {about}\n{report}{name}: {verdict}, judged in {seconds:.2} s\n")
        .map_err(|error| told(&error))?;
    Ok(if report.is_clean() { CLEAN } else { VIOLATED })
}

fn arbitrate(socket: &str, name: &str, header: Option<&str>) -> Result<u8, String> {
    let told = |error: &dyn std::fmt::Display| format!("{name}: {error}");
    let header = match header {
        None => Header::new(Store::Other),
        Some(text) => serde_json::from_str(text).map_err(|error| format!("HEADER: {error}"))?,
    };
    // A history that is there already is never written over.
    let file = File::create_new(name).map_err(|error| told(&error))?;
    let desk = Desk::open(Path::new(socket), &header, file).map_err(|error| told(&error))?;
    let mut out = std::io::stdout();
    // Whoever reads that can connect.
    writeln!(out, "{socket}: the arbiter listens").map_err(|error| told(&error))?;
    // Whoever starts an arbiter holds its standard input, and by that ends it however it ends itself.
    let mut rest = [0; 4096];
    while std::io::stdin().read(&mut rest).is_ok_and(|bytes| bytes > 0) {}
    let entries = desk.close().map_err(|error| told(&error))?;
    // The history is whole, also if nobody reads that any more.
    let _ = writeln!(out, "{name}: {entries} entries");
    Ok(CLEAN)
}

fn sample(seed: &str, entries: &str, clients: &str, name: &str) -> Result<u8, String> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| USAGE.to_owned());
    let (seed, entries, clients) = (number(seed)?, number(entries)?, number(clients)?);
    let told = |error: &dyn std::fmt::Display| format!("{name}: {error}");
    let sample = Sample::new(seed.into(), entries as usize, clients);
    let file = File::create(name).map_err(|error| told(&error))?;
    let writer = HistoryWriter::new(BufWriter::new(file), &sample.header);
    let mut writer = writer.map_err(|error| told(&error))?;
    for entry in &sample.entries {
        writer.write(entry).map_err(|error| told(&error))?;
    }
    writer.flush().map_err(|error| told(&error))?;
    Ok(CLEAN)
}
