//! Front coding: strings as what they do not share with the one before.

/// Each item as two varints, shared and own length, and its own bytes.
pub(super) fn encode(items: &[Box<str>]) -> Vec<u8> {
    let mut coded = Vec::new();
    let mut before: &[u8] = b"";
    for item in items {
        let bytes = item.as_bytes();
        let shared = shared_length(before, bytes);
        write_length(&mut coded, shared);
        write_length(&mut coded, bytes.len() - shared);
        coded.extend_from_slice(&bytes[shared..]);
        before = bytes;
    }
    coded
}

/// How many bytes both begin with: URLs of a set share most of theirs, so that they
/// are compared by sixteen first.
fn shared_length(left: &[u8], right: &[u8]) -> usize {
    let (left_chunks, _) = left.as_chunks::<16>();
    let (right_chunks, _) = right.as_chunks::<16>();
    let chunks = left_chunks.iter().zip(right_chunks);
    let whole = 16 * chunks.take_while(|(left, right)| left == right).count();
    let bytes = left[whole..].iter().zip(&right[whole..]);
    whole + bytes.take_while(|(left, right)| left == right).count()
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
        fn all_that_two_items_share_is_found(
            shared in proptest::collection::vec(any::<u8>(), 0..70),
            left in proptest::collection::vec(any::<u8>(), 0..40),
            right in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let [left, right] = [left, right].map(|own| [&shared[..], &own].concat());
            let alike = left.iter().zip(&right).take_while(|(left, right)| left == right);
            prop_assert_eq!(shared_length(&left, &right), alike.count());
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
