//! The known word nearest to a misspelt one.

/// The option that `word` was most likely meant to be, if any comes close.
pub fn nearest<'o>(word: &str, options: impl IntoIterator<Item = &'o str>) -> Option<&'o str> {
    let lower = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    options
        .into_iter()
        .map(|option| {
            let distance = strsim::damerau_levenshtein(&lower, &option.to_lowercase());
            (distance, option)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, option)| option)
}
