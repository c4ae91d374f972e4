//! What a relay replies and what it means for a delivery: the one table, by the stage of the dialogue, the enhanced code
//! (RFC 3463, RFC 5248) and the basic code (RFC 5321 §4.2.3). The first row that fits decides.

use super::reply::Reply;
use model::outcome::{Cause, Outcome};
use std::borrow::Cow;

/// Where in the dialogue a reply came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Greeting, EHLO, STARTTLS.
    Hello,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA and the end of the mail.
    Data,
}

/// What a reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Try this mail again.
    Later,
    /// Try everything again.
    LaterAll,
    /// This mail never passes.
    Rejected,
    /// This mailbox never answers.
    Gone,
    /// We are wrong about everything.
    FaultAll,
}

/// One row: every condition that is given has to hold.
pub(super) struct Row {
    stages: &'static [Stage],
    /// Basic codes, from and to.
    basic: (u16, u16),
    /// Enhanced codes; a code that ends in a dot stands for all that begin so. Empty: whatever it is.
    enhanced: &'static [&'static str],
    /// Words of which the text has to hold one, in lower case. Empty: whatever it says.
    says: &'static [&'static str],
    class: Class,
}

const ANY: &[Stage] = &[];
const OPENING: &[Stage] = &[Stage::Hello, Stage::Auth];
const SENDER: &[Stage] = &[Stage::Mail];
const RCPT: &[Stage] = &[Stage::Rcpt];

const fn row(
    stages: &'static [Stage],
    basic: (u16, u16),
    enhanced: &'static [&'static str],
    says: &'static [&'static str],
    class: Class,
) -> Row {
    Row { stages, basic, enhanced, says, class }
}

/// The table.
pub(super) const TABLE: &[Row] = &[
    // The relay as a whole: closing, full, not now.
    row(ANY, (421, 421), &[], &[], Class::LaterAll),
    row(OPENING, (400, 499), &[], &[], Class::LaterAll),
    row(ANY, (400, 499), &["4.3."], &[], Class::LaterAll),
    row(SENDER, (400, 499), &[], &[], Class::LaterAll),
    row(ANY, (400, 499), &[], &[], Class::Later),
    // Who we are: nothing passes until an operator mends it.
    row(OPENING, (500, 599), &[], &[], Class::FaultAll),
    row(ANY, (530, 530), &[], &[], Class::FaultAll),
    row(ANY, (534, 535), &[], &[], Class::FaultAll),
    row(ANY, (538, 538), &[], &[], Class::FaultAll),
    row(ANY, (500, 599), &["5.7.8", "5.7.9", "5.7.11", "5.7.14"], &[], Class::FaultAll),
    row(SENDER, (500, 599), &["5.7.", "5.1.7", "5.1.8"], &[], Class::FaultAll),
    row(ANY, (500, 599), &["5.7."], &["relay"], Class::FaultAll),
    row(RCPT, (550, 554), &[], &["relay access denied", "relaying denied", "unable to relay", "not permitted to relay"], Class::FaultAll),
    row(SENDER, (553, 553), &[], &[], Class::FaultAll),
    row(ANY, (500, 504), &[], &[], Class::FaultAll),
    // Who they are: the mailbox does not exist (any more).
    row(RCPT, (500, 599), &["5.1.1", "5.1.3", "5.1.6", "5.1.10", "5.2.1"], &[], Class::Gone),
    row(RCPT, (556, 556), &[], &[], Class::Gone),
    row(
        RCPT,
        (550, 553),
        &["", "5.0.0", "5.1.0"],
        &["user unknown", "unknown user", "no such user", "no such recipient", "does not exist", "mailbox not found", "no mailbox here"],
        Class::Gone,
    ),
    // Everything else is about this mail.
    row(ANY, (500, 599), &[], &[], Class::Rejected),
];

impl Row {
    fn fits(&self, stage: Stage, reply: &Reply) -> bool {
        let code = reply.enhanced.as_deref().unwrap_or("");
        let enhanced = |wanted: &&str| if wanted.ends_with('.') { code.starts_with(wanted) } else { code == *wanted };
        (self.stages.is_empty() || self.stages.contains(&stage))
            && (self.basic.0..=self.basic.1).contains(&reply.code)
            && (self.enhanced.is_empty() || self.enhanced.iter().any(enhanced))
            && (self.says.is_empty() || self.says.iter().any(|word| reply.text.to_ascii_lowercase().contains(word)))
    }
}

