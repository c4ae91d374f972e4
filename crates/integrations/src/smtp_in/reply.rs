//! What is answered: a code (RFC 5321 §4.2), an enhanced one where RFC 2034 has it, and a sentence.

use model::refusal::{Refusal, RefusalKind};

/// Longest sentence of a reply: the line stays below 512 bytes (RFC 5321 §4.5.3.1.5).
const TEXT_BYTES: usize = 480;

/// A reply, without the end of its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    /// With an enhanced code, such as `2.1.0`.
    pub fn new(code: u16, enhanced: &str, text: &str) -> Reply {
        Reply { code, lines: vec![plain(&format!("{enhanced} {text}"))] }
    }

    /// Without one: the greeting, the answer to it, and what asks for the mail.
    pub fn bare(code: u16, text: &str) -> Reply {
        Reply { code, lines: vec![plain(text)] }
    }

    /// In several lines, without enhanced codes.
    pub fn lines(code: u16, lines: impl IntoIterator<Item = String>) -> Reply {
        Reply { code, lines: lines.into_iter().map(|line| plain(&line)).collect() }
    }

    /// The reply to a mail that was not taken, or to a recipient who cannot be looked up.
    pub fn refused(refusal: &Refusal) -> Reply {
        match refusal.kind {
            RefusalKind::Unavailable { .. } | RefusalKind::OverLimit { .. } => Reply::new(451, "4.3.0", &refusal.detail),
            RefusalKind::TooLarge => Reply::new(552, "5.3.4", &refusal.detail),
            RefusalKind::Malformed
            | RefusalKind::Invalid
            | RefusalKind::Unauthenticated
            | RefusalKind::Forbidden
            | RefusalKind::NotFound
            | RefusalKind::Conflict
            | RefusalKind::Stale
            | RefusalKind::VersionNeeded => Reply::new(554, "5.6.0", &refusal.detail),
        }
    }

    /// Whether it says that the client did something wrong.
    pub fn is_error(&self) -> bool {
        self.code >= 500
    }

    /// As it goes over the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        let last = self.lines.len().saturating_sub(1);
        for (at, line) in self.lines.iter().enumerate() {
            let mark = if at == last { ' ' } else { '-' };
            out.extend_from_slice(format!("{}{mark}{line}\r\n", self.code).as_bytes());
        }
    }
}

/// Visible ASCII and blanks, cut where a line would be too long: a reply may quote what the client wrote.
fn plain(text: &str) -> String {
    text.chars().take(TEXT_BYTES).map(|letter| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' }).collect()
}
