//! Why a server does not start.

use std::error::Error;
use std::fmt;
use std::io;

use crate::log::OpenError;

/// Why a server does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An address or a socket cannot be listened on.
    Listen {
        /// Which one.
        on: String,
        /// What the system says.
        source: io::Error,
    },
    /// The data folder cannot be used.
    Data(OpenError),
    /// Frames are allowed that could ask for more than can be written down.
    FrameTooLarge {
        /// What [`Limits::frame_bytes_max`](crate::Limits::frame_bytes_max) says.
        bytes: usize,
        /// The most it can say where there is a data folder.
        bytes_max: usize,
    },
    /// A thread cannot be had.
    Thread(io::Error),
}

impl StartError {
    /// The reading of a data folder has ended in the middle.
    pub(crate) fn panicked(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Thread(io::Error::other(error))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { on, .. } => write!(f, "cannot listen on {on}"),
            Self::Data(error) => error.fmt(f),
            Self::FrameTooLarge { bytes, bytes_max } => write!(
                f,
                "frames of {bytes} bytes are allowed, and with a data folder {bytes_max} are possible"
            ),
            Self::Thread(_) => f.write_str("cannot start a thread"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::Thread(source) => Some(source),
            Self::Data(error) => error.source(),
            Self::FrameTooLarge { .. } => None,
        }
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        Self::Data(error)
    }
}
