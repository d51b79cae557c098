//! The environment: `SWIM_ADDR`, `SWIM_SEEDS` … and `SWIM_` with the name of any protocol setting in capitals.
//!
//! A variable that looks like one of these misspelt is an error. One that resembles nothing of ours is somebody
//! else's, and only told of. Orchestrators announce services by variables of fixed shapes (`SWIM_PORT_5000_TCP_ADDR`,
//! `SWIM_SERVICE_HOST` for a service called "swim"); those are passed over in silence.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::given::{Given, Key, OPTIONS, Origin};
use crate::suggest;
use swim_settings::SETTINGS;

const PREFIX: &str = "SWIM_";
/// Stands, in capitals, between that and the name of a setting of messages.
const MESSAGING: &str = "messaging_";

/// What the environment says.
#[derive(Default)]
pub(crate) struct Environment {
    /// The values it gives.
    pub(crate) given: Vec<Given>,
    /// `SWIM_CONFIG`: the file to read.
    pub(crate) config: Option<PathBuf>,
    /// Variables that are not ours, one sentence each.
    pub(crate) strangers: Vec<String>,
}

/// Reads these variables. What is wrong with them is added to `problems`.
pub(crate) fn read(variables: impl Iterator<Item = (OsString, OsString)>, problems: &mut Vec<String>) -> Environment {
    let mut environment = Environment::default();
    let mut variables: Vec<_> =
        variables.filter_map(|(name, value)| Some((name.to_str()?.strip_prefix(PREFIX)?.to_owned(), value))).collect();
    variables.sort();
    for (name, value) in variables {
        if name == "CONFIG" {
            environment.config = Some(PathBuf::from(value));
            continue;
        }
        let keys = keys_of(&name);
        if keys.is_none() && announces_a_service(&name) {
            continue;
        }
        match (keys, value.into_string()) {
            (Some(_), Err(_)) => problems.push(format!("{PREFIX}{name}: its value must be text in UTF-8")),
            (Some(Key::Tag), Ok(text)) => {
                let tags = text.split(',').filter(|tag| !tag.trim().is_empty());
                environment.given.extend(tags.map(|tag| given(&name, Key::Tag, tag)));
            }
            (Some(key), Ok(text)) => environment.given.push(given(&name, key, &text)),
            (None, _) => match suggest::nearest(&name, names().iter().map(String::as_str)) {
                Some(near) => {
                    problems.push(format!("{PREFIX}{name}: there is no such variable; did you mean {PREFIX}{near}?"))
                }
                None => environment
                    .strangers
                    .push(format!("the variable {PREFIX}{name} means nothing to swim-node and is passed over")),
            },
        }
    }
    environment
}

fn given(name: &str, key: Key, text: &str) -> Given {
    Given { key, text: text.to_owned(), origin: Origin::Variable(format!("{PREFIX}{name}")) }
}

/// What a variable of this name, without its prefix, is about.
fn keys_of(name: &str) -> Option<Key> {
    if name == "TAGS" {
        return Some(Key::Tag);
    }
    if name != name.to_ascii_uppercase() {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let option = OPTIONS.iter().find(|(option, _)| *option == name).map(|(_, key)| *key);
    let of_messages = || swim_settings::find_messaging(name.strip_prefix(MESSAGING)?).map(Key::Messaging);
    option.or_else(|| swim_settings::find(&name).map(Key::Protocol)).or_else(of_messages)
}

/// Every name understood, without its prefix.
fn names() -> Vec<String> {
    let options = OPTIONS.iter().map(|(option, _)| *option);
    let settings = SETTINGS.iter().map(|setting| setting.key);
    let names = options.chain(settings).chain(["tags", "config"]).map(str::to_ascii_uppercase);
    let of_messages = swim_settings::MESSAGING.iter().map(|setting| format!("{MESSAGING}{}", setting.key));
    names.chain(of_messages.map(|name| name.to_ascii_uppercase())).collect()
}

/// Whether Kubernetes or Docker would set a variable of this name for a service whose own name begins with "swim".
fn announces_a_service(name: &str) -> bool {
    let after = |part: &str| name.rfind(part).map(|at| &name[at + part.len()..]);
    let ends_in_port = name == "PORT" || name.ends_with("_PORT");
    let protocol = |rest: &str| {
        let mut parts = rest.split('_');
        let port = parts.next().is_some_and(|port| port.parse::<u16>().is_ok());
        port && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
    };
    ends_in_port
        || name.ends_with("SERVICE_HOST")
        || after("SERVICE_PORT").is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        || after("PORT_").is_some_and(protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_pairs(pairs: &[(&str, &str)]) -> (Environment, Vec<String>) {
        let mut problems = Vec::new();
        (read(pairs.iter().map(|(name, value)| (name.into(), value.into())), &mut problems), problems)
    }

    #[test]
    fn every_option_and_setting_has_a_variable() {
        for name in names() {
            let (environment, problems) = read_pairs(&[(&format!("SWIM_{name}"), "x=1")]);
            assert_eq!(environment.given.len() + usize::from(environment.config.is_some()), 1, "{name}");
            assert!(environment.strangers.is_empty() && problems.is_empty());
        }
    }

    #[test]
    fn a_misspelt_variable_is_an_error_and_a_strangers_is_passed_over() {
        let (environment, problems) = read_pairs(&[
            ("SWIM_SEED", "a:1"),
            ("SWIM_PROBE_INTERVALL", "1s"),
            ("swim_addr", "x"),
            ("SWIM_HOME", "/opt"),
            ("HOME", "/root"),
        ]);
        assert_eq!(
            problems,
            [
                "SWIM_PROBE_INTERVALL: there is no such variable; did you mean SWIM_PROBE_INTERVAL?",
                "SWIM_SEED: there is no such variable; did you mean SWIM_SEEDS?"
            ]
        );
        assert_eq!(environment.strangers, ["the variable SWIM_HOME means nothing to swim-node and is passed over"]);
    }

    #[test]
    fn what_an_orchestrator_announces_is_passed_over_in_silence() {
        let names = [
            "SWIM_SERVICE_HOST",
            "SWIM_SERVICE_PORT",
            "SWIM_SERVICE_PORT_GOSSIP",
            "SWIM_PORT",
            "SWIM_PORT_5000_TCP",
            "SWIM_PORT_5000_UDP_ADDR",
            "SWIM_SEEDS_PORT_5000_TCP_PROTO",
            "SWIM_SEEDS_SERVICE_HOST",
        ];
        let (environment, problems) = read_pairs(&names.map(|name| (name, "tcp://10.0.0.1:5000")));
        assert!(environment.strangers.is_empty(), "{:?}", environment.strangers);
        assert!(environment.given.is_empty() && problems.is_empty());
    }

    #[test]
    fn several_tags_stand_in_one_variable() {
        let (environment, _) = read_pairs(&[("SWIM_TAGS", "role=db, az=b,")]);
        let texts: Vec<_> = environment.given.iter().map(|given| given.text.trim()).collect();
        assert_eq!(texts, ["role=db", "az=b"]);
    }
}
