//! The files and the command line of one node.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::builder::Builder;
use crate::janitor::{Janitor, Piped, Process};
use crate::jars::prefixed;
use crate::port::Port;

const LOGBACK: &str = r#"<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{HH:mm:ss.SSS} %-5level [%thread] %logger{0} - %msg%n</pattern></encoder>
  </appender>
  <!-- Tells when another node is a part of the ring. -->
  <logger name="org.apache.cassandra.service.StorageService" level="DEBUG"/>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"#;

/// What Cassandra reaches for inside the JDK, which since Java 16 has to be opened by name.
const EXPORTED: [&str; 8] = [
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport.tcp",
    "jdk.unsupported/sun.misc",
];
const OPENED: [&str; 15] = [
    "java.base/java.io",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
];

/// The ports of a cluster: every node has the same ones, on an address of its own.
#[derive(Debug)]
pub(super) struct Ports {
    client: Port,
    storage: Port,
}

impl Ports {
    pub(super) fn lease() -> io::Result<Ports> {
        Ok(Ports { client: Port::lease()?, storage: Port::lease()? })
    }

    pub(super) fn client_addr(&self, node: usize) -> SocketAddr {
        SocketAddr::from((address(node), self.client.number()))
    }

    /// How nodes call each other in their logs.
    pub(super) fn storage_addr(&self, node: usize) -> SocketAddr {
        SocketAddr::from((address(node), self.storage.number()))
    }
}

fn address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, u8::try_from(node + 1).expect("fewer than 255 nodes"))
}

/// All that is needed to start one node, again and again on the same data.
#[derive(Debug)]
pub(super) struct Launch {
    args: Vec<OsString>,
    pub(super) log: PathBuf,
}

impl Launch {
    /// Writes the configuration of node `index` into its folder.
    pub(super) fn write(
        builder: &Builder,
        index: usize,
        ports: &Ports,
        lib: &Path,
        janitor: &Janitor,
    ) -> io::Result<Launch> {
        let folder = janitor.folder().join(format!("node-{}", index + 1));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("logback.xml"), LOGBACK)?;
        let config = folder.join("cassandra.yaml");
        std::fs::write(&config, configuration(builder, index, ports, &folder))?;
        let mut args = java_flags(builder, &folder);
        args.push(prefixed("-Dcassandra.config=file://", &config));
        args.push("-cp".into());
        args.push(lib.join("*").into());
        args.push("org.apache.cassandra.service.CassandraDaemon".into());
        Ok(Launch { args, log: folder.join("node.log") })
    }

    pub(super) fn spawn(&self, janitor: &Janitor) -> io::Result<Process> {
        janitor.spawn("java", &self.args, &self.log, Piped::No)
    }

    pub(super) fn read_log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The log's end, for messages.
    pub(super) fn log_tail(&self) -> String {
        let log = self.read_log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

fn configuration(builder: &Builder, index: usize, ports: &Ports, folder: &Path) -> String {
    let address = address(index);
    // One alone: it is the first, and need not wait for others that do not run yet.
    let seed = ports.storage_addr(0);
    // Evenly around the ring of Murmur3, which goes from -2^63 to 2^63.
    let share = u64::MAX / builder.nodes as u64;
    let token = i64::MIN.wrapping_add_unsigned(share.wrapping_mul(index as u64));
    let mut lines = vec![
        "cluster_name: sneck".to_owned(),
        "partitioner: org.apache.cassandra.dht.Murmur3Partitioner".to_owned(),
        "num_tokens: 1".to_owned(),
        format!("initial_token: '{token}'"),
        // There is nothing to copy from the others, and no reason to join one after the other.
        "auto_bootstrap: false".to_owned(),
        "endpoint_snitch: SimpleSnitch".to_owned(),
        format!("listen_address: {address}"),
        format!("rpc_address: {address}"),
        format!("storage_port: {}", ports.storage.number()),
        format!("native_transport_port: {}", ports.client.number()),
        "seed_provider:".to_owned(),
        "  - class_name: org.apache.cassandra.locator.SimpleSeedProvider".to_owned(),
        format!("    parameters: [{{seeds: \"{seed}\"}}]"),
        "commitlog_segment_size: 4MiB".to_owned(),
        format!("data_file_directories: [{}]", folder.join("data").display()),
    ];
    for name in ["commitlog", "saved_caches", "hints", "cdc_raw"] {
        lines.push(format!("{name}_directory: {}", folder.join(name).display()));
    }
    lines.extend(match builder.sync_to_disk {
        true => vec!["commitlog_sync: batch".to_owned()],
        // As it is by default: tests kill processes, not machines, and what was written up to the last marker is in
        // the page cache, which outlives the process.
        false => {
            vec!["commitlog_sync: periodic".to_owned(), "commitlog_sync_period: 10000ms".to_owned()]
        }
    });
    if builder.authentication {
        lines.push("authenticator: PasswordAuthenticator".to_owned());
        lines.push("authorizer: CassandraAuthorizer".to_owned());
        // So that what a test grants or revokes is seen at once.
        lines.push("permissions_validity: 0ms".to_owned());
        lines.push("roles_validity: 0ms".to_owned());
    }
    lines.extend(builder.settings.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.join("\n") + "\n"
}

fn java_flags(builder: &Builder, folder: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        // A test server lives for minutes: the plain collector and the first compiler start soonest.
        "-XX:+UseSerialGC",
        "-Xshare:auto",
        // Else each JVM killed with -9 leaves a file in the temporary folder.
        "-XX:-UsePerfData",
        "-Djava.net.preferIPv4Stack=true",
        "-Djdk.attach.allowAttachSelf=true",
        "-Dcassandra-foreground=yes",
        // After this a node is struck off that is heard of and has not joined yet; one whose start is slow must
        // not be. Nobody waits for so long where the seed runs.
        "-Dcassandra.ring_delay_ms=30000",
        "-Dcassandra.skip_wait_for_gossip_to_settle=0",
        "-Dcassandra.superuser_setup_delay_ms=0",
        // A node that missed a change of the schema asks for it this much after it sees the others again;
        // by default a minute, for which every client waits that has made a keyspace.
        "-Dcassandra.migration_delay_ms=500",
        // And asks again this soon if there was no answer, as there is none from a node that is busy with
        // its start; by default after a minute.
        "-Dcassandra.schema_pull_interval_ms=1000",
    ]
    .map(OsString::from)
    .into();
    if !builder.optimised {
        args.push("-XX:TieredStopAtLevel=1".into());
    }
    for (flag, packages) in [("--add-exports", &EXPORTED[..]), ("--add-opens", &OPENED[..])] {
        args.extend(packages.iter().map(|package| format!("{flag}={package}=ALL-UNNAMED").into()));
    }
    args.push(format!("-Xmx{}m", builder.heap_mb).into());
    args.push(prefixed("-Dlogback.configurationFile=", folder.join("logback.xml")));
    args.push(prefixed("-Dcassandra.storagedir=", folder));
    args
}
