//! Whose voice message a mail is about, and the leg that it stands for.

use super::{VoicemailMail, read};
use crate::intake::{HeardLeg, Intake, Recording};
use engine::keys::sha256;
use model::refusal::{Fault, Refusal, RefusalKind};
use model::time::Timestamp;

/// Longest word of the sender's that is repeated in a refusal.
const SHOWN_CHARS: usize = 80;

/// A mailbox: where an extension is somebody's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mailbox {
    /// Dial plan, by name or id.
    pub dial_plan: String,
    /// Extension.
    pub extension: String,
}

/// The mailbox that an address means: that of the person, or, with a dial plan, the extension in front of the `@`. Nobody has one
/// whose first part has to stand in quotes (RFC 5321 §4.1.2): of `"102@evil"@pbx` it would be a matter of taste whose that is.
///
/// # Errors
/// `unavailable`: ask again later.
pub(crate) async fn mailbox_at(intake: &dyn Intake, dial_plan: Option<&str>, address: &str) -> Result<Option<Mailbox>, Refusal> {
    let address = address.trim().to_ascii_lowercase();
    let local = address.rsplit_once('@').map_or(address.as_str(), |(local, _)| local);
    if !local.chars().all(is_atext) {
        return Ok(None);
    }
    if let Some((dial_plan, extension)) = intake.mailbox_of(&address).await? {
        return Ok(Some(Mailbox { dial_plan, extension }));
    }
    match dial_plan {
        Some(plan) if !local.is_empty() => concerned(intake, plan, local).await,
        Some(_) | None => Ok(None),
    }
}

/// What stands in the first part of an address without quotes (RFC 5321 §4.1.2, RFC 6531 §3.3).
fn is_atext(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || ".!#$%&'*+-/=?^_`{|}~".contains(letter) || (!letter.is_ascii() && !letter.is_control())
}

async fn concerned(intake: &dyn Intake, dial_plan: &str, extension: &str) -> Result<Option<Mailbox>, Refusal> {
    let known = intake.concerns(dial_plan, extension).await?;
    Ok(known.then(|| Mailbox { dial_plan: dial_plan.to_owned(), extension: extension.to_owned() }))
}

/// The mailbox that a mail itself means: the number that it names, in this dial plan; else the first of its recipients who has
/// one.
///
/// # Errors
/// `unknown_mailbox` when nobody is found, with what would help; `unavailable`: ask again later.
async fn mailbox_in(intake: &dyn Intake, dial_plan: Option<&str>, mail: &VoicemailMail) -> Result<Mailbox, Refusal> {
    if let (Some(plan), Some(number)) = (dial_plan, &mail.mailbox)
        && let Some(found) = concerned(intake, plan, number).await?
    {
        return Ok(found);
    }
    for address in &mail.to {
        if let Some(found) = mailbox_at(intake, dial_plan, address).await? {
            return Ok(found);
        }
    }
    Err(nobody(dial_plan, mail))
}

fn nobody(dial_plan: Option<&str>, mail: &VoicemailMail) -> Refusal {
    let shown = |text: &str| text.chars().take(SHOWN_CHARS).collect::<String>();
    let number = match (&mail.mailbox, dial_plan) {
        (Some(number), Some(plan)) => format!("nobody has the extension {:?} in the dial plan {:?}", shown(number), shown(plan)),
        (Some(number), None) => format!("it names the mailbox {:?}, but no dial plan was said", shown(number)),
        (None, _) => "it names no mailbox".to_owned(),
    };
    let addresses = match mail.to.first() {
        Some(address) => format!("no recipient (the first is {:?}) is the address of somebody with a mailbox", shown(address)),
        None => "it has no recipient".to_owned(),
    };
    let mend = "enable the person for telephony with this extension, say the dial plan, or have the mail sent to the person's own address";
    let detail = format!("nobody is meant by this mail: {number}, and {addresses}; {mend}");
    let fault = Fault { field: "mailbox".to_owned(), message: detail.clone() };
    Refusal { faults: vec![fault], ..Refusal::new(RefusalKind::Invalid, "unknown_mailbox", detail) }
}

/// A mail that was read, with what makes it known again.
pub(crate) struct Letter {
    mail: VoicemailMail,
    id: String,
}

impl Letter {
    /// Reads a mail.
    ///
    /// # Errors
    /// As [`read`].
    pub fn read(bytes: &[u8]) -> Result<Letter, Refusal> {
        let mail = read(bytes)?;
        let id = sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Letter { mail, id })
    }

    /// What it says of a mailbox: a voice message was left there. The same mail says the same, whenever it comes.
    ///
    /// # Errors
    /// A name that no leg can have.
    pub fn leg(&self, mailbox: &Mailbox, received: Timestamp) -> Result<HeardLeg, Refusal> {
        let mut leg = self.mail.leg(&mailbox.dial_plan, &mailbox.extension, &self.id, received);
        leg.recording = self.mail.audio.as_ref().map(|audio| audio.name.clone());
        let recording = self.mail.audio.as_ref().map(|audio| Recording {
            name: audio.name.clone(),
            media_type: audio.media_type.clone(),
            bytes: audio.bytes.clone(),
        });
        Ok(HeardLeg { leg: leg.checked()?, recording })
    }

    /// Whose mail it is, by what it says itself.
    ///
    /// # Errors
    /// `unknown_mailbox` with the mend; `unavailable`: ask again later.
    pub async fn whose(&self, intake: &dyn Intake, dial_plan: Option<&str>) -> Result<Mailbox, Refusal> {
        mailbox_in(intake, dial_plan, &self.mail).await
    }
}
