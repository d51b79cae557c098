//! "Did you mean …?": the known word nearest to a misspelt one.

/// The candidate that a slip of the fingers turns into `word`, if there is one: at most a third of its letters away.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_ascii_lowercase().replace('-', "_")), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The same as the end of a sentence: `; did you mean "probe_interval"?`, or nothing.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|candidate| format!("; did you mean {candidate:?}?")).unwrap_or_default()
}

/// Letters to insert, delete, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_finds_its_word_and_a_stranger_finds_none() {
        let known = ["probe_interval", "probe_timeout", "name", "nack"];
        for (word, found) in [
            ("probe_intervall", Some("probe_interval")),
            ("probe-interval", Some("probe_interval")),
            ("PROBE_TIMEOUT", Some("probe_timeout")),
            ("probetimeout", Some("probe_timeout")),
            ("naem", Some("name")),
            ("nak", Some("nack")),
            ("banana", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), found, "{word}");
        }
    }
}
