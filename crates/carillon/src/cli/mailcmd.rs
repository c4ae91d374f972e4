//! `carillon mailcmd`: stands where a telephone system has the program that sends its mails, and hands each voice-mail mail to
//! the server. The exit code is what mailers understand: 0 when the server has it for good, 75 when it is worth trying again.

use super::connect::Connection;
use super::output::{Out, text};
use super::trouble::{Result, Trouble};
use crate::exit::Exit;
use bytes::Bytes;
use integrations::voicemail_mail::{MAIL_BYTES, route::MEDIA_TYPE};
use std::io::Read;

const EXAMPLES: &str = "\
Examples:
  carillon mailcmd --dial-plan Lyon < mail.eml
  carillon mailcmd --data /var/lib/carillon < mail.eml

In Asterisk's voicemail.conf, with a script that sets CARILLON_URL and CARILLON_TOKEN:
  mailcmd=/usr/local/bin/carillon-voicemail";

/// Hand in a voice-mail mail that a telephone system pipes to a program. The mail is read from standard input; whose it is
/// says the mailbox that it names, in the dial plan given, else its recipient.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Mailcmd {
    /// Dial plan, by name or id, of the mailboxes that mails name
    #[arg(long, value_name = "NAME")]
    dial_plan: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

pub async fn command(args: Mailcmd, out: &Out) -> Result<Exit> {
    // A thread of its own: whoever pipes may take its time, and Ctrl-C must not wait for it.
    let mail = tokio::task::spawn_blocking(|| read(std::io::stdin().lock())).await;
    let mail = mail.map_err(|e| Trouble::local(format!("standard input cannot be read ({e})")))??;
    hand_in(&args, mail, out).await.map_err(later)
}

async fn hand_in(args: &Mailcmd, mail: Bytes, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    let query: Vec<(&str, &str)> = args.dial_plan.iter().map(|plan| ("dialPlan", plan.as_str())).collect();
    let taken = client.bring("voicemail", &query, MEDIA_TYPE, mail).await?;
    out.say(&taken, || format!("Taken for {} in {}.", text(&taken, "extension"), text(&taken, "dialPlan")));
    Ok(Exit::Done)
}

fn read(input: impl Read) -> Result<Bytes> {
    let mut mail = Vec::new();
    let most = u64::try_from(MAIL_BYTES).unwrap_or(u64::MAX);
    let read = input.take(most.saturating_add(1)).read_to_end(&mut mail);
    read.map_err(|e| Trouble::local(format!("standard input cannot be read ({e})")))?;
    match mail.len() {
        0 => Err(Trouble::usage("there is no mail on standard input; pipe one in: carillon mailcmd < mail.eml")),
        n if n > MAIL_BYTES => Err(Trouble::usage(format!("the mail is larger than {MAIL_BYTES} bytes"))),
        _ => Ok(mail.into()),
    }
}

/// What goes over by itself has the code at which mailers keep a mail and try again.
fn later(trouble: Trouble) -> Trouble {
    let status = trouble.document.as_ref().and_then(|document| document["status"].as_u64());
    let passes = matches!(trouble.exit, Exit::OverLimit | Exit::Unavailable) || status.is_some_and(|status| status == 408 || status >= 500);
    if passes { Trouble { exit: Exit::TryAgain, ..trouble } } else { trouble }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::canned::{Answer, Canned};
    use serde_json::json;

    /// Hands a mail to a server that answers this, through a data folder, and says what it was asked.
    async fn handed(status: u16, body: serde_json::Value) -> (Result<Exit>, String) {
        let server = Canned::start(move |_, _| Answer::Json(status, body.clone())).await;
        let folder = std::env::temp_dir().join(format!("carillon-mailcmd-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("address"), &server.url).expect("a file");
        std::fs::write(folder.join("bootstrap-token"), "secret").expect("a file");
        let connection = Connection { url: None, data: Some(folder.clone()) };
        let args = Mailcmd { dial_plan: Some("Lyon & Cie".to_owned()), connection };
        let ended = hand_in(&args, Bytes::from_static(b"Subject: x\r\n\r\n"), &Out::plain()).await.map_err(later);
        std::fs::remove_dir_all(&folder).expect("removed");
        (ended, server.asked().first().cloned().unwrap_or_default())
    }

    #[tokio::test]
    async fn a_mail_is_posted_as_it_stands() {
        let (ended, asked) = handed(202, json!({"accepted": 1, "dialPlan": "Lyon", "extension": "102"})).await;
        assert_eq!(ended, Ok(Exit::Done));
        assert!(asked.starts_with("POST /integrations/voicemail?dialPlan=Lyon+%26+Cie HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("content-type: message/rfc822") && asked.contains("authorization: Bearer secret"), "{asked}");
        assert!(asked.ends_with("\r\n\r\nSubject: x\r\n\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn what_goes_over_is_tried_again_and_what_stays_is_not() {
        for (status, exit) in [(503, 75), (500, 75), (408, 75), (429, 75), (401, 3), (403, 3), (400, 2), (413, 2), (422, 2)] {
            let (ended, _) = handed(status, json!({"status": status, "code": "x", "detail": "no"})).await;
            assert_eq!(ended.expect_err("a trouble").exit.code(), exit, "{status}");
        }
        let closed = Trouble::new(Exit::Unavailable, "unreachable", "no answer");
        assert_eq!(later(closed).exit, Exit::TryAgain);
    }

    #[test]
    fn without_a_mail_or_with_one_that_is_too_large_nothing_is_asked() {
        assert_eq!(read(&b""[..]).expect_err("no mail").exit, Exit::Use);
        assert_eq!(read(std::io::repeat(b'x')).expect_err("too large").exit, Exit::Use);
        assert_eq!(read(&b"Subject: x"[..]), Ok(Bytes::from_static(b"Subject: x")));
    }
}
