//! Front coding: strings as what they do not share with the one before.

/// Each item as two varints, shared and own length, and its own bytes.
pub(super) fn encode(items: &[Box<str>]) -> Vec<u8> {
    let mut coded = Vec::new();
    let mut before: &[u8] = b"";
    for item in items {
        let bytes = item.as_bytes();
        let shared = before.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        write_length(&mut coded, shared);
        write_length(&mut coded, bytes.len() - shared);
        coded.extend_from_slice(&bytes[shared..]);
        before = bytes;
    }
    coded
}

/// The inverse of [`encode`]; `None` where the bytes are none of its making.
pub(super) fn decode(mut coded: &[u8]) -> Option<Vec<Box<str>>> {
    let mut items = Vec::new();
    let mut item: Vec<u8> = Vec::new();
    while !coded.is_empty() {
        let shared = read_length(&mut coded)?;
        let own = read_length(&mut coded)?;
        if shared > item.len() || own > coded.len() {
            return None;
        }
        item.truncate(shared);
        let (bytes, rest) = coded.split_at(own);
        item.extend_from_slice(bytes);
        coded = rest;
        items.push(std::str::from_utf8(&item).ok()?.into());
    }
    Some(items)
}

fn write_length(coded: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        coded.push(length as u8 | 0x80);
        length >>= 7;
    }
    coded.push(length as u8);
}

fn read_length(coded: &mut &[u8]) -> Option<usize> {
    let mut length = 0;
    for shift in (0..28).step_by(7) {
        let (&byte, rest) = coded.split_first()?;
        *coded = rest;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn items_survive_and_keep_their_order(items in proptest::collection::vec("(https://a/)?.{0,200}", 0..20)) {
            let items: Vec<Box<str>> = items.into_iter().map(Into::into).collect();
            prop_assert_eq!(decode(&encode(&items)), Some(items));
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
