//! Reading a history, line by line.

use std::fmt;
use std::io::{self, BufRead};

use crate::{Entry, Header, VERSION};

/// The longest line that is read, in bytes. What is longer was not written by an arbiter.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// The entries of a history, each checked against the rules of the format: lines are numbered
/// without a gap, time does not go back, nobody saw a thing after the arbiter did.
///
/// Memory is bounded by the longest line. After an error the reader ends.
#[derive(Debug)]
pub struct HistoryReader<R> {
    input: R,
    header: Header,
    line: Vec<u8>,
    number: u64,
    seq: u64,
    at_ns: u64,
    over: bool,
}

impl<R: BufRead> HistoryReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When there is none, or one of a version that is not known here.
    pub fn new(input: R) -> Result<Self, ReadError> {
        let header = Header::new(crate::Store::Other);
        let mut reader =
            Self { input, header, line: Vec::new(), number: 0, seq: 0, at_ns: 0, over: false };
        if !reader.next_line()? {
            return Err(reader.fault("the file is empty; a history begins with its header"));
        }
        reader.header = serde_json::from_slice(&reader.line)
            .map_err(|error| reader.fault(format!("no header of a history: {error}")))?;
        if reader.header.sneck_history != VERSION {
            let found = reader.header.sneck_history;
            return Err(reader.fault(format!("version {found}; only {VERSION} is known here")));
        }
        Ok(reader)
    }

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Fills `line`; false at the end of the file.
    fn next_line(&mut self) -> Result<bool, ReadError> {
        self.line.clear();
        self.number += 1;
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = io::Read::take(&mut self.input, limit).read_until(b'\n', &mut self.line);
        read.map_err(|error| self.fault(format!("cannot be read: {error}")))?;
        match self.line.last() {
            None => Ok(false),
            Some(b'\n') => Ok(true),
            Some(_) if self.line.len() > LINE_BYTES_MAX => {
                Err(self.fault(format!("longer than {LINE_BYTES_MAX} bytes")))
            }
            Some(_) => Err(self.fault("the line does not end; the file was cut off here")),
        }
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        if !self.next_line()? {
            return Ok(None);
        }
        let entry: Entry =
            serde_json::from_slice(&self.line).map_err(|error| self.fault(error.to_string()))?;
        match self.fault_in(&entry) {
            Some(fault) => Err(self.fault(fault)),
            None => {
                (self.seq, self.at_ns) = (entry.seq, entry.at_ns);
                Ok(Some(entry))
            }
        }
    }

    /// Which rule of the format an entry breaks.
    fn fault_in(&self, entry: &Entry) -> Option<String> {
        let Entry { seq, at_ns, client, own_ns, event } = entry;
        if *seq != self.seq + 1 {
            return Some(format!("number {seq} follows on {}", self.seq));
        }
        if *at_ns < self.at_ns {
            return Some(format!("time goes back, from {} ns to {at_ns} ns", self.at_ns));
        }
        if event.is_of_a_client() != client.is_some() {
            let but = if client.is_some() { "names" } else { "does not name" };
            return Some(format!("the entry {but} a client"));
        }
        if own_ns.is_some_and(|own| own > *at_ns) {
            return Some(
                "the client's own time is after the arbiter's: they read two clocks".into(),
            );
        }
        None
    }

    fn fault(&self, reason: impl Into<String>) -> ReadError {
        ReadError { line: self.number, reason: reason.into() }
    }
}

impl<R: BufRead> Iterator for HistoryReader<R> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.next_entry().transpose();
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Why a file is no history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The line at fault; the header is line 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for ReadError {}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"sneck_history":1,"store":"memory"}"#;

    /// What is said of a history with these lines after its header.
    fn fault(lines: &[&str]) -> String {
        let text = format!("{HEADER}\n{}\n", lines.join("\n"));
        let reader = HistoryReader::new(text.as_bytes()).unwrap();
        reader.filter_map(Result::err).map(|error| error.to_string()).collect()
    }

    #[test]
    fn good_lines_are_read() {
        let text = format!(
            "{HEADER}\n{}\n{}\n",
            r#"{"seq":1,"at_ns":5,"client":1,"own_ns":5,"event":{"granted":{"attempt":1,"token":2}}}"#,
            r#"{"seq":2,"at_ns":5,"event":"quiet"}"#
        );
        let reader = HistoryReader::new(text.as_bytes()).unwrap();
        assert_eq!(reader.map(|entry| entry.unwrap().seq).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn each_rule_names_its_line() {
        let quiet = r#"{"seq":1,"at_ns":5,"event":"quiet"}"#;
        let cases: &[(&[&str], &str)] = &[
            (&[r#"{"seq":2,"at_ns":5,"event":"quiet"}"#], "line 2: number 2 follows on 0"),
            (&[quiet, quiet], "line 3: number 1 follows on 1"),
            (&[quiet, r#"{"seq":2,"at_ns":4,"event":"quiet"}"#], "line 3: time goes back"),
            (&[r#"{"seq":1,"at_ns":5,"client":1,"event":"quiet"}"#], "line 2: the entry names"),
            (
                &[r#"{"seq":1,"at_ns":5,"event":{"lost":{"attempt":1}}}"#],
                "line 2: the entry does not name a client",
            ),
            (
                &[r#"{"seq":1,"at_ns":5,"client":1,"own_ns":6,"event":{"lost":{"attempt":1}}}"#],
                "line 2: the client's own time",
            ),
            (&[r#"{"seq":1,"at_ns":5,"event":"noise"}"#], "line 2: unknown variant `noise`"),
            (
                &[r#"{"seq":1,"at_ns":5,"client":1,"event":{"lost":{"attempt":1,"why":2}}}"#],
                "line 2: unknown field `why`",
            ),
        ];
        for (lines, expected) in cases {
            let said = fault(lines);
            assert!(said.starts_with(expected), "{said} instead of {expected}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused_in_bounded_memory() {
        let endless = io::BufReader::new(io::repeat(b'x'));
        let error = HistoryReader::new(endless).unwrap_err();
        assert_eq!(error.to_string(), "line 1: longer than 65536 bytes");
        let cut = format!("{HEADER}\n{{\"seq\":1");
        let mut reader = HistoryReader::new(cut.as_bytes()).unwrap();
        assert!(reader.next().unwrap().unwrap_err().reason.contains("cut off"));
        assert!(reader.next().is_none(), "a reader ends after an error");
    }

    #[test]
    fn headers_of_another_version_are_refused() {
        let newer = "{\"sneck_history\":2,\"store\":\"memory\"}\n";
        let error = HistoryReader::new(newer.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "line 1: version 2; only 1 is known here");
        assert!(HistoryReader::new(&b""[..]).unwrap_err().reason.contains("empty"));
    }
}
