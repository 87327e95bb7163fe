//! Histories, which other programs may write.

use sneck_history::{Entry, Header, HistoryReader, HistoryWriter, Sample, judge};

/// Reads a history and judges what can be read of it; what was read is written alike.
pub(crate) fn history(bytes: &[u8]) {
    let Ok(reader) = HistoryReader::new(bytes) else { return };
    let header = reader.header().clone();
    // Up to where it cannot be read.
    let entries: Vec<_> = reader.map_while(Result::ok).collect();
    let text = written(&header, &entries);
    let again = HistoryReader::new(&text[..]).expect("a header that was written");
    assert_eq!(again.header(), &header);
    let again: Result<Vec<_>, _> = again.collect();
    assert_eq!(again.expect("entries that were written"), entries);
    let report = judge(HistoryReader::new(&text[..]).expect("it was read before"));
    assert!(report.is_ok_and(|report| !report.to_string().is_empty()));
}

/// A short history of everything that can happen.
pub(crate) fn examples() -> Vec<Vec<u8>> {
    (0..3)
        .map(|seed| {
            let sample = Sample::new(seed, 24, 3);
            written(&sample.header, &sample.entries)
        })
        .collect()
}

fn written(header: &Header, entries: &[Entry]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut writer = HistoryWriter::new(&mut text, header).expect("memory");
    entries.iter().for_each(|entry| writer.write(entry).expect("memory"));
    writer.flush().expect("memory");
    drop(writer);
    text
}
