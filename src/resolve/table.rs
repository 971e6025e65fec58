//! A compact table of assets: a few bytes beside the text of each id.

use std::sync::Arc;

use crate::digest::Digest;

/// What many assets share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Group {
    /// Adobe's asset type, where declared.
    pub kind: Option<String>,
    /// Crops of the assets themselves; `None` leaves it to the set.
    pub crops: Option<Vec<String>>,
    /// Revision of the whole source they come from.
    pub revision: Option<String>,
    /// The file they stand in; `None` is the manifest's own list.
    pub file: Option<Arc<str>>,
}

/// Names a [`Group`] of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupId(u32);

impl GroupId {
    /// Its position in [`AssetTable::groups`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One asset, borrowed from its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset<'a> {
    /// As it stands in URLs.
    pub id: &'a str,
    /// As it was declared.
    pub declared: &'a str,
    /// Its own revision.
    pub revision: Option<&'a str>,
    /// What it shares with others.
    pub group: GroupId,
    /// Line in its file, from 1; or position in the manifest's list, from 0.
    pub line: u32,
}

/// Assets in declared order.
#[derive(Clone, Debug, Default)]
pub struct AssetTable {
    /// Each asset's id, then as it was declared where that differs, then its
    /// revision.
    text: String,
    rows: Vec<Row>,
    groups: Vec<Group>,
    /// One for each row, or none at all.
    contents: Arc<[Digest]>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// Where its text ends; it starts where the one before ends.
    end: u64,
    /// [`ABSENT`] where it is the id.
    declared_length: u32,
    /// [`ABSENT`] where there is none, which differs from empty.
    revision_length: u32,
    line: u32,
    group: GroupId,
}

const ABSENT: u32 = u32::MAX;

impl AssetTable {
    /// Adds a group that assets may then be pushed into.
    pub fn add_group(&mut self, group: Group) -> GroupId {
        self.groups.push(group);
        GroupId(self.groups.len() as u32 - 1)
    }

    /// Adds an asset.
    pub fn push(&mut self, asset: Asset<'_>) {
        self.text.push_str(asset.id);
        let is_plain = asset.declared == asset.id;
        if !is_plain {
            self.text.push_str(asset.declared);
        }
        self.text.push_str(asset.revision.unwrap_or_default());
        self.rows.push(Row {
            end: self.text.len() as u64,
            declared_length: if is_plain {
                ABSENT
            } else {
                asset.declared.len() as u32
            },
            revision_length: asset.revision.map_or(ABSENT, |text| text.len() as u32),
            line: asset.line,
            group: asset.group,
        });
    }

    /// Gives back what growing has left over.
    pub fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.rows.shrink_to_fit();
    }

    /// Gives each asset, in order, the digest of its file as a revision.
    pub fn set_contents(&mut self, contents: Arc<[Digest]>) {
        assert_eq!(contents.len(), self.rows.len(), "one for each asset");
        self.contents = contents;
    }

    /// What the file of the asset at `index` holds.
    pub fn content(&self, index: usize) -> Option<&Digest> {
        self.contents.get(index)
    }

    /// How many assets there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All groups; [`GroupId::index`] points into them.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The asset at `index`, which must be below [`AssetTable::len`].
    pub fn get(&self, index: usize) -> Asset<'_> {
        let row = self.rows[index];
        let start = match index.checked_sub(1) {
            Some(before) => self.rows[before].end,
            None => 0,
        } as usize;
        let text = &self.text[start..row.end as usize];
        let (text, revision) = cut(text, row.revision_length);
        let (id, declared) = cut(text, row.declared_length);
        Asset {
            id,
            declared: declared.unwrap_or(id),
            revision,
            group: row.group,
            line: row.line,
        }
    }

    /// The group of the asset at `index`.
    pub fn group_of(&self, index: usize) -> GroupId {
        self.rows[index].group
    }
}

/// Cuts the last `length` bytes off; [`ABSENT`] cuts nothing off.
fn cut(text: &str, length: u32) -> (&str, Option<&str>) {
    if length == ABSENT {
        return (text, None);
    }
    let (before, last) = text.split_at(text.len() - length as usize);
    (before, Some(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let mut table = AssetTable::default();
        let group = table.add_group(Group::default());
        let assets = [
            ("a", "a", None, 1),
            ("bc", "bc", Some(""), 2),
            ("d", "d", Some("rev"), 4),
            ("%C3%BC", "ü", None, 5),
            ("%20", " ", Some("1"), 6),
        ]
        .map(|(id, declared, revision, line)| Asset {
            id,
            declared,
            revision,
            group,
            line,
        });
        for asset in assets {
            table.push(asset);
        }
        let back: Vec<Asset<'_>> = (0..table.len()).map(|index| table.get(index)).collect();
        assert_eq!(back, assets);
    }
}
