//! What commands print: lines and tables for people, JSON for programs.
//!
//! Remote text is made printable on the way. A reader that goes away (`| head`) ends the command quietly.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use super::exit::{Exit, Failure};
use crate::telemetry::printable;

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Even into a pipe.
    Always,
    /// Not at all.
    Never,
}

/// How a piece of text stands out on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is.
    Plain,
    /// A heading.
    Bold,
    /// Of less weight.
    Dim,
    /// Well.
    Good,
    /// Look here.
    Warn,
    /// Badly.
    Bad,
    /// A name.
    Name,
}

/// Standard output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    /// Whether answers are JSON.
    pub(super) json: bool,
    painted: bool,
}

impl Out {
    /// Decides once whether to colour.
    pub(super) fn new(json: bool, color: Color) -> Out {
        let painted = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
            }
        };
        Out { json, painted: painted && !json }
    }

    /// A line.
    #[allow(clippy::unused_self, reason = "where to print is this value's to say")]
    pub(super) fn line(self, text: impl AsRef<str>) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_ref().as_bytes()).and_then(|()| out.write_all(b"\n"));
        written.and_then(|()| out.flush()).map_err(|error| {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                Failure::new(Exit::Ok, "")
            } else {
                Failure::new(Exit::Io, format!("standard output cannot be written ({error})"))
            }
        })
    }

    /// A value as indented JSON.
    pub(super) fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::new(Exit::Internal, format!("cannot write JSON: {error}")))?;
        self.line(text)
    }

    /// Text that stands out, where there is colour.
    pub(super) fn style(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Plain => return text.to_owned(),
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Good => "32",
            Style::Warn => "33",
            Style::Bad => "31",
            Style::Name => "36",
        };
        if self.painted { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A table.
    pub(super) fn table(self, table: &Table) -> Result<(), Failure> {
        for line in table.lines(self) {
            self.line(line)?;
        }
        Ok(())
    }
}

/// Rows under headings, aligned.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<(Style, String)>>,
    empty: &'static str,
}

impl Table {
    /// A table; `empty` is said in place of one without rows.
    pub(super) fn new(heads: &[&'static str], empty: &'static str) -> Table {
        Table { heads: heads.to_vec(), rows: Vec::new(), empty }
    }

    /// A row; its cells are made printable.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = (Style, String)>) {
        let cells = cells.into_iter().map(|(style, text)| (style, printable(&text).to_string()));
        self.rows.push(cells.collect());
    }

    fn lines(&self, out: Out) -> Vec<String> {
        if self.rows.is_empty() {
            return vec![self.empty.to_owned()];
        }
        let mut widths: Vec<usize> = self.heads.iter().map(|head| head.len()).collect();
        for row in &self.rows {
            for (width, (_, text)) in widths.iter_mut().zip(row) {
                *width = (*width).max(text.chars().count());
            }
        }
        let heads = self.heads.iter().map(|head| (Style::Bold, (*head).to_owned())).collect();
        std::iter::once(&heads).chain(&self.rows).map(|row| aligned(out, row, &widths)).collect()
    }
}

fn aligned(out: Out, row: &[(Style, String)], widths: &[usize]) -> String {
    let mut line = String::new();
    for (i, ((style, text), width)) in row.iter().zip(widths).enumerate() {
        line.push_str(&out.style(*style, text));
        if i + 1 < row.len() {
            let gap = width.saturating_sub(text.chars().count()) + 2;
            line.extend(std::iter::repeat_n(' ', gap));
        }
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_its_cells_are_printable() {
        let mut table = Table::new(&["NAME", "STATE"], "none");
        let out = Out { json: false, painted: false };
        assert_eq!(table.lines(out), ["none"]);
        table.row([(Style::Plain, "a".into()), (Style::Good, "on".into())]);
        table.row([(Style::Plain, "long\nname".into()), (Style::Bad, "off".into())]);
        assert_eq!(
            table.lines(out),
            ["NAME           STATE", "a              on", "long\\u{a}name  off"]
        );
    }
}
