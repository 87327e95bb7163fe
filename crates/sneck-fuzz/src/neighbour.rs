//! What others who stand in a line have written beside their places, and into records.

use sneck_core::{Caller, Contender, Fields, Request};

/// Reads the data of a node: it is shown, and must not do anything to whom it is shown to.
pub(crate) fn node_data(bytes: &[u8]) {
    let contender = Contender::new("lock-0000000001", bytes);
    let shown = contender.to_string();
    let is_plain = |text: &str| !text.contains(char::is_control);
    assert!(is_plain(&contender.text) && is_plain(&shown), "{shown:?}");
    assert!(contender.text.chars().count() <= Request::DESCRIPTION_MAX);
    if let Some(caller) = &contender.caller {
        let text = caller.to_string();
        assert!(text.len() <= Caller::TEXT_MAX && is_plain(&text), "{text:?}");
        assert!(Caller::parse(&text).is_some(), "{text:?} is not ours any more");
    }
}

/// Reads a record.
pub(crate) fn record(bytes: &[u8]) {
    let fields = Fields::parse(bytes);
    let text = fields.to_string();
    assert_eq!(Fields::parse(text.as_bytes()), fields, "{text:?}");
}
