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

/// An hour of four digits overflowed before it was found to be none (by the fuzzer).
#[test]
fn an_hour_beyond_all_hours_is_refused() {
    for text in ["2222:00-06:30", "2222:00-06:3&0:00-06:3&0", "22:00-1093:0"] {
        assert!(model::time::DailySpan::parse(text).is_err(), "{text}");
        strangers::words(text.as_bytes());
    }
}

/// Google's word for a wrong token under a status of somebody in between retired the registration (by the fuzzer).
#[test]
fn a_server_in_trouble_retires_no_address_whatever_its_words() {
    let words = br#"{"error":{"status":"INVALID_ARGUMENT","details":[{"@type":"x/google.rpc.BadRequest","fieldViolations":[{"field":"message.token"}]}]}}"#;
    let gone = r#"{"error":{"status":"NOT_FOUND","details":[{"@type":"x/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}"#;
    for status in [524u16, 503, 302] {
        for body in [&words[..], gone.as_bytes()] {
            strangers::provider(&[&(status - 100).to_be_bytes()[..], b"\n\n", body].concat());
        }
    }
}
