//! The figures of the server as Prometheus reads them.

use std::fmt::Write;

/// The content type of the text format, whose version is part of it.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One figure of the word `mntr`, whose name it keeps, so that what was made for ZooKeeper fits.
#[derive(Clone, Copy)]
struct Figure<'a> {
    name: &'a str,
    kind: Kind,
    help: &'a str,
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

const fn counter<'a>(name: &'a str, help: &'a str) -> Figure<'a> {
    Figure { name, kind: Kind::Counter, help }
}

const fn gauge<'a>(name: &'a str, help: &'a str) -> Figure<'a> {
    Figure { name, kind: Kind::Gauge, help }
}

/// All that are told. None names a lock or a client: who may read the figures is not to learn more.
const FIGURES: [Figure<'static>; 14] = [
    gauge("zk_avg_latency", "Mean time from a request to its answer, in milliseconds."),
    gauge("zk_max_latency", "Longest time from a request to its answer, in milliseconds."),
    gauge("zk_min_latency", "Shortest time from a request to its answer, in milliseconds."),
    counter("zk_packets_received", "Requests received since the server started."),
    counter("zk_packets_sent", "Answers and events sent since the server started."),
    gauge("zk_num_alive_connections", "Connections, the one that asks for this included."),
    gauge("zk_outstanding_requests", "Requests that wait for the disk."),
    gauge("zk_znode_count", "Nodes."),
    gauge("zk_watch_count", "Watches that are set."),
    gauge("zk_ephemerals_count", "Nodes that end with their session: places in lines, mostly."),
    gauge("zk_approximate_data_size", "Bytes of all names and data."),
    gauge("zk_global_sessions", "Sessions, the connected and those that may come back."),
    counter("zk_sneck_compactions", "Compactions of the log that have succeeded."),
    counter("zk_sneck_compactions_failed", "Compactions of the log that have failed."),
];

/// What the names of the counters begin with that tell, for each of the server's limits, what was refused.
const REFUSED: &str = "zk_sneck_refused_at_";

/// What the server answers to `mntr`, in the text format of Prometheus.
pub(super) fn exposition(mntr: &str) -> String {
    let mut text = String::new();
    let version = concat!("sneck_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1");
    put(&mut text, &gauge("sneck_build_info", "The version of sneck, as a label."), version);
    for (name, value) in mntr.lines().filter_map(|line| line.split_once('\t')) {
        // Words, such as the state, are no figures.
        if value.parse::<f64>().is_err() {
            continue;
        }
        let sample = format!("{name} {value}");
        if let Some(figure) = FIGURES.iter().find(|figure| figure.name == name) {
            put(&mut text, figure, &sample);
        } else if let Some(limit) = name.strip_prefix(REFUSED) {
            let help = format!("How often something was refused at the limit {limit}.");
            put(&mut text, &counter(name, &help), &sample);
        }
    }
    text
}

fn put(text: &mut String, figure: &Figure<'_>, sample: &str) {
    let Figure { name, kind, help } = figure;
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{sample}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_and_words_are_not() {
        let mntr = "zk_version\t3.9.5\nzk_packets_sent\t7\nzk_avg_latency\t0.5000\nzk_other\t1\n\
                    zk_sneck_refused_at_nodes_max\t3\n";
        let text = exposition(mntr);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let version = concat!("sneck_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1");
        let refused = "zk_sneck_refused_at_nodes_max 3";
        assert_eq!(samples, [version, "zk_packets_sent 7", "zk_avg_latency 0.5000", refused]);
        assert!(text.contains("# TYPE zk_packets_sent counter\nzk_packets_sent 7\n"), "{text}");
        assert!(text.contains("# TYPE zk_avg_latency gauge\n"), "{text}");
    }
}
