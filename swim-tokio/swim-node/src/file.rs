//! The configuration file, in TOML.
//!
//! ```toml
//! addr = "0.0.0.0:5000"
//! seeds = ["10.0.0.1:5000", "10.0.0.2:5000"]
//!
//! [tags]
//! role = "database"
//!
//! [protocol]
//! probe_interval = "500ms"
//! ```
//!
//! Values have types here, and a wrong one is told with its line.

use std::borrow::Cow;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::given::{Given, Key, OPTIONS, Origin};
use crate::suggest;
use swim_settings::{self as settings, Field, MESSAGING, SETTINGS};

/// Reads the file that `named_by`, a flag or a variable, names. What is wrong with it is added to `problems`.
pub(crate) fn read(path: &Path, named_by: &str, problems: &mut Vec<String>) -> Vec<Given> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text, problems),
        Err(error) => {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
                std::io::ErrorKind::InvalidData => "it is not text in UTF-8".to_owned(),
                _ => error.to_string(),
            };
            problems
                .push(format!("{named_by}: {:?} cannot be read: {why}; name a TOML file", path.display().to_string()));
            Vec::new()
        }
    }
}

fn parse(path: &Path, text: &str, problems: &mut Vec<String>) -> Vec<Given> {
    let mut reader = Reader { path, text, given: Vec::new(), problems };
    match DeTable::parse(text) {
        Ok(table) => reader.read_top(table.get_ref()),
        Err(error) => {
            let line = line_of(text, error.span().map_or(0, |span| span.start));
            let message = error.message().lines().collect::<Vec<_>>().join("; ");
            let shown = text.lines().nth(line - 1).unwrap_or_default().trim();
            let value = shown.split_once('=').map(|(_, value)| value.trim());
            let bare = value.is_some_and(|value| !value.starts_with(['"', '\'', '[', '{']));
            let hint = if bare { "; text stands in quotes" } else { "" };
            reader.problem(line, format!("not valid TOML: {message}, in `{shown}`{hint}"));
        }
    }
    reader.given
}

type Entry<'a> = (&'a str, usize, &'a Spanned<DeValue<'a>>);

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    given: Vec<Given>,
    problems: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn read_top(&mut self, table: &DeTable<'_>) {
        for (name, line, value) in self.entries(table) {
            let option = OPTIONS.iter().find(|(option, _)| *option == name);
            match (name, value.get_ref(), option) {
                (_, _, Some((_, key))) => self.read_value(name, line, *key, value.get_ref()),
                ("tags", DeValue::Table(tags), _) => self.read_tags(tags),
                ("protocol", DeValue::Table(protocol), _) => self.read_protocol(protocol),
                ("messaging", DeValue::Table(messaging), _) => self.read_messaging(messaging),
                ("tags" | "protocol" | "messaging", other, _) => {
                    let kind = kind_of(other);
                    self.problem(line, format!("{name} is {kind}; it must be a table, begun by a line [{name}]"));
                }
                _ if settings::find(name).is_some() => {
                    self.problem(line, format!("{name} is a protocol setting; it belongs below a line [protocol]"));
                }
                _ => {
                    let known = OPTIONS.iter().map(|(option, _)| *option).chain(["tags", "protocol", "messaging"]);
                    let known = known.chain(SETTINGS.iter().map(|setting| setting.key));
                    let hint = suggest::did_you_mean(name, known);
                    self.problem(line, format!("there is no key {name:?}{hint}"));
                }
            }
        }
    }

    fn read_tags(&mut self, table: &DeTable<'_>) {
        for (name, line, value) in self.entries(table) {
            match value.get_ref() {
                DeValue::String(text) => {
                    let origin = Origin::file(self.path, line, &format!("tags.{name}"));
                    self.given.push(Given { key: Key::Tag, text: format!("{name}={text}"), origin });
                }
                other => {
                    let kind = kind_of(other);
                    self.problem(line, format!("tags.{name} is {kind}; it must be text in quotes"));
                }
            }
        }
    }

    fn read_protocol(&mut self, table: &DeTable<'_>) {
        for (name, line, value) in self.entries(table) {
            match settings::find(name) {
                Some(setting) => self.read_value(name, line, Key::Protocol(setting), value.get_ref()),
                None if OPTIONS.iter().any(|(option, _)| *option == name) => {
                    self.problem(line, format!("{name} is no protocol setting; it belongs above the line [protocol]"));
                }
                None => {
                    let hint = suggest::did_you_mean(name, SETTINGS.iter().map(|setting| setting.key));
                    self.problem(line, format!("there is no protocol setting {name:?}{hint}"));
                }
            }
        }
    }

    fn read_messaging(&mut self, table: &DeTable<'_>) {
        for (name, line, value) in self.entries(table) {
            match settings::find_messaging(name) {
                Some(setting) => self.read_value(name, line, Key::Messaging(setting), value.get_ref()),
                None if OPTIONS.iter().any(|(option, _)| *option == name) => {
                    self.problem(
                        line,
                        format!("{name} is no setting of messages; it belongs above the line [messaging]"),
                    );
                }
                None => {
                    let hint = suggest::did_you_mean(name, MESSAGING.iter().map(|setting| setting.key));
                    self.problem(line, format!("there is no setting of messages {name:?}{hint}"));
                }
            }
        }
    }

    fn read_value(&mut self, name: &str, line: usize, key: Key, value: &DeValue<'_>) {
        match (wanted(key), value) {
            (Wanted::Text(_), DeValue::String(text)) => self.give(name, line, key, text.to_string()),
            (Wanted::Switch, DeValue::Boolean(on)) => self.give(name, line, key, on.to_string()),
            (Wanted::Count | Wanted::Factor, DeValue::Integer(number)) => {
                let plain = i128::from_str_radix(number.as_str(), number.radix());
                self.give(name, line, key, plain.map_or_else(|_| number.to_string(), |number| number.to_string()));
            }
            (Wanted::Factor, DeValue::Float(number)) => self.give(name, line, key, number.as_str().to_owned()),
            (Wanted::List, DeValue::String(text)) => self.give(name, line, key, text.to_string()),
            (Wanted::List, DeValue::Array(items)) if items.iter().all(|item| item.get_ref().is_str()) => {
                let items: Vec<_> = items.iter().filter_map(|item| item.get_ref().as_str()).collect();
                self.give(name, line, key, items.join(","));
            }
            (Wanted::List, DeValue::Array(_)) => {
                self.problem(line, format!("{name} holds something other than text; each seed stands in quotes"));
            }
            (wanted, value) => {
                let must = match wanted {
                    Wanted::Text(example) => format!("text in quotes, such as {example}"),
                    Wanted::Switch => "true or false, without quotes".to_owned(),
                    Wanted::Count => "a whole number, without quotes".to_owned(),
                    Wanted::Factor => "a number, without quotes".to_owned(),
                    Wanted::List => "a list of texts, such as [\"10.0.0.1:5000\", \"10.0.0.2:5000\"]".to_owned(),
                };
                self.problem(line, format!("{name} is {}; it must be {must}", kind_of(value)));
            }
        }
    }

    fn give(&mut self, name: &str, line: usize, key: Key, text: String) {
        self.given.push(Given { key, text, origin: Origin::file(self.path, line, name) });
    }

    fn problem(&mut self, line: usize, problem: String) {
        self.problems.push(format!("{}:{line}: {problem}", self.path.display()));
    }

    /// A table's entries in the order of the file, with their lines.
    fn entries<'a>(&self, table: &'a DeTable<'_>) -> Vec<Entry<'a>> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let entry = |(name, value): (&'a Spanned<Cow<'_, str>>, &'a Spanned<DeValue<'_>>)| {
            (name.get_ref().as_ref(), line_of(self.text, name.span().start), value)
        };
        entries.into_iter().map(entry).collect()
    }
}

