//! Generated histories: good ones violate nothing, and each way to break one is found.

mod breaks;

use breaks::{BREAKS, Broken};
use sneck_history::{Count, Entry, Header, Judge, Report, Sample};

fn judge(header: &Header, entries: &[Entry]) -> Report {
    let mut judge = Judge::new(header.clone());
    for entry in entries {
        judge.see(entry);
    }
    judge.conclude()
}

/// Good histories of which each is long enough to have something of everything.
fn samples() -> impl Iterator<Item = Sample> {
    (0..10).map(|seed| Sample::new(seed, 2500, 3 + (seed as u32 % 10)))
}

#[test]
fn good_histories_violate_nothing() {
    for sample in samples() {
        let report = judge(&sample.header, &sample.entries);
        assert!(report.is_clean(), "{}: {report}", sample.header.about);
    }
}

#[test]
fn good_histories_have_something_of_everything() {
    let reports: Vec<Report> =
        samples().map(|sample| judge(&sample.header, &sample.entries)).collect();
    let total = |count| reports.iter().map(|report| report.count(count)).sum::<u64>();
    for count in [
        Count::Handoffs,
        Count::Expiries,
        Count::Leaders,
        Count::RefusedWrites,
        Count::SharedOverlaps,
    ] {
        assert!(total(count) > 3, "{count}: {}", total(count));
    }
    assert!(reports.iter().all(|report| report.unjudged.is_empty()));
}

#[test]
fn equal_seeds_make_equal_histories() {
    assert_eq!(Sample::new(7, 500, 4).entries, Sample::new(7, 500, 4).entries);
    assert_ne!(Sample::new(7, 500, 4).entries, Sample::new(8, 500, 4).entries);
}

#[test]
fn every_break_is_found_by_the_checker_of_its_property() {
    for way in BREAKS {
        let mut tried = 0;
        for (seed, good) in (0..).zip(samples()) {
            let mut random = fastrand::Rng::with_seed(seed);
            // Not every history has what this way to break one needs, and not everywhere.
            let broken = (0..20).find_map(|_| {
                let mut broken = Broken::from(good.clone());
                let what = (way.apply)(&mut broken, &mut random)?;
                Some((what, broken))
            });
            let Some((what, broken)) = broken else { continue };
            tried += 1;
            let report = judge(&broken.header, &broken.entries);
            let about = &good.header.about;
            let found = report.totals.contains_key(&way.property);
            assert!(found, "{}: {what} in {about} was not seen: {report}", way.name);
        }
        assert!(tried >= 2, "{}: only {tried} histories could be broken", way.name);
    }
}

#[test]
fn every_property_is_broken_in_some_way() {
    for property in sneck_history::Property::ALL {
        assert!(BREAKS.iter().any(|way| way.property == property), "{property}");
    }
}
