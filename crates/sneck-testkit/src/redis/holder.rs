//! A program that takes locks on Redis with another library when it is told to, in the
//! [language of all peers](crate::peer): `lock`, `try-lock`, `release` and `exit`.
//!
//! The programs are `redis_py_holder.py` and `RedissonHolder.java`. Beyond that language the latter says `held NAME
//! TOKEN`, and the former `lost NAME` where it could not make its term longer.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use super::Library;
use super::peer::{JARS, PYTHON};
use crate::peer::Peer;
use crate::python::python_folder;
use crate::skip::StartError;

/// The Java program.
const PROGRAM: &str = "sneck.testkit.RedissonHolder";

/// Fetches and compiles what a program needs, so that the first start need not. Blocks.
///
/// # Errors
///
/// [`StartError::Unavailable`] where this machine has no Python or no JDK, or not the library and no way to fetch
/// it.
pub fn prepare(library: Library) -> Result<(), StartError> {
    match library {
        Library::RedisPy => PYTHON.interpreter().map(drop),
        Library::Redisson => class_path().map(drop),
    }
}

/// Starts a program whose locks last for `term` unless they are renewed, which it does, or its library.
///
/// # Errors
///
/// As [`prepare`], and [`StartError::Failed`] when it cannot connect.
pub async fn start(
    library: Library,
    server: SocketAddr,
    term: Duration,
) -> Result<Peer, StartError> {
    let program = tokio::task::spawn_blocking(move || program(library, term)).await;
    let (program, before, term) = program.expect("fetching does not panic")?;
    let address = [server.ip().to_string().into(), server.port().to_string().into()];
    let name = match library {
        Library::RedisPy => "redis-py",
        Library::Redisson => "Redisson",
    };
    Peer::start(name, program, before.into_iter().chain(address).chain([term])).await
}

/// The interpreter, what stands before the address, and the term as it is told behind that.
fn program(
    library: Library,
    term: Duration,
) -> Result<(OsString, Vec<OsString>, OsString), StartError> {
    Ok(match library {
        // Nothing is cached beside the source.
        Library::RedisPy => (
            PYTHON.interpreter()?.into(),
            vec!["-B".into(), python_folder().join("redis_py_holder.py").into()],
            term.as_secs_f64().to_string().into(),
        ),
        Library::Redisson => {
            let options =
                ["-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-Xmx96m"];
            let mut before: Vec<OsString> = options.map(OsString::from).into();
            before.extend(["-cp".into(), class_path()?, PROGRAM.into()]);
            ("java".into(), before, term.as_millis().to_string().into())
        }
    })
}

fn class_path() -> Result<OsString, StartError> {
    JARS.with_program(PROGRAM, "redisson-holder")
}
