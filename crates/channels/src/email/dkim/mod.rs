//! Signatures by which a receiver knows that a mail is from the organization's domain and arrived as it was written (RFC 6376,
//! RFC 8301, RFC 8463).
//!
//! In: a mail that is ready to go. Out: the same with a `DKIM-Signature` in front. Header and body are signed in the relaxed
//! form, which survives what relays do to white space. The key is read once. Nothing here asks DNS.

mod key;
mod relaxed;

pub use key::{DkimKey, DkimRecord};

use super::parcel::Parcel;
use crate::setup::ChannelSetupError;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::time::Timestamp;
use relaxed::RelaxedBody;

/// What is signed where it is there. From and others that a reader sees are named once more than they occur, so that nobody
/// on the way can add a second one (RFC 6376 §8.15).
const SIGNED: [&str; 15] = [
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-language",
    "auto-submitted",
    "list-id",
    "x-carillon-event",
    "x-carillon-kind",
];
const NO_MORE_OF: [&str; 8] = ["from", "to", "cc", "reply-to", "subject", "date", "message-id", "content-type"];
/// Where a line of the signature ends at the latest.
const LINE: usize = 76;

/// Settings of signing. There is no `Debug`: it holds a key.
#[derive(Clone)]
pub struct DkimSettings {
    /// The domain that signs, `d=`.
    pub domain: String,
    /// Under which name the domain publishes the key, `s=`.
    pub selector: String,
    /// The private key (PEM): RSA of 2,048 bits or more, or Ed25519.
    pub key_pem: String,
}

impl DkimSettings {
    /// Whether receivers could look a key up under these names.
    ///
    /// # Errors
    /// The first that is wrong, with the rule and the mend.
    pub fn check_names(domain: &str, selector: &str) -> Result<(), ChannelSetupError> {
        if !is_name(domain) || !domain.contains('.') {
            let mend = "write the domain behind the sender's @, such as example.org";
            return Err(ChannelSetupError::new("channels.email.dkim_domain", format!("{domain:?} is no domain"), mend));
        }
        if !is_name(selector) {
            let mend = "write letters, digits and hyphens, such as carillon1";
            return Err(ChannelSetupError::new("channels.email.dkim_selector", format!("{selector:?} is no name that DNS takes"), mend));
        }
        Ok(())
    }
}

/// Signs mails.
pub(super) struct Signer {
    domain: String,
    selector: String,
    key: DkimKey,
}

impl Signer {
    /// Checks the settings and reads the key.
    pub(super) fn new(settings: &DkimSettings) -> Result<Signer, ChannelSetupError> {
        let DkimSettings { domain, selector, key_pem } = settings;
        DkimSettings::check_names(domain, selector)?;
        match DkimKey::parse(key_pem) {
            Ok(key) => Ok(Signer { domain: domain.to_ascii_lowercase(), selector: selector.to_ascii_lowercase(), key }),
            Err(rule) => Err(ChannelSetupError::new("channels.email.dkim_key_file", format!("it {rule}"), DkimKey::MEND)),
        }
    }

    /// What DNS has to hold.
    pub(super) fn record(&self) -> DkimRecord {
        self.key.record(&self.domain, &self.selector)
    }

    /// What key it is, for people.
    pub(super) fn key(&self) -> &DkimKey {
        &self.key
    }

    /// Whether receivers take the signature as that of a sender (RFC 7489 §3.1.1): its domain, one above it or one below it.
    pub(super) fn stands_for(&self, sender: &str) -> bool {
        let sender = sender.to_ascii_lowercase();
        let below = |low: &str, high: &str| low == high || low.strip_suffix(high).is_some_and(|rest| rest.ends_with('.'));
        below(&sender, &self.domain) || below(&self.domain, &sender)
    }

    /// Puts a signature in front of a mail. `None` where the library of cryptography refuses.
    pub(super) fn sign(&self, parcel: &mut Parcel, now: Timestamp) -> Option<()> {
        let fields = relaxed::fields(parcel.head());
        let unsigned = self.unsigned(&fields, &body_hash(parcel), now);
        let mut input = String::new();
        for name in SIGNED {
            fields.iter().filter(|(field, _)| field == name).for_each(|(_, canonical)| input.push_str(canonical));
        }
        for (_, canonical) in relaxed::fields(unsigned.as_bytes()) {
            input.push_str(canonical.trim_end());
        }
        let signature = STANDARD.encode(self.key.sign(input.as_bytes())?);
        let mut field = unsigned.trim_end().to_owned();
        for line in signature.as_bytes().chunks(LINE - 2) {
            field.push_str("\r\n ");
            field.extend(line.iter().copied().map(char::from));
        }
        field.push_str("\r\n");
        parcel.prepend(&field);
        Some(())
    }

    /// The field without its signature.
    fn unsigned(&self, fields: &[(String, String)], body_hash: &str, now: Timestamp) -> String {
        let there = SIGNED.iter().filter(|name| fields.iter().any(|(field, _)| field == *name));
        let names: Vec<&str> = there.chain(NO_MORE_OF.iter()).copied().collect();
        // Words, and what stands between each and the one before it, unless that is the end of a line.
        let mut words = vec![(" ", format!("d={};", self.domain)), (" ", format!("s={};", self.selector))];
        words.push((" ", format!("t={};", now.unix_seconds())));
        let last = names.len() - 1;
        words.extend(names.iter().enumerate().map(|(i, name)| match i {
            0 => (" ", format!("h={name}:")),
            i if i == last => ("", format!("{name};")),
            _ => ("", format!("{name}:")),
        }));
        words.extend([(" ", format!("bh={body_hash};")), (" ", "b=".to_owned())]);
        let mut field = format!("DKIM-Signature: v=1; a={}; c=relaxed/relaxed;", self.key.algorithm());
        let mut column = field.len();
        for (gap, word) in words {
            if column + gap.len() + word.len() > LINE {
                field.push_str("\r\n ");
                column = 1;
            } else {
                field.push_str(gap);
                column += gap.len();
            }
            field.push_str(&word);
            column += word.len();
        }
        field.push_str("\r\n");
        field
    }
}

fn body_hash(parcel: &Parcel) -> String {
    let (mut stretches, mut out, mut body) = (parcel.body(), Vec::new(), RelaxedBody::default());
    while stretches.next(&mut out) {
        body.update(&out);
    }
    STANDARD.encode(body.finish())
}

fn hash(bytes: &[u8]) -> impl AsRef<[u8]> {
    digest(&SHA256, bytes)
}

/// A name as DNS takes it; others have to be written in their ASCII form.
fn is_name(name: &str) -> bool {
    let label =
        |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    name.len() <= 200 && name.split('.').all(label)
}

#[cfg(test)]
mod tests;
