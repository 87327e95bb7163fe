//! kazoo's own tests, as they are on PyPI, with `sneck serve` in the place of ZooKeeper.
//!
//! kazoo's harness starts its server itself, as `java ... QuorumPeerMain zoo.cfg`. A script that is
//! called `java` and stands first on the path starts ours. The tests hardly compute, but wait a lot,
//! so they are dealt out to a few processes, each with a server of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::PYTHON;
use crate::janitor::{Janitor, Piped, Process};
use crate::port::Port;
use crate::python::python_folder;
use crate::skip::StartError;
use crate::zookeeper::Version;

/// Tests that fail here, and why they have to. One that passes after all is a failure, too: it no
/// longer belongs here.
const EXCEPTIONS: [(&str, &str); 6] = [
    ("test_client.TestSSLClient.test_create", TLS),
    ("test_client.TestReconfig.test_no_super_auth", RECONFIG),
    ("test_client.TestReconfig.test_add_remove_observer", RECONFIG),
    ("test_client.TestReconfig.test_bad_input", RECONFIG),
    ("test_client.TestClient.test_update_host_list", "it needs two servers, also of ZooKeeper"),
    ("test_connection.TestReadOnlyMode.test_read_only", "it needs three servers, of ZooKeeper too"),
];
const TLS: &str = "the port for TLS is configured with Java key stores";
const RECONFIG: &str = "one server alone has nothing to reconfigure";

/// Why tests may be skipped: for client-side packages that have nothing to do with a server.
const SKIPS: [&str; 3] =
    ["eventlet handler not available", "gevent not available", "PureSASL not available"];

/// Fewer passing tests than this mean that most were not found. Version 2.11.0 has 307.
const PASSED_MIN: usize = 300;

/// How many processes share the tests.
const PROCESSES: usize = 4;
/// One test, in seconds. The longest takes 17.
const TEST_MAX: &str = "120";
/// The whole suite, which takes one minute on two processors.
const SUITE_MAX: Duration = Duration::from_secs(600);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How the suite went.
#[derive(Debug, Default)]
pub struct Outcome {
    passed: usize,
    skipped: usize,
    /// Of [`EXCEPTIONS`], as they should.
    excepted: usize,
    failures: Vec<String>,
}

impl Outcome {
    /// What there is to mend, a text for each; nothing when all is well.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { passed, skipped, excepted, failures } = self;
        write!(f, "{passed} passed, {skipped} skipped, {excepted} failed as they have to, ")?;
        write!(f, "{} wrong", failures.len())
    }
}

/// Runs the suite against the binary `sneck`. Blocks for a minute.
///
/// # Errors
///
/// [`StartError::Unavailable`] as for [`prepare`](super::prepare); [`StartError::Failed`] when the
/// tests did not run to their end.
pub fn run(sneck: &Path) -> Result<Outcome, StartError> {
    let python = PYTHON.interpreter()?;
    let janitor = Janitor::new("sneck-kazoo-suite-")?;
    let mut modules = modules(&python)?;
    modules.sort();
    let runs = (0..PROCESSES).map(|number| {
        let dealt = modules.iter().skip(number).step_by(PROCESSES).cloned().collect();
        Run::start(&janitor, number, dealt, &python, sneck)
    });
    let mut runs = runs.collect::<Result<Vec<Run>, StartError>>()?;
    let give_up = Instant::now() + SUITE_MAX;
    let mut results = Vec::new();
    for run in &mut runs {
        results.extend(run.finish(give_up)?);
    }
    Ok(judge(&results))
}

/// The files of the suite's tests.
fn modules(python: &Path) -> Result<Vec<PathBuf>, StartError> {
    let home = python.ancestors().nth(2).expect("bin/python lies in an environment");
    let mut found = Vec::new();
    for version in std::fs::read_dir(home.join("lib"))? {
        let tests = version?.path().join("site-packages/kazoo/tests");
        let Ok(files) = std::fs::read_dir(tests) else { continue };
        let paths = files.filter_map(Result::ok).map(|file| file.path());
        found.extend(paths.filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("test_") && name.ends_with(".py")
        }));
    }
    Ok(found)
}

