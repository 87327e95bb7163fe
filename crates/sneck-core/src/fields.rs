//! Lines of `key=value`: what records say, readable with any client of the store.

use std::fmt;

/// Lines of `key=value`, in order; a key may come more than once.
///
/// Keys are words of the program. Values are any text: control characters and `%` are written as
/// `%XX`, so that nobody can forge a line by what it calls itself.
///
/// ```
/// use sneck_core::Fields;
/// let mut fields = Fields::new();
/// fields.put("owner", "deploy\n7");
/// assert_eq!(fields.to_string(), "owner=deploy%0A7\n");
/// assert_eq!(Fields::parse(b"owner=deploy%0A7\n").get("owner"), Some("deploy\n7"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// No lines.
    pub fn new() -> Self {
        Fields::default()
    }

    /// Appends a line.
    pub fn put(&mut self, key: &str, value: impl fmt::Display) {
        self.0.push((key.to_owned(), value.to_string()));
    }

    /// The first value of this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// All values of this key, in order.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(at, _)| at == key).map(|(_, value)| value.as_str())
    }

    /// Reads what [`Display`](fmt::Display) writes. What is no line is left out: a later version may
    /// say more than this one knows, and strangers may have written anything.
    pub fn parse(data: &[u8]) -> Self {
        let text = String::from_utf8_lossy(data);
        let line =
            |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), unescape(value)));
        Fields(text.lines().filter_map(line).collect())
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in &self.0 {
            write!(f, "{key}=")?;
            for c in value.chars() {
                match c {
                    '%' | '\0'..='\x1f' | '\x7f' => write!(f, "%{:02X}", u32::from(c))?,
                    c => write!(f, "{c}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn unescape(value: &str) -> String {
    let mut parts = value.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escaped = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped.filter(u8::is_ascii) {
            Some(byte) => {
                text.push(char::from(byte));
                text.push_str(&part[2..]);
            }
            None => {
                text.push('%');
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(values in prop::collection::vec(any::<String>(), 0..5)) {
            let mut fields = Fields::new();
            for value in &values {
                fields.put("k", value);
            }
            let text = fields.to_string();
            prop_assert_eq!(text.lines().count(), values.len(), "no value breaks its line");
            prop_assert_eq!(Fields::parse(text.as_bytes()), fields);
        }

        #[test]
        fn nothing_that_strangers_wrote_is_too_much(data in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Fields::parse(&data);
        }
    }

    #[test]
    fn a_value_cannot_forge_a_line() {
        let mut fields = Fields::new();
        fields.put("owner", "a\nowner=b");
        let read = Fields::parse(fields.to_string().as_bytes());
        assert_eq!(read.all("owner").collect::<Vec<_>>(), ["a\nowner=b"]);
    }
}
