//! The audio of a voice message, read from the spool folder: whole, of this call, and from nowhere else.
//!
//! Asterisk puts the audio in its place first and `msgNNNN.txt` after it, so that the text says that the audio is whole. Messages
//! are renumbered when earlier ones are deleted: a text that is older than the call belongs to another message.

use super::spool;
use crate::intake::Recording;
use model::calls::Leg;
use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// Largest audio: half an hour as WAV.
pub(super) const LARGEST_BYTES: u64 = 32 * 1024 * 1024;
/// Largest `msgNNNN.txt`; real ones have half a KiB.
pub(super) const TEXT_BYTES: u64 = 64 * 1024;
/// How much earlier than its call a message may seem to begin. Both times are Asterisk's own, in whole seconds.
const EARLIER: Duration = Duration::from_secs(5);

/// What a look into the spool folder found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The audio.
    Here(Recording),
    /// It may come yet.
    NotYet,
    /// It will not come, and why.
    Never(&'static str),
}

/// Looks for the audio of a leg that names one.
pub(super) fn look(spool_dir: &Path, leg: &Leg) -> Look {
    let Some(below) = leg.recording.as_deref().and_then(spool::below) else {
        return Look::Never("its name is not one of the spool folder");
    };
    let found = || -> Result<Look, Errno> {
        let folder = folder_of(spool_dir, &below)?;
        let name = below.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(text) = read(&folder, &format!("{name}.txt"), TEXT_BYTES)? else { return Ok(Look::Never("its text file is too large")) };
        if !belongs(&spool::message(&String::from_utf8_lossy(&text)), leg) {
            return Ok(Look::NotYet);
        }
        for (ending, media_type) in spool::AUDIO {
            let name = format!("{name}.{ending}");
            match read(&folder, &name, LARGEST_BYTES) {
                Ok(Some(bytes)) => return Ok(Look::Here(Recording { name, media_type: media_type.to_owned(), bytes })),
                Ok(None) => return Ok(Look::Never("it is too large")),
                Err(Errno::NOENT) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Look::NotYet)
    };
    match found() {
        Ok(look) => look,
        // ELOOP and ENOTDIR: a symbolic link stands in the way, and whoever made it may read more than we should hand out.
        Err(Errno::LOOP | Errno::NOTDIR) => Look::Never("a symbolic link lies on the way to it"),
        Err(Errno::ACCESS | Errno::PERM) => Look::Never("the spool folder may not be read"),
        Err(_) => Look::NotYet,
    }
}

/// Opens the folder of a message, part by part, so that no link is followed below the spool folder.
pub(super) fn folder_of(spool_dir: &Path, below: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut folder = open(spool_dir, flags, Mode::empty())?;
    for part in below.parent().into_iter().flat_map(Path::components) {
        folder = openat(&folder, part.as_os_str(), flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(folder)
}

/// Reads a plain file; `None` when it has more than `most` bytes.
pub(super) fn read(folder: &OwnedFd, name: &str, most: u64) -> Result<Option<Vec<u8>>, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(openat(folder, name, flags, Mode::empty())?);
    let broken = |e: std::io::Error| Errno::from_io_error(&e).unwrap_or(Errno::IO);
    let about = file.metadata().map_err(broken)?;
    if !about.is_file() {
        return Err(Errno::NOTDIR);
    }
    if about.len() > most {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(broken)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// Whether a message may have been left in this call. Callers are not compared: dialplans rewrite numbers on the way.
fn belongs(message: &spool::Message, leg: &Leg) -> bool {
    message.at.is_none_or(|at| at.plus(EARLIER) >= leg.at)
}

#[cfg(test)]
mod tests {
    use super::super::tests::replay::Folder;
    use super::*;
    use model::calls::{Caller, LegState};
    use model::time::Timestamp;

    const INBOX: &str = "default/102/INBOX";
    const TEXT: &str = "[message]\ncallerid=\"Bob\" <101>\norigtime=1795189121\n";

    fn leg() -> Leg {
        Leg {
            call_id: "lyon:1".to_owned(),
            leg_id: "1:voice:102".to_owned(),
            dial_plan: "Lyon".to_owned(),
            called_extension: "102".to_owned(),
            caller: Caller::default(),
            state: LegState::VoiceMessage,
            at: Timestamp(1_795_189_112_000),
            answered_elsewhere: None,
            recording: Some("/var/spool/asterisk/voicemail/default/102/INBOX/msg0000".to_owned()),
        }
    }

    #[test]
    fn audio_is_there_when_its_text_is_and_what_plays_everywhere_is_taken() {
        let folder = Folder::new();
        assert_eq!(look(&folder.0, &leg()), Look::NotYet, "no folder yet");
        folder.write(&format!("{INBOX}/msg0000.gsm"), b"gsm");
        folder.write(&format!("{INBOX}/msg0000.WAV"), b"wav49");
        assert_eq!(look(&folder.0, &leg()), Look::NotYet, "no text yet");
        folder.write(&format!("{INBOX}/msg0000.txt"), TEXT);
        let Look::Here(recording) = look(&folder.0, &leg()) else { panic!("no audio") };
        assert_eq!((recording.name.as_str(), recording.bytes.as_slice()), ("msg0000.WAV", b"wav49".as_slice()));
    }

    #[test]
    fn an_older_message_of_the_same_number_is_not_this_calls() {
        let folder = Folder::new();
        folder.write(&format!("{INBOX}/msg0000.wav"), b"RIFF");
        folder.write(&format!("{INBOX}/msg0000.txt"), "origtime=1795189000\n");
        assert_eq!(look(&folder.0, &leg()), Look::NotYet);
    }

    #[test]
    fn nothing_outside_the_spool_folder_is_read() {
        let (folder, outside) = (Folder::new(), Folder::new());
        outside.write("INBOX/msg0000.wav", b"somebody's");
        outside.write("INBOX/msg0000.txt", TEXT);
        std::fs::create_dir_all(folder.0.join("default/102")).expect("a folder");
        let inbox = folder.0.join(INBOX);
        std::os::unix::fs::symlink(outside.0.join("INBOX"), &inbox).expect("a link");
        assert!(matches!(look(&folder.0, &leg()), Look::Never(why) if why.contains("symbolic link")), "a folder that is a link");
        std::fs::remove_file(&inbox).expect("removed");
        folder.write(&format!("{INBOX}/msg0000.txt"), TEXT);
        std::os::unix::fs::symlink(outside.0.join("INBOX/msg0000.wav"), inbox.join("msg0000.wav")).expect("a link");
        assert!(matches!(look(&folder.0, &leg()), Look::Never(_)), "audio that is a link");
        let elsewhere = Leg { recording: Some("../../../../etc/msg0000".to_owned()), ..leg() };
        assert!(matches!(look(&folder.0, &elsewhere), Look::Never(_)));
    }

    #[test]
    fn audio_that_is_too_large_is_never_read() {
        let folder = Folder::new();
        folder.write(&format!("{INBOX}/msg0000.txt"), TEXT);
        let audio = folder.write(&format!("{INBOX}/msg0000.wav"), b"");
        let file = File::options().write(true).open(audio).expect("a file");
        file.set_len(LARGEST_BYTES + 1).expect("a long file of nothing");
        assert_eq!(look(&folder.0, &leg()), Look::Never("it is too large"));
    }
}
