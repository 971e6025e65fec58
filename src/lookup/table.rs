//! A table as bytes: one row a line, each a list of texts, sorted.

/// A row: what its cells mean is for the query to say.
pub type Cells = Vec<String>;

/// The bytes of a table, whatever order its rows came in.
pub fn write(mut rows: Vec<Cells>) -> Vec<u8> {
    rows.sort_unstable();
    rows.dedup();
    let mut bytes = Vec::new();
    for row in rows {
        bytes.extend(serde_json::to_vec(&row).expect("a list of texts is JSON"));
        bytes.push(b'\n');
    }
    bytes
}

/// The rows of a table in their order; what is no row is left out.
pub fn rows(bytes: &[u8]) -> impl Iterator<Item = Cells> + '_ {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok())
}

/// How many rows there are.
pub fn count(bytes: &[u8]) -> u64 {
    bytes.split_inclusive(|byte| *byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_sorted_and_once_whatever_they_hold() {
        let row = |cells: &[&str]| -> Cells { cells.iter().map(ToString::to_string).collect() };
        let all = [row(&["b\n\"\t", "Image"]), row(&["ä", ""]), row(&["a"])];
        let given = [&all[..], &all[..1]].concat();
        let bytes = write(given.clone());
        let back: Vec<Cells> = rows(&bytes).collect();
        let mut sorted = all.to_vec();
        sorted.sort();
        assert_eq!(back, sorted);
        assert_eq!(count(&bytes), 3);
        let reversed = given.into_iter().rev().collect();
        assert_eq!(write(reversed), bytes);
    }
}
