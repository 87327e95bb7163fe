//! ZooKeeper's command line tool, as `zkCli.sh` starts it: a person at work in a lock's line.

use std::ffi::OsString;

use super::Version;
use crate::jars::prefixed;
use crate::peer::PeerProcess;
use crate::skip::StartError;

/// A running tool with a session; killed when dropped.
#[derive(Debug)]
pub struct Shell(PeerProcess);

impl Shell {
    /// Starts the current release's, and returns when it has a session.
    ///
    /// # Errors
    ///
    /// [`StartError::Unavailable`] where this machine has no Java, or no jars and no way to fetch
    /// them; [`StartError::Failed`] when it gets no session.
    pub async fn start(connect_string: &str) -> Result<Shell, StartError> {
        let lib = tokio::task::spawn_blocking(|| Version::V3_9.jars().obtain()).await;
        let lib = lib.expect("fetching does not panic")?;
        let args: [OsString; 8] = [
            "-XX:TieredStopAtLevel=1".into(),
            "-XX:+UseSerialGC".into(),
            "-Xmx96m".into(),
            "-cp".into(),
            prefixed("", lib.join("*")),
            "org.apache.zookeeper.ZooKeeperMain".into(),
            "-server".into(),
            connect_string.into(),
        ];
        let greeting = "WatchedEvent state:SyncConnected";
        PeerProcess::start("zkCli", "java".into(), args, greeting).await.map(Shell)
    }

    /// Types a command. What comes of it has to be looked for where it has an effect.
    pub fn type_in(&mut self, command: &str) {
        self.0.say(command);
    }

    /// The children of a node, by the tool's own account.
    ///
    /// # Panics
    ///
    /// With the tool's log, when no answer comes.
    pub async fn ls(&mut self, path: &str) -> Vec<String> {
        self.0.say(&format!("ls {path}"));
        let answer = self.0.expect_starting("[").await;
        let names = answer.trim_start_matches('[').trim_end_matches(']');
        names.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// Leaves, which closes the session and with it ends every ephemeral node.
    ///
    /// # Panics
    ///
    /// With the tool's log, when it does not end.
    pub async fn quit(mut self) {
        self.0.say("quit");
        self.0.expect("WatchedEvent state:Closed").await;
    }
}
