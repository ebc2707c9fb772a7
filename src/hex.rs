//! SHA-256 hashes as 64 lower-case hex digits, the only spelling references know.

pub(crate) fn encode(hash: &[u8; 32]) -> String {
    hash.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// Upper-case digits, another length or anything else is refused.
pub(crate) fn decode(text: &str) -> Option<[u8; 32]> {
    let digits: [u8; 64] = text.as_bytes().try_into().ok()?;
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit| DIGITS.iter().position(|known| *known == digit);
        *byte = u8::try_from(value(pair[0])? << 4 | value(pair[1])?).ok()?;
    }
    Some(hash)
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_only() {
        let hash = std::array::from_fn(|i| (i * 37) as u8);
        assert_eq!(decode(&encode(&hash)), Some(hash));
        let text = encode(&hash);
        for wrong in [text.to_uppercase(), text[1..].to_owned(), format!("{text}0"), text.replace('0', "g")] {
            assert_eq!(decode(&wrong), None);
        }
    }
}