/// One process of pytest.
struct Run {
    process: Process,
    log: PathBuf,
    report: PathBuf,
    /// The server's, reserved also while a test has stopped it.
    _port: Port,
}

impl Run {
    fn start(
        janitor: &Janitor,
        number: usize,
        modules: Vec<PathBuf>,
        python: &Path,
        sneck: &Path,
    ) -> Result<Run, StartError> {
        let port = Port::lease()?;
        let folder = janitor.folder().join(number.to_string());
        std::fs::create_dir(&folder)?;
        let (log, report) = (folder.join("log"), folder.join("report.xml"));
        let mut args = environment(&folder, &port, sneck);
        args.push(python.into());
        args.extend(
            ["-m", "pytest", "-p", "no:cacheprovider", "--timeout", TEST_MAX].map(OsString::from),
        );
        args.extend([OsString::from("--junit-xml"), report.clone().into()]);
        args.extend(modules.into_iter().map(OsString::from));
        let process = janitor.spawn("env", args, &log, Piped::No)?;
        Ok(Run { process, log, report, _port: port })
    }

    /// Waits for the end, and reads what came out.
    fn finish(&mut self, give_up: Instant) -> Result<Vec<Test>, StartError> {
        let failed = |what: String, log: &Path| {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            StartError::Failed(format!("kazoo's suite {what}:\n{}", tail.join("\n")))
        };
        let status = loop {
            match self.process.try_wait()? {
                Some(status) => break status,
                None if Instant::now() < give_up => std::thread::sleep(LOOK_AGAIN),
                None => return Err(failed("did not end in time".to_owned(), &self.log)),
            }
        };
        if !ran(status) {
            return Err(failed(format!("did not run ({status})"), &self.log));
        }
        let text = std::fs::read_to_string(&self.report)?;
        tests(&text).map_err(|error| failed(format!("reported {error}"), &self.log))
    }
}

/// Whether pytest ran its tests: its code is 0 then, or 1 if some failed.
fn ran(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 1))
}

/// What the harness goes by, as arguments of `env`.
fn environment(folder: &Path, port: &Port, sneck: &Path) -> Vec<OsString> {
    let mut path = python_folder().join("stand-in").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let settings: [(&str, OsString); 8] = [
        ("PATH", path),
        ("SNECK", sneck.into()),
        ("TMPDIR", folder.into()),
        ("ZOOKEEPER_PORT_OFFSET", port.number().to_string().into()),
        ("ZOOKEEPER_CLUSTER_SIZE", "1".into()),
        // What the server says it is, which one test compares.
        ("ZOOKEEPER_VERSION", Version::V3_9.release().into()),
        ("ZOOKEEPER_PATH", "/nonexistent".into()),
        // The test just mentioned is skipped elsewhere.
        ("CI", "1".into()),
    ];
    let settings = settings.into_iter().map(|(name, value)| {
        let mut setting = OsString::from(name);
        setting.push("=");
        setting.push(value);
        setting
    });
    settings.collect()
}

/// A test and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Test {
    name: String,
    end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Passed,
    Skipped(String),
    Failed(String),
}

/// Reads a report in the form of JUnit.
fn tests(report: &str) -> Result<Vec<Test>, roxmltree::Error> {
    let document = roxmltree::Document::parse(report)?;
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
    Ok(cases.map(test).collect())
}

fn test(case: roxmltree::Node<'_, '_>) -> Test {
    let attribute = |name| case.attribute(name).unwrap_or_default();
    let class = attribute("classname");
    // Without the packages before it, which depend on where pytest was started.
    let class = class.find("test_").map_or(class, |at| &class[at..]);
    let name = format!("{class}.{}", attribute("name"));
    let mut end = End::Passed;
    for child in case.children() {
        let message = child.attribute("message").unwrap_or_default().to_owned();
        match child.tag_name().name() {
            "failure" | "error" => end = End::Failed(message),
            "skipped" => end = End::Skipped(message),
            _ => {}
        }
    }
    Test { name, end }
}

