//! What a file holds, as a digest.

use std::io::{self, Read};

use crate::digest::Digest;

/// git LFS writes nothing larger in the place of a file.
const MAX_POINTER: u64 = 1024;
const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n";

/// The digest of what `reader`, of `length` bytes, yields. What git LFS keeps
/// elsewhere counts as if it were here, as it is after a checkout: a pointer
/// names the very SHA-256 of the content that it stands for.
pub(super) fn digest(mut reader: impl Read, length: u64) -> io::Result<Digest> {
    if length >= MAX_POINTER {
        return Digest::of_reader(reader);
    }
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    Ok(pointed_to(&bytes).unwrap_or_else(|| Digest::of(&bytes)))
}

fn pointed_to(bytes: &[u8]) -> Option<Digest> {
    let fields = std::str::from_utf8(bytes).ok()?.strip_prefix(POINTER)?;
    let id = fields
        .lines()
        .find_map(|line| line.strip_prefix("oid sha256:"))?;
    Digest::from_hex(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Digest) {
        let found = digest(text.as_bytes(), text.len() as u64);
        assert_eq!(found.unwrap(), expected, "{text}");
    }

    #[test]
    fn a_pointer_counts_as_what_it_points_to() {
        let content = Digest::of(b"an image");
        let pointer = format!("{POINTER}oid sha256:{content}\nsize 8\n");
        check("an image", content);
        check(&pointer, content);
        let cut = &pointer[..pointer.len() - 20];
        check(cut, Digest::of(cut.as_bytes()));
        let long = format!("{pointer}{}", " ".repeat(1024));
        check(&long, Digest::of(long.as_bytes()));
    }
}
