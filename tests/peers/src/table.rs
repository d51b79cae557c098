//! The figures, side by side: a table for a terminal, or JSON.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use crate::libraries::Library;

/// What was measured of one library.
#[derive(Clone, Debug)]
pub(crate) enum Figure {
    /// A number, in the row's unit.
    Number(f64),
    /// No number, since there is no such thing.
    Without(&'static str),
    /// No number, since it did not come to that.
    Missed(&'static str),
}

/// One line of the table.
#[derive(Clone, Debug)]
struct Row {
    what: String,
    unit: &'static str,
    /// What ours is to reach: at most so much.
    target: Option<f64>,
    figures: Vec<(Library, Figure)>,
}

/// The figures measured so far.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a figure to the row of this name, which begins with its first figure.
    pub(crate) fn add(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        target: Option<f64>,
        library: Library,
        figure: impl Into<Figure>,
    ) {
        let what = what.into();
        let place = self.rows.iter().position(|row| row.what == what && row.unit == unit);
        let place = place.unwrap_or_else(|| {
            self.rows.push(Row { what, unit, target, figures: Vec::new() });
            self.rows.len() - 1
        });
        self.rows[place].figures.push((library, figure.into()));
    }

    /// What did not come about: nothing, when all is well and the libraries know what they do.
    pub(crate) fn missed(&self) -> impl Iterator<Item = String> {
        let missed = |row: &Row| {
            let by = row.figures.iter().filter(|(_, figure)| matches!(figure, Figure::Missed(_)));
            by.map(|(library, _)| format!("{library}: {}", row.what)).collect::<Vec<_>>()
        };
        self.rows.iter().flat_map(missed)
    }

    /// For a terminal.
    pub(crate) fn text(&self, libraries: &[Library]) -> String {
        let mut lines: Vec<Vec<String>> = Vec::new();
        let mut head = vec![String::from("what"), String::from("unit")];
        head.extend(libraries.iter().map(Library::to_string));
        head.push(String::from("to reach"));
        lines.push(head);
        for row in &self.rows {
            let mut line = vec![row.what.clone(), row.unit.to_owned()];
            for library in libraries {
                let figure = row.figures.iter().find(|(of, _)| of == library);
                line.push(match figure {
                    Some((_, Figure::Number(number))) => written(*number),
                    Some((_, Figure::Without(why) | Figure::Missed(why))) => (*why).to_owned(),
                    None => String::from("-"),
                });
            }
            line.push(row.target.map_or_else(String::new, written));
            lines.push(line);
        }
        let columns = libraries.len() + 3;
        let widths: Vec<usize> = (0..columns)
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            for (column, cell) in line.iter().enumerate() {
                let width = widths[column];
                // Words to the left, numbers to the right.
                let _ = if column < 2 { write!(text, "{cell:<width$}  ") } else { write!(text, "{cell:>width$}  ") };
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
            if number == 0 {
                let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
                let _ = writeln!(text, "{}", rule.join("  "));
            }
        }
        text
    }

    /// For programs: one object a row.
    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let figures: serde_json::Map<String, Value> = row
                .figures
                .iter()
                .map(|(library, figure)| {
                    let value = match figure {
                        Figure::Number(number) => json!(number),
                        Figure::Without(why) | Figure::Missed(why) => json!({ "none": why }),
                    };
                    (library.to_string(), value)
                })
                .collect();
            json!({ "what": row.what, "unit": row.unit, "to_reach": row.target, "figures": figures })
        });
        Value::Array(rows.collect())
    }
}

/// As people write numbers of this size.
fn written(number: f64) -> String {
    let decimals = match number.abs() {
        whole if whole.fract() == 0.0 => 0,
        ..0.1 => 4,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let plain = format!("{number:.decimals$}");
    let (whole, fraction) = plain.split_once('.').map_or((plain.as_str(), ""), |(whole, fraction)| (whole, fraction));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

/// A count as people write it: 10,000.
pub(crate) struct Count(pub(crate) u32);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&written(self.0.into()))
    }
}

impl From<f64> for Figure {
    fn from(number: f64) -> Figure {
        Figure::Number(number)
    }
}

impl From<u64> for Figure {
    fn from(number: u64) -> Figure {
        Figure::Number(number as f64)
    }
}

impl From<u32> for Figure {
    fn from(number: u32) -> Figure {
        Figure::Number(number.into())
    }
}
