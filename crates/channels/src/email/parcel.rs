//! A mail ready to go: its header and the pieces of its body, which are put on the wire a stretch at a time, so that a large
//! file is never in memory a second time, encoded or not.

use super::attach;
use super::encode::stuff_dots;
use bytes::Bytes;

/// A piece of a body.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// Lines of text, the last one ended.
    Text(Bytes),
    /// A file, to be encoded in base64.
    File(Bytes),
}

/// A mail.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    /// Header fields, each with its CRLF, without the empty line after them.
    head: Vec<u8>,
    body: Vec<Piece>,
}

impl Parcel {
    pub(super) fn new(head: Vec<u8>, body: Vec<Piece>) -> Parcel {
        Parcel { head, body }
    }

    /// The header fields.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The same body under another header.
    #[cfg(test)]
    pub(super) fn with_head(&self, head: Vec<u8>) -> Parcel {
        Parcel::new(head, self.body.clone())
    }

    /// Puts fields before all others.
    pub(super) fn prepend(&mut self, fields: &str) {
        self.head.splice(0..0, fields.bytes());
    }

    /// How long it is, without what the dialogue adds (RFC 1870 §3).
    pub(super) fn size(&self) -> u64 {
        let of = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::File(file) => attach::encoded_len(file.len()),
        };
        let body: usize = self.body.iter().map(of).sum();
        u64::try_from(self.head.len() + 2 + body).unwrap_or(u64::MAX)
    }

    /// The body as it is.
    pub(super) fn body(&self) -> Stretches<'_> {
        Stretches { pieces: &self.body, at: 0, first: None, stuffed: false }
    }

    /// All that follows DATA, less the dot that ends it: header, empty line, body, with dots doubled where they have to be.
    pub(super) fn wire(&self) -> Stretches<'_> {
        Stretches { pieces: &self.body, at: 0, first: Some(&self.head), stuffed: true }
    }
}

/// What is written, in stretches.
pub(super) struct Stretches<'a> {
    pieces: &'a [Piece],
    /// How much of the first piece is done.
    at: usize,
    /// The header, until it is done.
    first: Option<&'a [u8]>,
    stuffed: bool,
}

impl Stretches<'_> {
    /// Whether all of it was put out.
    pub(super) fn is_over(&self) -> bool {
        self.first.is_none() && self.pieces.is_empty()
    }

    /// Puts the next stretch into an emptied buffer; `false` when there was none left. What is small goes in one stretch.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> bool {
        out.clear();
        let put = if self.stuffed { stuff_dots } else { |text: &[u8], out: &mut Vec<u8>| out.extend_from_slice(text) };
        if let Some(head) = self.first.take() {
            put(head, out);
            out.extend_from_slice(b"\r\n");
        }
        while let [piece, rest @ ..] = self.pieces
            && out.len() < attach::STRETCH
        {
            let done = match piece {
                Piece::Text(text) => {
                    put(text, out);
                    true
                }
                Piece::File(file) => {
                    let end = (self.at + attach::STRETCH).min(file.len());
                    attach::encode(&file[self.at..end], out);
                    self.at = end;
                    end == file.len()
                }
            };
            if done {
                (self.pieces, self.at) = (rest, 0);
            }
        }
        !out.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(mut stretches: Stretches<'_>) -> (Vec<u8>, usize) {
        let (mut whole, mut out, mut longest) = (Vec::new(), Vec::new(), 0);
        while stretches.next(&mut out) {
            longest = longest.max(out.len());
            whole.extend_from_slice(&out);
        }
        (whole, longest)
    }

    #[test]
    fn a_large_file_passes_in_short_stretches_and_is_shared() {
        let file = Bytes::from(vec![b'x'; 8 << 20]);
        let text = |text: &'static str| Piece::Text(Bytes::from_static(text.as_bytes()));
        let parcel = Parcel::new(b"A: b\r\n".to_vec(), vec![text(".\r\n"), Piece::File(file.clone()), text("end\r\n")]);
        let (wire, longest) = whole(parcel.wire());
        assert!(longest <= 3 * attach::STRETCH, "{longest}");
        assert!(wire.starts_with(b"A: b\r\n\r\n..\r\neHh4") && wire.ends_with(b"\r\nend\r\n"));
        let (body, _) = whole(parcel.body());
        assert!(body.starts_with(b".\r\neHh4"));
        assert_eq!(parcel.size(), (b"A: b\r\n\r\n".len() + body.len()) as u64);
        let Piece::File(kept) = &parcel.body[1] else { panic!("a file") };
        assert_eq!(kept.as_ptr(), file.as_ptr(), "its bytes are not copied");
    }
}
