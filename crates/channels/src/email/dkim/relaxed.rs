//! The relaxed forms of header and body (RFC 6376 §3.4.2 and §3.4.4).

use aws_lc_rs::digest::{Context, SHA256};

/// The fields of a header: the name in lower case, and the whole field in the relaxed form with its CRLF.
pub(super) fn fields(head: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(head);
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = fields.last_mut()
        {
            value.push(' ');
            value.push_str(line);
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim_end().to_ascii_lowercase(), value.to_owned()));
        }
    }
    let relaxed = |(name, value): (String, String)| {
        let words: Vec<&str> = value.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        let field = format!("{name}:{}\r\n", words.join(" "));
        (name, field)
    };
    fields.into_iter().map(relaxed).collect()
}

/// The hash of a body in its relaxed form, which may come in stretches.
pub(super) struct RelaxedBody {
    digest: Context,
    out: Vec<u8>,
    /// White space that counts only if something follows on its line.
    space: bool,
    /// Empty lines that count only if something follows.
    empty_lines: usize,
    /// Whether the line has anything yet.
    begun: bool,
}

impl Default for RelaxedBody {
    fn default() -> RelaxedBody {
        RelaxedBody { digest: Context::new(&SHA256), out: Vec::new(), space: false, empty_lines: 0, begun: false }
    }
}

impl RelaxedBody {
    /// More of it, with CRLF line ends.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            let mut taken = 1;
            match byte {
                b'\n' => self.end_line(),
                b'\r' => {}
                b' ' | b'\t' => self.space = true,
                _ => {
                    let special = |b: &u8| matches!(b, b'\r' | b'\n' | b' ' | b'\t');
                    taken = rest.iter().position(special).unwrap_or(rest.len());
                    self.word(&rest[..taken]);
                }
            }
            rest = &rest[taken..];
        }
        self.digest.update(&self.out);
        self.out.clear();
    }

    fn word(&mut self, word: &[u8]) {
        for _ in 0..std::mem::take(&mut self.empty_lines) {
            self.out.extend_from_slice(b"\r\n");
        }
        if std::mem::take(&mut self.space) {
            self.out.push(b' ');
        }
        self.out.extend_from_slice(word);
        self.begun = true;
    }

    fn end_line(&mut self) {
        self.space = false;
        if std::mem::take(&mut self.begun) {
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.empty_lines += 1;
        }
    }

    /// The hash of all of it.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.begun {
            self.digest.update(b"\r\n");
        }
        self.digest.finish().as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hashed(parts: &[&str]) -> Vec<u8> {
        let mut body = RelaxedBody::default();
        parts.iter().for_each(|part| body.update(part.as_bytes()));
        body.finish()
    }

    #[test]
    fn the_example_of_the_rfc_has_its_relaxed_form() {
        // RFC 6376 §3.4.5.
        let expected = [("a".to_owned(), "a:X\r\n".to_owned()), ("b".to_owned(), "b:Y Z\r\n".to_owned())];
        assert_eq!(fields(b"A: X\r\nB : Y\t\r\n\tZ  \r\n"), expected);
        let plain = |text: &str| super::super::hash(text.as_bytes()).as_ref().to_vec();
        assert_eq!(hashed(&[" C \r\nD \t E\r\n\r\n\r\n"]), plain(" C\r\nD E\r\n"));
        assert_eq!(hashed(&["\r\n \r\n"]), plain(""), "empty lines at the end are none");
        assert_eq!(hashed(&["\r\na"]), plain("\r\na\r\n"), "the last line is ended");
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_the_body_is_cut(lines in proptest::collection::vec("[ \ta]{0,6}", 0..8), cut in 0usize..40) {
            let text = lines.join("\r\n");
            let cut = cut.min(text.len());
            prop_assert_eq!(hashed(&[&text]), hashed(&[&text[..cut], &text[cut..]]));
        }
    }
}
