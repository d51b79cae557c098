//! `docs/mio.md` says what both drivers do, and names for each row a test that shows it.

use std::collections::BTreeSet;

use swim_tests::repository::{read, root};

/// The tests that run on every mix of drivers.
fn tests() -> BTreeSet<String> {
    let folder = root().join("tests/tests/drivers");
    let files =
        std::fs::read_dir(&folder).expect("the suite is there").map(|file| file.expect("it can be read").path());
    let sources: Vec<String> = files.filter(|file| *file != folder.join("main.rs")).map(|file| read(&file)).collect();
    let lists = sources.iter().filter_map(|source| source.split_once("crate::on_every_mix!(\n")?.1.split_once(");"));
    lists
        .flat_map(|(list, _)| list.split(',').map(|name| name.trim().to_owned()))
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn every_row_of_the_table_names_a_test_that_runs_on_both_and_every_such_test_has_a_row() {
    let page = read(&root().join("docs/mio.md"));
    let rows = page.lines().skip_while(|line| !line.starts_with("## Parity")).skip(1);
    let rows = rows.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with('|'));
    let named: BTreeSet<String> = rows
        .flat_map(|row| row.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .filter(|name| name.contains('_') && !name.contains(['(', ':', '.']))
        .collect();
    assert_eq!(named, tests());
}
