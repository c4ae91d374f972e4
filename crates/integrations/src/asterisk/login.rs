//! Signing in to the manager interface with a challenge, so that the secret never travels, and asking for few events.
//!
//! One voice-mail call makes over a hundred events; the filters leave about twenty. An account without the right to set
//! filters works, too: what is not wanted is passed over when it comes.

use super::wire::{Block, action};
use md5::{Digest, Md5};

/// Classes of events that an account has to be allowed to read.
pub const CLASSES: &str = "call,dialplan,user,reporting";
/// Id of the action that asks for a challenge.
pub const CHALLENGE: &str = "carillon-challenge";
/// Id of the action that signs in.
pub const LOGIN: &str = "carillon-login";

/// Events that say something about the fate of a call.
pub const EVENTS: [&str; 8] = ["Newchannel", "Newexten", "VarSet", "DialBegin", "DialEnd", "Hangup", "MessageWaiting", "UserEvent"];
/// Variables that do.
pub const VARIABLES: [&str; 3] = ["DIALSTATUS", "VMSTATUS", "VM_MESSAGEFILE"];
/// Applications that do.
pub const APPLICATIONS: [&str; 1] = ["VoiceMail"];
/// The event of one's own that a dialplan sends when the caller hangs up.
pub const USER_EVENT: &str = "CarillonHangup";

/// Asks for a challenge.
pub fn challenge() -> String {
    action("Challenge", CHALLENGE, &[("AuthType", "MD5")])
}

/// Signs in: the key is the MD5 of the challenge and the secret, in hexadecimal. MD5 is what the protocol has; use TLS where the
/// connection leaves the machine.
pub fn login(username: &str, secret: &str, challenge: &str) -> String {
    let digest = Md5::new().chain_update(challenge).chain_update(secret).finalize();
    let key: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    action("Login", LOGIN, &[("AuthType", "MD5"), ("Username", username), ("Key", &key), ("Events", CLASSES)])
}

/// The challenge in an answer to [`challenge`].
pub fn challenge_in(answer: &Block) -> Option<&str> {
    answer.get("Challenge").filter(|_| answer.answers(CHALLENGE) && answer.succeeded())
}

/// Filters that leave only what [`wanted`] takes, as far as the other side can tell it. Their answers may say that the account
/// lacks the right; that does no harm.
pub fn filters() -> Vec<String> {
    let plain =
        EVENTS.iter().filter(|event| !matches!(**event, "VarSet" | "Newexten" | "UserEvent")).map(|event| format!("Event: {event}"));
    let own = [format!("UserEvent: {USER_EVENT}")];
    let variables = VARIABLES.iter().map(|variable| format!("Variable: {variable}"));
    let applications = APPLICATIONS.iter().map(|application| format!("Application: {application}"));
    let all = plain.chain(own).chain(variables).chain(applications);
    all.enumerate()
        .map(|(at, filter)| action("Filter", &format!("carillon-filter-{at}"), &[("Operation", "Add"), ("Filter", &filter)]))
        .collect()
}

/// Whether an event says something about the fate of a call.
pub fn wanted(block: &Block) -> bool {
    let one_of =
        |field: &str, words: &[&str]| block.get(field).is_some_and(|value| words.iter().any(|word| word.eq_ignore_ascii_case(value)));
    match block.event() {
        Some("VarSet") => one_of("Variable", &VARIABLES),
        Some("Newexten") => one_of("Application", &APPLICATIONS),
        Some("UserEvent") => one_of("UserEvent", &[USER_EVENT]),
        Some(event) => EVENTS.contains(&event),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_md5_of_challenge_and_secret() {
        // md5("840415273" + "secret"), by another program.
        let text = login("carillon", "secret", "840415273");
        assert!(text.contains("Key: ") && !text.contains("secret"), "{text}");
        let key = text.lines().find_map(|line| line.strip_prefix("Key: ")).expect("a key");
        assert_eq!(key, KEY);
    }

    const KEY: &str = "81c3ab5534a432bec402f6d988ee45b4";

    #[test]
    fn a_challenge_is_taken_only_from_its_own_answer() {
        let answer = Block::of(&[("Response", "Success"), ("ActionID", CHALLENGE), ("Challenge", "840415273")]);
        assert_eq!(challenge_in(&answer), Some("840415273"));
        assert_eq!(challenge_in(&Block::of(&[("Response", "Error"), ("ActionID", CHALLENGE), ("Challenge", "1")])), None);
        assert_eq!(challenge_in(&Block::of(&[("Event", "FullyBooted"), ("Challenge", "1")])), None);
    }

    #[test]
    fn few_events_are_wanted() {
        assert!(wanted(&Block::of(&[("Event", "VarSet"), ("Variable", "VMSTATUS"), ("Value", "SUCCESS")])));
        assert!(!wanted(&Block::of(&[("Event", "VarSet"), ("Variable", "RINGTIME"), ("Value", "0")])));
        assert!(!wanted(&Block::of(&[("Event", "CEL")])) && !wanted(&Block::of(&[("Event", "UserEvent"), ("UserEvent", "Other")])));
        assert!(filters().iter().all(|filter| filter.starts_with("Action: Filter\r\n") && filter.ends_with("\r\n\r\n")));
        assert!(filters().iter().any(|filter| filter.contains("Filter: Variable: VMSTATUS\r\n")));
    }
}
