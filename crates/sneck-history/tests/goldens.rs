//! Small histories by hand: each bad one breaks exactly the property that its file's name begins
//! with, and the good ones none. What is wrong with it stands in the header, as `about`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use sneck_history::{Count, HistoryReader, Property, Report, judge};

/// The histories in the folder, by name.
fn goldens() -> BTreeMap<String, PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)).collect()
}

fn report(path: &PathBuf) -> Report {
    let reader = HistoryReader::new(BufReader::new(File::open(path).unwrap()));
    judge(reader.unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn each_bad_history_breaks_its_property_and_no_other() {
    let mut wrong = Vec::new();
    for (name, path) in goldens() {
        let report = report(&path);
        let found: Vec<&str> = report.totals.keys().map(|property| property.code()).collect();
        let expected = name.split('-').next().unwrap();
        let expected: &[&str] = if expected == "good" { &[] } else { &[expected] };
        if found != expected {
            wrong.push(format!("{name} breaks {found:?}:\n{report}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_property_has_three_bad_histories() {
    let goldens = goldens();
    for property in Property::ALL {
        let prefix = format!("{}-", property.code());
        let bad = goldens.keys().filter(|name| name.starts_with(&prefix)).count();
        assert!(bad >= 3, "{property}: {bad}");
    }
    let known = |name: &String| {
        let code = name.split('-').next().unwrap();
        code == "good" || Property::ALL.iter().any(|property| property.code() == code)
    };
    assert!(goldens.keys().all(known));
}

#[test]
fn violations_name_the_entries_and_the_lock() {
    let report = report(&goldens()["P2-two-holders"]);
    assert_eq!(
        report.violations[0].to_string(),
        "P2: the hold by attempt 2 of client 2 under token 11 of \"a\" began while the hold by \
         attempt 1 of client 1 under token 10 had not ended (entries 2, 4)"
    );
}

#[test]
fn what_a_fault_explains_or_nobody_claims_is_counted() {
    let counted = |name: &str, count| report(&goldens()[name]).count(count);
    assert_eq!(counted("good-pause-without-deadline", Count::ExplainedOverlaps), 1);
    assert_eq!(counted("good-removal-told-late", Count::ExplainedOverlaps), 1);
    assert_eq!(counted("good-removal-behind-a-downgrade", Count::ExplainedOverlaps), 1);
    assert_eq!(counted("good-pause", Count::RefusedWrites), 1);
    assert_eq!(counted("good-failover", Count::UnclaimedOverlaps), 1);
    assert_eq!(counted("good-unfenced", Count::UnfencedLostUpdates), 1);
    assert_eq!(counted("good-kept-place-removed", Count::ExplainedTokens), 1);
    assert_eq!(counted("good-handoff", Count::Handoffs), 1);
    assert_eq!(counted("good-readers", Count::SharedOverlaps), 2);
}
