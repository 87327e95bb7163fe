//! Writing a history.

use std::io::{self, Write};

use crate::{Entry, Header};

/// Writes a header and then entries, each as one line.
///
/// It does not buffer: hand it a [`std::io::BufWriter`] where that matters, and [`flush`] at the end.
///
/// [`flush`]: HistoryWriter::flush
#[derive(Debug)]
pub struct HistoryWriter<W> {
    output: W,
    line: Vec<u8>,
}

impl<W: Write> HistoryWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(output: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self { output, line: Vec::new() };
        writer.put(header)?;
        Ok(writer)
    }

    /// Writes an entry. Whether it follows on the one before is for the reader to say.
    ///
    /// # Errors
    /// Those of the output, after which the last line may be cut off.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        self.put(entry)
    }

    /// Hands on what the output has buffered.
    ///
    /// # Errors
    /// Those of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn put(&mut self, line: &impl serde::Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.output.write_all(&self.line)
    }
}
