//! Texts that are too long for a provider: cut at a character boundary, with an ellipsis.

/// Bytes of the ellipsis that marks a cut.
const MARK_BYTES: usize = '…'.len_utf8();

/// The longest shortened form of `text` that takes at most `most` bytes, where a character takes `cost` of them.
pub(crate) fn fit(text: &str, most: usize, cost: fn(char) -> usize) -> String {
    let mut taken = 0;
    let mut kept = 0;
    for (at, c) in text.char_indices() {
        if taken + MARK_BYTES <= most {
            kept = at;
        }
        taken += cost(c);
        if taken > most {
            // Cut here and not by bytes of the text: what is left of it may be short and yet long once escaped.
            return if most < MARK_BYTES { String::new() } else { format!("{}…", text[..kept].trim_end()) };
        }
    }
    text.to_owned()
}

/// What a character takes in a JSON string, as serde_json writes it (RFC 8259 §7).
pub(crate) fn in_json(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if u32::from(c) < 0x20 => 6,
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_cut_fits_and_is_a_beginning(text in "[\"\\\\\u{1}-\u{1f}a漢😀 ]{0,80}", most in 0usize..200) {
            let cut = fit(&text, most, in_json);
            let bytes: usize = cut.chars().map(in_json).sum();
            prop_assert!(bytes <= most || (cut.is_empty() && text.is_empty()), "{bytes} of {most}");
            prop_assert!(cut == text || text.starts_with(cut.strip_suffix('…').unwrap_or(&cut)));
            prop_assert_eq!(serde_json::to_string(&cut).expect("JSON").len(), bytes + 2);
        }
    }
}
