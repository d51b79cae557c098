//! Stories of the protocol in `transcripts/*.txt`, each with its golden output.
//!
//! `REWRITE=1 cargo test -p swim-tests --test transcripts` writes them anew; read the difference before you keep it.

use std::path::PathBuf;

use swim_proto::Config;
use swim_tests::story::play;

fn the_story_is_told_as_written(name: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("transcripts").join(name).with_extension("txt");
    let written = std::fs::read_to_string(&path).expect("the story exists");
    let config = Config { sync_interval: std::time::Duration::from_secs(600), ..Config::lan() };
    let played = play(&written, &config);
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&path, played).expect("the story can be written");
        return;
    }
    if played != written {
        let differs = played.lines().zip(written.lines()).position(|(is, was)| is != was);
        let line = differs.unwrap_or_else(|| played.lines().count().min(written.lines().count()));
        panic!(
            "{} differs from line {}:\n  was: {:?}\n  is:  {:?}\nREWRITE=1 writes the stories anew",
            path.display(),
            line + 1,
            written.lines().nth(line),
            played.lines().nth(line),
        );
    }
}

#[test]
fn a_newcomer_joins_through_a_seed_and_is_known_to_all() {
    the_story_is_told_as_written("join");
}

#[test]
fn a_suspected_member_refutes_and_stays() {
    the_story_is_told_as_written("suspicion_refuted");
}

#[test]
fn a_crashed_member_is_suspected_verified_and_buried() {
    the_story_is_told_as_written("crash");
}

#[test]
fn a_leaver_is_let_go_without_suspicion() {
    the_story_is_told_as_written("leave");
}

#[test]
fn what_an_application_says_is_told_on_or_fetched() {
    the_story_is_told_as_written("userdata");
}

#[test]
fn two_halves_that_buried_each_other_meet_again() {
    the_story_is_told_as_written("healed_partition");
}

#[test]
fn a_restart_at_a_new_address_is_in_at_once() {
    the_story_is_told_as_written("restart_at_a_new_address");
}