/// The outcome of a reply that is not the wanted one.
pub(super) fn outcome(stage: Stage, reply: &Reply) -> Outcome {
    let row = TABLE.iter().find(|row| row.fits(stage, reply));
    // A positive or intermediate reply where none belongs: the dialogue is out of step, which passes with the connection.
    let class = row.map_or(Class::Later, |row| row.class);
    let code: Cow<'static, str> = reply.enhanced.clone().unwrap_or_else(|| reply.code.to_string()).into();
    let cause = |whole_channel| Cause { code: code.clone(), status: reply.code, whole_channel, gone_since: None };
    match class {
        Class::Later => Outcome::TryLater { after: None, cause: cause(false) },
        Class::LaterAll => Outcome::TryLater { after: None, cause: cause(true) },
        Class::Rejected => Outcome::Rejected(cause(false)),
        Class::Gone => Outcome::AddressGone(cause(false)),
        Class::FaultAll => Outcome::OurFault(cause(true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classed(stage: Stage, line: &str) -> (&'static str, bool, String) {
        let outcome = outcome(stage, &Reply::of_line(line));
        let cause = outcome.cause().expect("a refusal has a cause");
        (outcome.word(), cause.whole_channel, cause.code.to_string())
    }

    #[test]
    fn every_row_is_reached_and_means_what_it_says() {
        use Stage::{Auth, Data, Hello, Mail, Rcpt};
        let expected: &[(Stage, &str, &str, bool, usize)] = &[
            (Rcpt, "421 4.3.2 shutting down", "try_later", true, 0),
            (Auth, "454 4.7.0 try again", "try_later", true, 1),
            (Data, "452 4.3.1 disk full", "try_later", true, 2),
            (Mail, "451 not now", "try_later", true, 3),
            (Rcpt, "450 4.2.1 greylisted", "try_later", false, 4),
            (Hello, "554 no service for you", "our_fault", true, 5),
            (Mail, "530 authentication required", "our_fault", true, 6),
            (Data, "535 5.7.1 bad credentials", "our_fault", true, 7),
            (Rcpt, "538 encryption required", "our_fault", true, 8),
            (Rcpt, "550 5.7.8 who are you", "our_fault", true, 9),
            (Mail, "550 5.7.1 sender not allowed", "our_fault", true, 10),
            (Rcpt, "554 5.7.1 <a@b>: Relay access denied", "our_fault", true, 11),
            (Rcpt, "550 relaying denied", "our_fault", true, 12),
            (Mail, "553 bad sender", "our_fault", true, 13),
            (Rcpt, "503 5.5.1 bad sequence", "our_fault", true, 14),
            (Rcpt, "550 5.1.1 no such user", "address_gone", false, 15),
            (Rcpt, "556 domain accepts no mail", "address_gone", false, 16),
            (Rcpt, "550 User unknown", "address_gone", false, 17),
            (Data, "552 5.3.4 too big", "rejected", false, 18),
        ];
        assert_eq!(expected.len(), TABLE.len(), "one example for each row");
        for (stage, line, word, whole, at) in expected {
            let reply = Reply::of_line(line);
            assert_eq!(TABLE.iter().position(|row| row.fits(*stage, &reply)), Some(*at), "{line}");
            let (is, channel, _) = classed(*stage, line);
            assert_eq!((is, channel), (*word, *whole), "{line}");
        }
    }

    #[test]
    fn a_mailbox_is_gone_only_when_the_relay_says_that_of_the_mailbox() {
        for code in ["5.1.1", "5.1.3", "5.1.6", "5.1.10", "5.2.1"] {
            assert_eq!(classed(Stage::Rcpt, &format!("550 {code} x")), ("address_gone", false, code.to_owned()));
            assert_ne!(classed(Stage::Mail, &format!("550 {code} x")).0, "address_gone", "{code} about the sender");
        }
        for line in
            ["550 mailbox unavailable", "550 5.7.1 policy", "552 5.2.2 full", "554 5.7.1 spam", "550 5.1.2 bad domain", "550 5.7.26 DMARC"]
        {
            assert_eq!(classed(Stage::Rcpt, line).0, "rejected", "{line}");
        }
        assert_eq!(classed(Stage::Data, "550 user unknown").0, "rejected", "after DATA it may be about the content");
    }

    #[test]
    fn the_cause_is_the_enhanced_code_or_else_the_basic_one() {
        assert_eq!(classed(Stage::Rcpt, "450 4.7.1 later").2, "4.7.1");
        assert_eq!(classed(Stage::Rcpt, "450 later").2, "450");
        assert_eq!(classed(Stage::Data, "250 2.0.0 fine but unasked").0, "try_later");
    }
}