/// The type a key's value has in a file.
enum Wanted {
    /// Text, with an example.
    Text(&'static str),
    Switch,
    Count,
    Factor,
    List,
}

fn wanted(key: Key) -> Wanted {
    match key {
        Key::Addr | Key::Advertise => Wanted::Text("\"127.0.0.1:5000\""),
        Key::Name => Wanted::Text("\"web-1\""),
        Key::Tag => Wanted::Text("\"database\""),
        Key::Profile => Wanted::Text("\"lan\""),
        Key::Driver => Wanted::Text("\"mio\""),
        Key::LogLevel => Wanted::Text("\"info\""),
        Key::ConnectTimeout | Key::ResolveTimeout => Wanted::Text("\"500ms\" or \"10s\""),
        Key::Seeds => Wanted::List,
        Key::JsonLogging | Key::StdinCommands => Wanted::Switch,
        Key::ZmqPortOffset => Wanted::Count,
        Key::NoZmq => Wanted::Switch,
        Key::Protocol(setting) => wanted_by(&setting.field),
        Key::Messaging(setting) => wanted_by(&setting.field),
    }
}

fn wanted_by<C: settings::Settings>(field: &Field<C>) -> Wanted {
    match field {
        Field::Text(_) => Wanted::Text("\"production\""),
        Field::Span(_) => Wanted::Text("\"1..2\""),
        Field::Word([word, ..], ..) if *word == "host" => Wanted::Text("\"host\""),
        Field::Word(..) => Wanted::Text("\"hybrid\""),
        Field::Shares(_) => Wanted::Text("\"8,4,2,1\""),
        Field::Switch(_) => Wanted::Switch,
        Field::Time(_) => Wanted::Text("\"500ms\" or \"10s\""),
        Field::Factor(_) => Wanted::Factor,
        Field::Count8(_) | Field::Count16(_) | Field::Count32(_) | Field::Count64(_) => Wanted::Count,
    }
}

fn kind_of(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {text:?}"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(on) => on.to_string(),
        DeValue::Datetime(time) => format!("the date {time}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The line, from 1, on which this byte stands.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_values_as_text_with_their_lines() {
        let text = r#"
            addr = "127.0.0.1:5000"
            seeds = ["a:1", "b:2"]
            json_logging = true
            [tags]
            role = "db"
            [protocol]
            probe_interval = "500ms"
            indirect_probes = 0x2
            suspicion_alpha = 2.5
            suspicion_beta = 1_0
            [messaging]
            class_weights = "8,4,2,1"
            rate_out = 65536
        "#;
        let mut problems = Vec::new();
        let given = parse(Path::new("swim.toml"), text, &mut problems);
        assert_eq!(problems, [""; 0]);
        let shown: Vec<_> = given.iter().map(|given| format!("{} = {}", given.origin, given.text)).collect();
        assert_eq!(
            shown,
            [
                "swim.toml:2: addr = 127.0.0.1:5000",
                "swim.toml:3: seeds = a:1,b:2",
                "swim.toml:4: json_logging = true",
                "swim.toml:6: tags.role = role=db",
                "swim.toml:8: probe_interval = 500ms",
                "swim.toml:9: indirect_probes = 2",
                "swim.toml:10: suspicion_alpha = 2.5",
                "swim.toml:11: suspicion_beta = 10",
                "swim.toml:13: class_weights = 8,4,2,1",
                "swim.toml:14: rate_out = 65536",
            ]
        );
    }
}
