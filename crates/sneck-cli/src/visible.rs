//! Text of others, made safe for a terminal.

/// The same text with everything replaced that could steer a terminal or reorder what is read:
/// control characters, C1 included, line and paragraph separators, and the invisible characters that
/// change the direction of writing.
pub(crate) fn visible(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}')
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        let text = visible("a\x1b[2J\u{9b}31m\u{202e}b\n\u{2028}c\u{7f}ß");
        assert!(!text.chars().any(char::is_control));
        assert_eq!(text, "a\u{fffd}[2J\u{fffd}31m\u{fffd}b\u{fffd}\u{fffd}c\u{fffd}ß");
    }
}
