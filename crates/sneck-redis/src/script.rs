//! The scripts, which are the whole algorithm on the server's side.

use redis::{Script as Loaded, ToRedisArgs};
use std::sync::LazyLock;

/// One script: the text all share, and its own.
pub(crate) struct Script {
    pub(crate) text: String,
    pub(crate) hash: String,
}

macro_rules! scripts {
    ($($name:ident = $file:literal),* $(,)?) => {
        $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(include_str!(concat!("../scripts/", $file)))
        });)*
    };
}

scripts! {
    ASK = "ask.lua",
    LEAVE = "leave.lua",
    RENEW = "renew.lua",
    LOOK = "look.lua",
    NAMES = "names.lua",
    RESIZE = "resize.lua",
    RAISE = "raise.lua",
    DOWNGRADE = "downgrade.lua",
    REVOKE = "revoke.lua",
    RECORD_WRITE = "record_write.lua",
    RECORD_DELETE = "record_delete.lua",
}

impl Script {
    fn new(own: &str) -> Self {
        let text = format!("{}\n{own}", include_str!("../scripts/line.lua"));
        let hash = Loaded::new(&text).get_hash().to_owned();
        Script { text, hash }
    }
}

/// A script with its keys and arguments.
pub(crate) struct Call<'a> {
    script: &'a Script,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(script: &'a Script) -> Self {
        Call { script, keys: Vec::new(), args: Vec::new() }
    }

    pub(crate) fn key(mut self, key: &str) -> Self {
        self.keys.push(key.to_owned());
        self
    }

    pub(crate) fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.args.extend(arg.to_redis_args());
        self
    }

    /// By its hash, which is short; the server may have forgotten it.
    pub(crate) fn by_hash(&self) -> redis::Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    /// By its text, after which the server knows the hash.
    pub(crate) fn by_text(&self) -> redis::Cmd {
        self.command("EVAL", &self.script.text)
    }

    fn command(&self, verb: &str, script: &str) -> redis::Cmd {
        let mut command = redis::cmd(verb);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        command
    }
}
