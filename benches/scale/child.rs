//! The parts of rows that this program plays itself, in processes of their own.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use freshen::declare::{Options, declare};
use freshen::load;

use crate::corpus::{IMAGES, suffixes};
use crate::sizes::ENTRIES;
use crate::submit;

/// A process of this program that plays `name`.
pub(crate) fn command(name: &str, arguments: &[String]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--child", name]).args(arguments);
    Ok(command)
}

/// Plays `name`.
pub(crate) fn run(name: &str, arguments: &[String]) -> anyhow::Result<()> {
    match (name, arguments) {
        ("loop", files) => bare_loop(files),
        ("declare", [folder]) => declare_all(folder),
        ("post", [folder, url, concurrency]) => {
            println!("{}", submit::post(folder, url, concurrency.parse()?)?);
            Ok(())
        }
        _ => bail!("no part is called {name} {arguments:?}"),
    }
}

/// The least that any program could do about files of ids: expands, hashes,
/// sorts and dedups, and judges nothing.
fn bare_loop(files: &[String]) -> anyhow::Result<()> {
    let texts = files.iter().map(fs::read_to_string);
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    let suffixes: Vec<String> = suffixes().collect();
    let ids: Vec<&str> = texts.iter().flat_map(|text| text.lines()).collect();
    let mut keys: Vec<u128> = ids
        .par_chunks(1024)
        .flat_map_iter(|ids| keys_of(ids, &suffixes))
        .collect();
    keys.par_sort_unstable();
    keys.dedup();
    ensure!(keys.len() == ids.len() * ENTRIES, "two URLs share a key");
    black_box(&keys);
    Ok(())
}

fn keys_of(ids: &[&str], suffixes: &[String]) -> Vec<u128> {
    let mut url = String::new();
    let mut keys = Vec::with_capacity(ids.len() * suffixes.len());
    for id in ids {
        for suffix in suffixes {
            url.clear();
            url.extend([IMAGES, id, suffix]);
            let hash = Sha256::digest(url.as_bytes());
            let (key, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
            keys.push(u128::from_be_bytes(*key));
        }
    }
    keys
}

/// Reads, parses and checks all manifests of a folder.
fn declare_all(folder: &str) -> anyhow::Result<()> {
    let options = Options {
        manifests: vec![PathBuf::from(folder)],
        max_expansion: u64::MAX,
        known: Arc::default(),
    };
    let declared = load::scan(&options.manifests, |tree| declare(tree, &options));
    let declared = declared.ok().context("the folder does not hold still")?;
    ensure!(declared.problems.is_empty(), "{:?}", declared.problems);
    Ok(())
}
