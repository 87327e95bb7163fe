//! The files and the command line of one server.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::builder::{Builder, Certificate};
use super::{link, snapshot};
use crate::janitor::{Janitor, Piped, Process};
use crate::jars::prefixed;
use crate::port::Port;
use crate::tls::Material;

const LOGBACK: &str = r#"<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{HH:mm:ss.SSS} %-5level [%thread] %logger{0} - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"#;

/// The ports of one server.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) client: Port,
    pub(super) quorum: Port,
    pub(super) election: Port,
    pub(super) secure: Option<Port>,
}

impl Ports {
    pub(super) fn lease(builder: &Builder) -> io::Result<Ports> {
        Ok(Ports {
            client: Port::lease()?,
            quorum: Port::lease()?,
            election: Port::lease()?,
            secure: builder.certificate.map(|_| Port::lease()).transpose()?,
        })
    }

    pub(super) fn client_addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.client.number()))
    }
}

/// All that is needed to start one server, again and again on the same data.
#[derive(Debug)]
pub(super) struct Launch {
    args: Vec<OsString>,
    pub(super) log: PathBuf,
}

impl Launch {
    /// Writes the configuration of server `index` into its folder.
    pub(super) fn write(
        builder: &Builder,
        index: usize,
        ports: &[Ports],
        lib: &Path,
        janitor: &Janitor,
        material: Option<&Material>,
    ) -> io::Result<Launch> {
        let folder = janitor.folder().join(format!("server-{}", index + 1));
        let data = folder.join("data");
        std::fs::create_dir_all(&data)?;
        std::fs::write(data.join("myid"), format!("{}\n", index + 1))?;
        std::fs::write(folder.join("logback.xml"), LOGBACK)?;
        std::fs::write(folder.join("hosts"), hosts(index, ports.len()))?;
        let config = folder.join("zoo.cfg");
        std::fs::write(&config, configuration(builder, index, ports, &data))?;
        if !builder.counters.is_empty() {
            snapshot::write(&data, &builder.counters)?;
        }
        if let Some(preloaded) = &builder.preloaded {
            preload(&preloaded.join("version-2"), &data.join("version-2"))?;
        }
        let mut args = java_flags(builder, &folder);
        if let (Some(material), Some(certificate)) = (material, builder.certificate) {
            args.extend(tls_flags(material, certificate));
        }
        args.push("-cp".into());
        args.push(lib.join("*").into());
        args.push("org.apache.zookeeper.server.quorum.QuorumPeerMain".into());
        args.push(config.into());
        Ok(Launch { args, log: folder.join("server.log") })
    }

    pub(super) fn spawn(&self, janitor: &Janitor) -> io::Result<Process> {
        janitor.spawn("java", &self.args, &self.log, Piped::No)
    }

    /// The log's end, for messages, without what we have asked ourselves while we waited.
    pub(super) fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains(OUR_QUESTION)).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// What a server says whenever it is asked how it is.
const OUR_QUESTION: &str = "NIOServerCnxn - Processing";

/// Copies all files of a folder.
fn preload(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn configuration(builder: &Builder, index: usize, ports: &[Ports], data: &Path) -> String {
    let mine = &ports[index];
    let mut lines = vec![
        format!("tickTime={}", builder.tick_ms),
        format!("initLimit={}", builder.init_limit),
        format!("syncLimit={}", builder.sync_limit),
        format!("dataDir={}", data.display()),
        "clientPortAddress=127.0.0.1".to_owned(),
        format!("clientPort={}", mine.client.number()),
        format!("maxClientCnxns={}", builder.client_connections_max),
        "admin.enableServer=false".to_owned(),
        "4lw.commands.whitelist=*".to_owned(),
    ];
    let optional = [
        ("minSessionTimeout", builder.session_timeout_ms_min),
        ("maxSessionTimeout", builder.session_timeout_ms_max),
        ("secureClientPort", mine.secure.as_ref().map(|port| u32::from(port.number()))),
    ];
    for (key, value) in optional {
        lines.extend(value.map(|value| format!("{key}={value}")));
    }
    if mine.secure.is_some() {
        lines.push("secureClientPortAddress=127.0.0.1".to_owned());
    }
    if ports.len() > 1 {
        for (other, ports) in ports.iter().enumerate() {
            let host = if builder.links { name(other) } else { "127.0.0.1".to_owned() };
            let (quorum, election) = (ports.quorum.number(), ports.election.number());
            lines.push(format!("server.{}={host}:{quorum}:{election}", other + 1));
        }
    }
    lines.join("\n") + "\n"
}

/// The name by which servers speak of each other where there are links between them.
fn name(index: usize) -> String {
    format!("zookeeper-{}", index + 1)
}

/// Leads the names of all other servers to this server's links.
fn hosts(index: usize, nodes: usize) -> String {
    let mut hosts = "127.0.0.1 localhost\n".to_owned();
    for other in 0..nodes {
        let address =
            if other == index { Ipv4Addr::LOCALHOST } else { link::address(index, other) };
        writeln!(hosts, "{address} {}", name(other)).expect("writing to a string");
    }
    hosts
}

fn java_flags(builder: &Builder, folder: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        // A test server lives for seconds: a plain collector starts soonest.
        "-XX:+UseSerialGC",
        "-Xshare:auto",
        // Else each JVM killed with -9 leaves a file in the temporary folder.
        "-XX:-UsePerfData",
        "-Djava.net.preferIPv4Stack=true",
        // After a failure the votes are repeated at growing intervals, by default of up to a minute.
        "-Dzookeeper.fastleader.maxNotificationInterval=1000",
    ]
    .map(OsString::from)
    .into();
    if !builder.optimised {
        // As does the first compiler.
        args.push("-XX:TieredStopAtLevel=1".into());
    }
    args.push(format!("-Xmx{}m", builder.heap_mb).into());
    args.push(prefixed("-Dlogback.configurationFile=", folder.join("logback.xml")));
    if builder.links {
        args.push(prefixed("-Djdk.net.hosts.file=", folder.join("hosts")));
    }
    // Java takes the last of several, so a property given by the test wins.
    args.extend(builder.properties.iter().map(|(name, value)| format!("-D{name}={value}").into()));
    args
}

fn tls_flags(material: &Material, certificate: Certificate) -> Vec<OsString> {
    let key_store = match certificate {
        Certificate::Good => &material.server_key_store,
        Certificate::WrongHostName => &material.wrong_name_key_store,
    };
    vec![
        "-Dzookeeper.serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory".into(),
        "-Dzookeeper.ssl.keyStore.type=PEM".into(),
        prefixed("-Dzookeeper.ssl.keyStore.location=", key_store),
        "-Dzookeeper.ssl.trustStore.type=PEM".into(),
        prefixed("-Dzookeeper.ssl.trustStore.location=", &material.ca),
        "-Dzookeeper.ssl.clientAuth=none".into(),
    ]
}
