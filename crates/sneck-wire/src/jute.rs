//! Jute, the encoding under every record: big-endian numbers, and strings, buffers and vectors
//! that begin with a 32-bit length or count, of which -1 means null.

use bytes::{BufMut, Bytes, BytesMut};

use crate::DecodeError;

/// Reads jute values from the front of a slice.
///
/// Nothing is allocated on the word of the peer: every length is first compared with the bytes
/// that are really there. Values are copied out rather than shared with the frame, because a
/// server keeps node data for months, and a slice of twenty bytes would keep the whole read
/// buffer alive for as long.
///
/// Each method takes the name of the field it reads, for the error message.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    /// How many bytes have not been read.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Reads a 32-bit integer.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn int(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array(what)?))
    }

    /// Reads a 64-bit integer.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn long(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }

    /// Reads a boolean: one byte, of which every value but 0 is true.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn boolean(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        let [byte] = self.array(what)?;
        Ok(byte != 0)
    }

    /// Reads a string that must not be null.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedNull`], or as for [`Reader::nullable_string`].
    pub fn string(&mut self, what: &'static str) -> Result<String, DecodeError> {
        let at = self.at;
        self.nullable_string(what)?.ok_or(DecodeError::UnexpectedNull { what, at })
    }

    /// Reads a string; `None` is null, which is not the same as empty.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], [`DecodeError::NegativeLength`] or [`DecodeError::NotUtf8`].
    pub fn nullable_string(&mut self, what: &'static str) -> Result<Option<String>, DecodeError> {
        let at = self.at;
        let Some(bytes) = self.counted(what)? else { return Ok(None) };
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(DecodeError::NotUtf8 { what, at }),
        }
    }

    /// Reads a buffer; `None` is null, which is not the same as empty.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] or [`DecodeError::NegativeLength`].
    pub fn buffer(&mut self, what: &'static str) -> Result<Option<Bytes>, DecodeError> {
        Ok(self.counted(what)?.map(Bytes::copy_from_slice))
    }

    /// Reads a vector whose elements are read by `element` and take at least
    /// `element_bytes_min` bytes each. Null reads as empty: no request or reply gives the two
    /// different meanings.
    ///
    /// # Errors
    /// [`DecodeError::NegativeLength`], [`DecodeError::TooLong`] if so many elements cannot be in
    /// the bytes that remain, or whatever `element` returns.
    pub fn vector<T>(
        &mut self,
        what: &'static str,
        element_bytes_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let at = self.at;
        let announced = self.int(what)?;
        if announced == -1 {
            return Ok(Vec::new());
        }
        let Ok(count) = usize::try_from(announced) else {
            return Err(DecodeError::NegativeLength { what, at, length: announced });
        };
        let limit = self.remaining() / element_bytes_min.max(1);
        if count > limit {
            return Err(DecodeError::TooLong { what, at, length: count, limit });
        }
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// Reads a vector of strings, none of them null.
    ///
    /// # Errors
    /// As for [`Reader::vector`] and [`Reader::string`].
    pub fn strings(&mut self, what: &'static str) -> Result<Vec<String>, DecodeError> {
        self.vector(what, STRING_BYTES_MIN, |reader| reader.string(what))
    }

    /// Takes everything that remains, uninterpreted.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = std::mem::take(&mut self.rest);
        self.at += rest.len();
        rest
    }

    /// Ends the record named `what`.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] if bytes remain.
    pub fn finish(&self, what: &'static str) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            extra => Err(DecodeError::Trailing { what, at: self.at, extra }),
        }
    }

    /// The bytes behind a length; `None` for length -1.
    fn counted(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, DecodeError> {
        let at = self.at;
        let announced = self.int(what)?;
        if announced == -1 {
            return Ok(None);
        }
        match usize::try_from(announced) {
            Ok(length) => self.take(what, length).map(Some),
            Err(_) => Err(DecodeError::NegativeLength { what, at, length: announced }),
        }
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let Some((array, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.truncated(what, N));
        };
        self.rest = rest;
        self.at += N;
        Ok(*array)
    }

    fn take(&mut self, what: &'static str, length: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.truncated(what, length));
        };
        self.rest = rest;
        self.at += length;
        Ok(taken)
    }

    fn truncated(&self, what: &'static str, needed: usize) -> DecodeError {
        DecodeError::Truncated { what, at: self.at, needed, remaining: self.remaining() }
    }
}

/// The shortest string on the wire: its length alone.
pub(crate) const STRING_BYTES_MIN: usize = 4;

