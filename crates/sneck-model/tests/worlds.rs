//! Every state of the small worlds, and that deliberate bugs show in them.

use sneck_model::{MUTANTS, explore, small};

#[test]
fn no_order_of_events_leads_where_it_should_not() {
    let mut states = 0;
    for setting in small() {
        let report = explore(&setting, 1, None);
        println!("{}: {report}", setting.name);
        assert!(
            report.violations.is_empty() && report.unseen.is_empty(),
            "{}: {report}",
            setting.name
        );
        states += report.states;
    }
    assert!(states >= 1_000_000, "{states} states");
}

#[test]
fn every_deliberate_bug_shows() {
    for mutant in MUTANTS {
        let setting = small().into_iter().find(|setting| setting.name == mutant.world);
        let setting = setting.expect("a world of that name").with_mutant(mutant.name);
        let report = explore(&setting, 1, None);
        assert!(!report.violations.is_empty(), "{} is not seen: {report}", mutant.name);
    }
}
