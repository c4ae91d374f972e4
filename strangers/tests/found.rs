//! What was found, by name: each of these broke something once.

/// An access token that holds for 2^64 seconds: its end lay beyond all instants, and reckoning with it panicked.
#[test]
fn a_token_that_holds_for_ever_is_refused_or_kept_for_a_while() {
    let mut answer = 100u16.to_be_bytes().to_vec();
    answer.extend_from_slice(b"\n\n{\"access_token\":\"abc\",\"expires_in\":18446744073709551615}");
    strangers::provider(&answer);
}

/// A sign before a number is read by the standard library, and stood in a time of the day.
#[test]
fn a_time_of_the_day_has_no_sign() {
    assert!(model::time::DailySpan::parse("+9:30-+8:30").is_err());
    assert!(model::time::DailySpan::parse("09:30-08:30").is_ok());
}