/// Appends jute values. Integers are [`BufMut::put_i32`] and [`BufMut::put_i64`], which are
/// big-endian already.
///
/// # Panics
/// The methods panic on values of 2 GiB and more, which jute cannot express; a frame may hold a
/// thousandth of that.
pub trait Writer: BufMut {
    /// Appends a boolean.
    fn put_bool(&mut self, value: bool) {
        self.put_u8(u8::from(value));
    }

    /// Appends a string.
    fn put_string(&mut self, value: &str) {
        self.put_buffer(Some(value.as_bytes()));
    }

    /// Appends a buffer, `None` as null.
    fn put_buffer(&mut self, value: Option<&[u8]>) {
        match value {
            Some(bytes) => {
                self.put_i32(wire_length(bytes.len()));
                self.put_slice(bytes);
            }
            None => self.put_i32(-1),
        }
    }

    /// Appends a vector whose elements are appended by `put`.
    fn put_vector<T>(&mut self, elements: &[T], mut put: impl FnMut(&mut Self, &T))
    where
        Self: Sized,
    {
        self.put_i32(wire_length(elements.len()));
        for element in elements {
            put(self, element);
        }
    }

    /// Appends a vector of strings.
    fn put_strings(&mut self, strings: &[String])
    where
        Self: Sized,
    {
        self.put_vector(strings, |out, string| out.put_string(string));
    }
}

impl Writer for BytesMut {}

/// A length as the wire has it.
pub(crate) fn wire_length(length: usize) -> i32 {
    i32::try_from(length).expect("jute lengths are below 2 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_buffers_differ() {
        let mut out = BytesMut::new();
        out.put_buffer(None);
        out.put_buffer(Some(b""));
        assert_eq!(&out[..], [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        let mut reader = Reader::new(&out);
        assert_eq!(reader.buffer("data"), Ok(None));
        assert_eq!(reader.buffer("data"), Ok(Some(Bytes::new())));
        assert_eq!(reader.finish("test"), Ok(()));
    }

    #[test]
    fn lengths_are_checked_before_anything_is_taken() {
        let huge = [0x7f, 0xff, 0xff, 0xff, b'a'];
        let error = Reader::new(&huge).buffer("data");
        let needed = i32::MAX as usize;
        assert_eq!(
            error,
            Err(DecodeError::Truncated { what: "data", at: 4, needed, remaining: 1 })
        );
        // Were the vector allocated first, 2^31 strings would ask for 48 GiB and abort the test.
        let error = Reader::new(&huge).strings("names");
        assert_eq!(
            error,
            Err(DecodeError::TooLong { what: "names", at: 0, length: needed, limit: 0 })
        );
    }

    #[test]
    fn a_vector_is_refused_when_one_element_more_is_announced_than_can_be_there() {
        let two_empty_strings = [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
        let names = Reader::new(&two_empty_strings).strings("names");
        assert_eq!(names, Ok(vec![String::new(); 2]));
        let mut three_announced = two_empty_strings;
        three_announced[3] = 3;
        assert_eq!(
            Reader::new(&three_announced).strings("names"),
            Err(DecodeError::TooLong { what: "names", at: 0, length: 3, limit: 2 })
        );
    }

    #[test]
    fn lengths_below_minus_one_are_refused() {
        let bytes = (-2_i32).to_be_bytes();
        let refused = DecodeError::NegativeLength { what: "x", at: 0, length: -2 };
        assert_eq!(Reader::new(&bytes).buffer("x"), Err(refused.clone()));
        assert_eq!(Reader::new(&bytes).string("x"), Err(refused.clone()));
        assert_eq!(Reader::new(&bytes).strings("x"), Err(refused));
    }

    #[test]
    fn null_strings_and_vectors() {
        let null = (-1_i32).to_be_bytes();
        assert_eq!(
            Reader::new(&null).string("path"),
            Err(DecodeError::UnexpectedNull { what: "path", at: 0 })
        );
        assert_eq!(Reader::new(&null).nullable_string("user"), Ok(None));
        assert_eq!(Reader::new(&null).strings("names"), Ok(Vec::new()));
    }

    #[test]
    fn strings_must_be_utf8() {
        let bytes = [0, 0, 0, 1, 0xff];
        assert_eq!(
            Reader::new(&bytes).string("path"),
            Err(DecodeError::NotUtf8 { what: "path", at: 0 })
        );
    }

    #[test]
    fn what_is_left_over_is_reported() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.boolean("flag"), Ok(true));
        assert_eq!(
            reader.finish("record"),
            Err(DecodeError::Trailing { what: "record", at: 1, extra: 2 })
        );
        assert_eq!(reader.rest(), [2, 3]);
        assert_eq!(reader.position(), 3);
        assert_eq!(reader.finish("record"), Ok(()));
    }
}
