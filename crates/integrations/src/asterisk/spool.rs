//! What Asterisk's voice mail leaves on the disk: `msgNNNN.txt` beside the audio of the same name.

use model::calls::Caller;
use model::objects::phone;
use model::time::Timestamp;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Kinds of audio files, in the order in which they are looked for: what plays everywhere first.
pub const AUDIO: [(&str, &str); 5] =
    [("wav", "audio/wav"), ("WAV", "audio/wav"), ("mp3", "audio/mpeg"), ("ogg", "audio/ogg"), ("gsm", "audio/x-gsm")];

/// What stands in a `msgNNNN.txt`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Mailbox for which it was left.
    pub mailbox: Option<String>,
    /// Who left it.
    pub caller: Caller,
    /// When it began.
    pub at: Option<Timestamp>,
    /// How long it is.
    pub length: Option<Duration>,
    /// Its id, which stays when the file is renumbered.
    pub id: Option<String>,
}

/// Reads a `msgNNNN.txt`. Lines that are not known are passed over.
pub fn message(text: &str) -> Message {
    let mut message = Message::default();
    for (name, value) in text.lines().filter(|line| !line.starts_with([';', '['])).filter_map(|line| line.split_once('=')) {
        let value = value.trim();
        if value.is_empty() {
            continue;
        }
        match name.trim() {
            "origmailbox" => message.mailbox = Some(value.to_owned()),
            "callerid" => message.caller = caller(value),
            "origtime" => message.at = value.parse().ok().and_then(|seconds: i64| seconds.checked_mul(1000)).map(Timestamp),
            "duration" => message.length = value.parse().ok().map(Duration::from_secs),
            "msg_id" => message.id = Some(value.to_owned()),
            _ => {}
        }
    }
    message
}

/// A caller as Asterisk writes one: `"Bob" <101>`, or a bare number.
pub fn caller(text: &str) -> Caller {
    match text.trim().strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, number)) => Caller { number: Some(number.to_owned()), name: Some(name.to_owned()) }.known(),
        None if phone(text).is_some() => Caller { number: Some(text.trim().to_owned()), name: None }.known(),
        None => Caller::default(),
    }
}

/// Where the recording that Asterisk names lies below the configured spool folder: its last four parts, context, mailbox,
/// folder and message. Asterisk may see the spool under another path than we do, and nothing that it says leads out of it.
pub fn below(recording: &str) -> Option<PathBuf> {
    const PARTS: usize = 4;
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(recording).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str().filter(|part| !part.contains('\0'))?),
            Component::RootDir => {}
            Component::Prefix(_) | Component::CurDir | Component::ParentDir => return None,
        }
    }
    let message =
        parts.last().is_some_and(|name| name.strip_prefix("msg").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())));
    (message && parts.len() >= PARTS).then(|| parts[parts.len() - PARTS..].iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captured_message_file_is_read() {
        let read = message(include_str!("../../tests/asterisk/captured-msg0000.txt"));
        assert_eq!(read.caller, Caller { number: Some("101".to_owned()), name: Some("Bob".to_owned()) });
        assert_eq!((read.mailbox.as_deref(), read.length), (Some("102"), Some(Duration::from_secs(3))));
        assert_eq!(read.at, Some(Timestamp(1_795_189_121_000)));
        assert_eq!(read.id.as_deref(), Some("1795189121-00000001"));
        assert_eq!(message("callerid=\norigtime=soon"), Message::default());
    }

    #[test]
    fn a_caller_is_read_in_asterisks_spelling() {
        assert_eq!(caller("+33472100101").number.as_deref(), Some("+33472100101"));
        assert_eq!(caller("\"Anonymous\" <anonymous>"), Caller::default());
        assert_eq!(caller("Bob"), Caller::default());
    }

    #[test]
    fn a_recording_lies_in_the_spool_and_nowhere_else() {
        let path = below("/var/spool/asterisk/voicemail/default/102/INBOX/msg0000");
        assert_eq!(path, Some(PathBuf::from("default/102/INBOX/msg0000")));
        for wrong in ["/etc/passwd", "default/102/../../msg0000", "/a/b/c/msgx", "msg0000", "", "/a/b/c/d/msg0000/.."] {
            assert_eq!(below(wrong), None, "{wrong}");
        }
    }
}
