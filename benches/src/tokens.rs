//! Device tokens of the benchmark: 64 hexadecimal digits that look random, are made from a number, and give it back.
//! So the sink can tell a right token from a wrong one, and count each, with one byte a device and no list.

/// Digits of a token.
pub const DIGITS: usize = 64;
/// The token of the limit program; it belongs to no device.
pub const LIMIT: u32 = u32::MAX;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The token of device `index`.
pub fn token(index: u32) -> [u8; DIGITS] {
    let mut bytes = [0u8; DIGITS / 2];
    let mut state = u64::from(index) ^ 0x6361_7269_6c6c_6f6e;
    for slot in bytes.chunks_exact_mut(8) {
        slot.copy_from_slice(&next(&mut state).to_be_bytes());
    }
    bytes[DIGITS / 2 - 4..].copy_from_slice(&index.to_be_bytes());
    let mut digits = [0u8; DIGITS];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    digits
}

/// The device of a token, when it is one of ours to the last digit.
pub fn index(digits: &[u8]) -> Option<u32> {
    let tail = std::str::from_utf8(digits.get(DIGITS - 8..DIGITS)?).ok()?;
    let index = u32::from_str_radix(tail, 16).ok()?;
    (token(index) == digits).then_some(index)
}

/// SplitMix64 (Steele, Lea and Flood 2014).
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_its_number_back_and_a_wrong_digit_is_noticed() {
        for number in [0, 1, 999_999, LIMIT] {
            let token = token(number);
            assert_eq!(index(&token), Some(number));
            for place in 0..DIGITS {
                let mut wrong = token;
                wrong[place] = if wrong[place] == b'0' { b'1' } else { b'0' };
                assert_ne!(index(&wrong), Some(number), "digit {place}");
            }
        }
        assert_eq!(index(b"00"), None);
        assert_eq!(index(&[b'g'; DIGITS]), None);
    }
}