fn judge(tests: &[Test]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut expected: BTreeMap<&str, &str> = EXCEPTIONS.into_iter().collect();
    for Test { name, end } in tests {
        let exception = expected.remove(name.as_str());
        match (end, exception) {
            (End::Passed, None) => outcome.passed += 1,
            (End::Failed(_), Some(_)) => outcome.excepted += 1,
            (End::Skipped(why), None) if SKIPS.iter().any(|skip| why.contains(skip)) => {
                outcome.skipped += 1;
            }
            (End::Failed(why), None) => outcome.failures.push(format!("{name} failed: {why}")),
            (End::Skipped(why), _) => outcome.failures.push(format!("{name} was skipped: {why}")),
            (End::Passed, Some(why)) => {
                let text = format!("{name} passes now; it is listed as failing because {why}");
                outcome.failures.push(text);
            }
        }
    }
    let missing = expected.keys().map(|name| format!("{name} did not run"));
    outcome.failures.extend(missing);
    if outcome.passed < PASSED_MIN {
        let text = format!("{} passed, at least {PASSED_MIN} should", outcome.passed);
        outcome.failures.push(text);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, end: End) -> Test {
        Test { name: name.to_owned(), end }
    }

    /// A run in which all is as it should be.
    fn good() -> Vec<Test> {
        let passed = (0..PASSED_MIN).map(|n| named(&format!("test_a.A.test_{n}"), End::Passed));
        let excepted = EXCEPTIONS.iter().map(|(name, _)| named(name, End::Failed("x".to_owned())));
        passed
            .chain(excepted)
            .chain([named("test_b.B.test", End::Skipped(SKIPS[0].into()))])
            .collect()
    }

    #[test]
    fn a_good_run() {
        let outcome = judge(&good());
        assert!(outcome.failures().is_empty(), "{outcome:?}");
        assert_eq!(outcome.to_string(), "300 passed, 1 skipped, 6 failed as they have to, 0 wrong");
    }

    #[test]
    fn each_thing_that_can_be_wrong() {
        let (first, last) = (0, PASSED_MIN);
        for (at, change, says) in [
            (first, Some(End::Failed("boom".into())), "test_a.A.test_0 failed: boom"),
            (first, Some(End::Skipped("no mood".into())), "test_a.A.test_0 was skipped: no mood"),
            (first, None, "299 passed, at least 300 should"),
            (last, Some(End::Passed), "TestSSLClient.test_create passes now"),
            (last, Some(End::Skipped(SKIPS[0].into())), "TestSSLClient.test_create was skipped"),
            (last, None, "TestSSLClient.test_create did not run"),
        ] {
            let mut tests = good();
            match change {
                Some(end) => tests[at].end = end,
                None => drop(tests.remove(at)),
            }
            let outcome = judge(&tests);
            assert!(
                outcome.failures().iter().any(|text| text.contains(says)),
                "{says}: {outcome:?}"
            );
        }
    }

    #[test]
    fn reports_are_read() {
        let report = r#"<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">
            <testcase classname="lib.kazoo.tests.test_a.A" name="test_x" time="0.1" />
            <testcase classname="test_a.A" name="test_y"><failure message="1 != 2">at</failure></testcase>
            <testcase classname="test_a.A" name="test_z"><error message="boom" /></testcase>
            <testcase classname="test_a.A" name="test_w"><skipped message="no" /></testcase>
            </testsuite></testsuites>"#;
        let expected = [
            named("test_a.A.test_x", End::Passed),
            named("test_a.A.test_y", End::Failed("1 != 2".into())),
            named("test_a.A.test_z", End::Failed("boom".into())),
            named("test_a.A.test_w", End::Skipped("no".into())),
        ];
        assert_eq!(tests(report).unwrap(), expected);
        assert!(tests("<testsuites>").is_err());
    }
}
