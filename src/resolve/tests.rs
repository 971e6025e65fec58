use std::collections::BTreeMap;

use super::*;
use crate::expand::fixtures::{nowhere, set};

fn file(bytes: &[u8]) -> NamedFile {
    NamedFile {
        name: "m/skus.txt".into(),
        bytes: bytes.into(),
        digest: Digest::of(bytes),
    }
}

fn lines(kind: Option<&str>) -> AssetsFrom {
    AssetsFrom::Lines {
        file: "skus.txt".to_owned(),
        kind: kind.map(str::to_owned),
        revision: Some("7".to_owned()),
    }
}

fn csv(filter: &[(&str, &str)]) -> AssetsFrom {
    AssetsFrom::Csv {
        file: "skus.txt".to_owned(),
        id: "sku".to_owned(),
        revision: Some("hash".to_owned()),
        kind: Some("kind".to_owned()),
        filter: filter
            .iter()
            .map(|(column, text)| ((*column).to_owned(), (*text).to_owned()))
            .collect::<BTreeMap<_, _>>(),
    }
}

fn read(from: AssetsFrom, bytes: &[u8]) -> Resolved {
    let mut spec = set();
    spec.exclude_assets = vec!["test-*".to_owned()];
    spec.assets_from = vec![from];
    resolve(&spec, &nowhere, &[Some(file(bytes))])
}

/// Each asset as `line id@revision`.
fn assets(resolved: &Resolved) -> Vec<String> {
    (0..resolved.table.len())
        .map(|index| resolved.table.get(index))
        .map(|asset| {
            let kind = &resolved.table.groups()[asset.group.index()].kind;
            let kind = kind.as_deref().unwrap_or("-");
            format!(
                "{} {}@{} {kind}",
                asset.line,
                asset.id,
                asset.revision.unwrap_or("-")
            )
        })
        .collect()
}

/// Each problem as `line message`.
fn problems(resolved: &Resolved) -> Vec<String> {
    resolved
        .problems
        .iter()
        .map(|problem| {
            let line = problem.place.as_ref().map_or(0, |place| place.line);
            format!("{line} {}", problem.message)
        })
        .collect()
}

#[test]
fn lines_lose_mark_returns_blanks_and_comments() {
    let resolved = read(
        lines(Some("Image")),
        b"\xef\xbb\xbfa\r\n\n  # note\n\t b c \r\ntest-1\n007\nlast.jpg",
    );
    assert_eq!(
        assets(&resolved),
        [
            "1 a@- Image",
            "4 b%20c@- Image",
            "6 007@- Image",
            "7 last.jpg@- Image"
        ]
    );
    assert_eq!(problems(&resolved), [""; 0]);
    assert_eq!((resolved.skipped, resolved.excluded), (0, 1));
}

#[test]
fn bad_lines_are_skipped_named_and_counted() {
    let resolved = read(lines(None), b"a\nb?c\n\xff\xfe\nd.JPG\ne#f\ng");
    assert_eq!(assets(&resolved), ["1 a@- -", "6 g@- -"]);
    assert_eq!(
        problems(&resolved),
        [
            "2 an asset id cannot hold '?'",
            "3 this line is not UTF-8",
            "4 asset id \"d.JPG\" ends in \".JPG\"; ids have no file ending in Dynamic Media",
            "5 an asset id cannot hold '#'",
        ]
    );
    assert!(resolved.problems.iter().all(|problem| !problem.is_error()));
    assert_eq!(resolved.skipped, 4);
}

#[test]
fn strict_makes_bad_lines_errors() {
    let mut spec = set();
    spec.strict = true;
    spec.assets_from = vec![lines(None)];
    let resolved = resolve(&spec, &nowhere, &[Some(file(b"a\nb?\n"))]);
    assert!(resolved.problems[0].is_error());
}

#[test]
fn a_flood_of_bad_lines_is_counted_rather_than_named() {
    let resolved = read(lines(None), "a?\n".repeat(1000).as_bytes());
    assert_eq!(resolved.problems.len(), 21);
    assert_eq!(problems(&resolved)[20], "0 980 more bad rows");
    assert_eq!(resolved.skipped, 1000);
}

#[test]
fn csv_columns_are_found_by_name_and_rows_filtered() {
    let resolved = read(
        csv(&[("brand", "acme")]),
        b"\xef\xbb\xbf# exported\r\nbrand, sku ,hash,kind\r\nacme,a,1.10,Image\r\nother,b,2,Image\r\n\r\n#x,y,z,w\r\nacme,\"c,d\",,Video\r\nacme,test-1,1,\r\nacme,e,x,\r\n",
    );
    assert_eq!(problems(&resolved), [""; 0]);
    assert_eq!(
        assets(&resolved),
        ["3 a@1.10 Image", "7 c,d@- Video", "9 e@x -"]
    );
}

#[test]
fn csv_rows_that_cannot_be_used_are_skipped_and_named() {
    let resolved = read(
        csv(&[]),
        b"sku,hash,kind\na,1,Image\nb,2\n,3,Image\nc,4,Word\n\xff,5,Image\nd,6,Imgae\nd,7,Imgae\n",
    );
    assert_eq!(
        assets(&resolved),
        ["2 a@1 Image", "7 d@6 Imgae", "8 d@7 Imgae"]
    );
    assert_eq!(
        problems(&resolved),
        [
            "3 2 fields where the header has 3",
            "4 the asset id is empty",
            "5 assets of type Word cannot be invalidated in the CDN",
            "6 this row is not UTF-8",
            "7 unknown asset type \"Imgae\", taken to be served like Image",
        ]
    );
    assert_eq!(
        resolved.problems[4].hint.as_deref(),
        Some("did you mean Image?")
    );
    assert_eq!(resolved.skipped, 4);
}

#[test]
fn a_missing_column_is_an_error_that_names_those_there_are() {
    let resolved = read(csv(&[("brand", "acme")]), b"SKU,hash,kind\na,1,Image\n");
    assert_eq!(
        problems(&resolved),
        [
            "0 m/skus.txt has no column \"sku\"",
            "0 m/skus.txt has no column \"brand\""
        ]
    );
    assert!(resolved.problems[0].is_error());
    assert_eq!(
        resolved.problems[0].hint.as_deref(),
        Some("its columns are SKU, hash, kind")
    );
    assert_eq!(
        problems(&read(csv(&[]), b"\n")),
        ["0 m/skus.txt has no header row"]
    );
}

#[test]
fn inline_assets_are_errors_where_they_are_wrong() {
    let mut spec = set();
    spec.assets = ["a", "b.png", "c?"]
        .map(|id| AssetSpec {
            id: id.to_owned(),
            kind: None,
            revision: None,
            smart_crops: None,
        })
        .to_vec();
    spec.assets[0].kind = Some("Excel".to_owned());
    let resolved = resolve(&spec, &nowhere, &[]);
    assert!(resolved.table.is_empty());
    assert_eq!(resolved.problems.len(), 3);
    assert!(resolved.problems.iter().all(Problem::is_error));
}
