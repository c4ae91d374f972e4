//! PINs and conference IDs: numbers that nobody should guess.
//!
//! In: chance, the length that the organization wants, and what the PIN must not be like. Out: digits. A PIN is no repeat, no
//! run, nobody's telephone extension, and neither how the conference ID begins nor how it ends (SPEC §6).

use model::Refusal;
use model::source::Tools;

/// Digits of a conference ID.
pub(super) const CONFERENCE_ID_DIGITS: usize = 9;
/// Tries until a PIN is good. Even of four digits less than one in thirty is not, so this is reached only without chance.
const TRIES: usize = 100;

/// A new conference ID: nine digits, of which the first is not 0, so that it stays itself where it is taken for a number.
pub(super) fn conference_id(tools: &mut dyn Tools) -> String {
    const FIRST: u32 = 100_000_000;
    (FIRST + tools.below(9 * FIRST)).to_string()
}

/// Whether a conference ID that was given has the form of those that are made here.
pub(super) fn is_conference_id(text: &str) -> bool {
    text.len() == CONFERENCE_ID_DIGITS && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0')
}

/// A new PIN of `length` digits.
///
/// # Errors
/// When the source of chance gives none that is good.
pub(super) fn new(tools: &mut dyn Tools, length: usize, phones: &[String], conference_id: &str) -> Result<String, Refusal> {
    for _ in 0..TRIES {
        let digits: String = (0..length).filter_map(|_| char::from_digit(tools.below(10), 10)).collect();
        if !is_trivial(&digits, phones, conference_id) {
            return Ok(digits);
        }
    }
    Err(Refusal::unavailable("no PIN could be made: the source of random numbers repeats itself"))
}

/// Whether a PIN is easily guessed.
pub(super) fn is_trivial(pin: &str, phones: &[String], conference_id: &str) -> bool {
    repeats(pin) || runs(pin) || conference_id.starts_with(pin) || conference_id.ends_with(pin) || phones.iter().any(|p| belongs(pin, p))
}

/// One block again and again: 77777, 1212, 123123.
fn repeats(pin: &str) -> bool {
    let digits = pin.as_bytes();
    let block = |size: usize| digits.len().is_multiple_of(size) && digits.chunks(size).all(|part| part == &digits[..size]);
    (1..=digits.len() / 2).any(block)
}

/// Up or down by one, over 9 and 0 too: 34567, 8901, 43210.
fn runs(pin: &str) -> bool {
    let by = |step: u8| pin.as_bytes().windows(2).all(|two| (two[0] - b'0' + step) % 10 == two[1] - b'0');
    by(1) || by(9)
}

/// The end of the person's number, or the whole of a shorter one, such as an extension.
fn belongs(pin: &str, phone: &str) -> bool {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    digits.ends_with(pin) || (digits.len() >= 3 && pin.ends_with(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conferencing::tests::Seeded;
    use proptest::prelude::*;

    #[test]
    fn repeats_runs_extensions_and_ends_of_the_conference_id_are_trivial() {
        let phones = ["+33 1 55 50 12 34".to_owned(), "4711".to_owned()];
        let trivial = |pin: &str| is_trivial(pin, &phones, "583920174");
        for pin in
            ["7777", "1212", "123123", "1234", "34567", "8901", "98765", "10987", "501234", "01234", "4711", "94711", "58392", "20174"]
        {
            assert!(trivial(pin), "{pin}");
        }
        for pin in ["7778", "12124", "39201", "4712", "13579", "55501"] {
            assert!(!trivial(pin), "{pin}");
        }
    }

    #[test]
    fn chance_that_repeats_itself_makes_no_pin() {
        struct Stuck;
        impl Tools for Stuck {
            fn below(&mut self, _: u32) -> u32 {
                7
            }
            fn id(&mut self) -> uuid::Uuid {
                uuid::Uuid::nil()
            }
            fn keep(&mut self, _: &str) -> String {
                String::new()
            }
            fn is(&mut self, _: &str, _: &str, _: &str) -> model::source::Compared {
                model::source::Compared::Different
            }
            fn signing_secret(&mut self, _: uuid::Uuid) -> (String, String) {
                Default::default()
            }
        }
        assert!(new(&mut Stuck, 5, &[], "583920174").is_err());
    }

    proptest! {
        #[test]
        fn a_new_pin_has_the_wanted_length_in_digits_and_is_never_trivial(seed: u64, length in 4usize..=12, phone in "\\+?[0-9]{3,15}") {
            let mut tools = Seeded(seed);
            let id = conference_id(&mut tools);
            let phones = [phone];
            let pin = new(&mut tools, length, &phones, &id).expect("a PIN");
            prop_assert!(pin.len() == length && pin.bytes().all(|b| b.is_ascii_digit()));
            prop_assert!(!is_trivial(&pin, &phones, &id));
        }

        #[test]
        fn a_new_conference_id_has_nine_digits_and_does_not_begin_with_0(seed: u64) {
            prop_assert!(is_conference_id(&conference_id(&mut Seeded(seed))));
        }

        #[test]
        fn what_is_not_nine_digits_is_no_conference_id(text in "\\PC{0,12}") {
            let digits = text.len() == 9 && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
            prop_assert_eq!(is_conference_id(&text), digits);
        }
    }
}
