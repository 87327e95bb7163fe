//! Leaving with what a stopped server has in its data folder.

use std::path::Path;

use crate::core::contents::Contents;
use crate::log::{Folder, OpenError};
use crate::snapshot::{self, ExportError, Exported, Replica, restore};

/// A data folder that is about to be left, for servers of Apache ZooKeeper.
///
/// No server can open the folder while this lives. What is exported is worth something only if none
/// does so afterwards either: two servers that go on from one point give one lock to two holders.
///
/// ```
/// # use sneck_server::{Departure, Server};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let (data, apache) = (folder.path().join("data"), folder.path().join("apache"));
/// let server = Server::builder().data(&data).start().await?;
/// server.stop().await;
///
/// let exported = Departure::open(&data)?.export(&apache)?;
/// println!("copy {} into version-2 of every server", exported.path.display());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Departure {
    contents: Contents,
    // Kept for its lock.
    _folder: Folder,
}

impl Departure {
    /// Reads the folder as a server would at its start. Blocks.
    ///
    /// # Errors
    ///
    /// As for a server, among them [`OpenError::InUse`] while one runs; and [`OpenError::Missing`].
    pub fn open(data: &Path) -> Result<Departure, OpenError> {
        let folder = Folder::open_existing(data)?;
        let restored = restore::<Contents>(&folder)?;
        Ok(Departure { contents: restored.replica, _folder: folder })
    }

    /// The last transaction.
    pub fn zxid(&self) -> i64 {
        self.contents.zxid
    }

    /// Writes everything into `folder`, from which servers of Apache go on where this one ended:
    /// see [`snapshot::export`]. Blocks.
    ///
    /// # Errors
    ///
    /// See [`ExportError`].
    pub fn export(self, folder: &Path) -> Result<Exported, ExportError> {
        let Departure { contents, _folder } = self;
        snapshot::export(&contents.into_image(), folder)
    }

    /// Writes nothing but the zxid into `folder`, so that fencing tokens go on above it: see
    /// [`snapshot::seed`]. Blocks.
    ///
    /// # Errors
    ///
    /// See [`ExportError`].
    pub fn seed(self, folder: &Path) -> Result<Exported, ExportError> {
        snapshot::seed(self.zxid(), folder)
    }
}
