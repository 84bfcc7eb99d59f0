//! What the reader sees: steps, sentences, aligned lines. Colours only where a terminal shows them.

use std::io::{self, IsTerminal, Write};

use crate::Stop;

/// No line is longer.
pub(crate) const WIDTH: usize = 100;
/// How far everything below a heading is indented.
pub(crate) const INDENT: usize = 3;

/// The page, written from top to bottom.
pub(crate) struct Page {
    out: io::Stdout,
    colours: bool,
    steps: u32,
    /// How many claims were checked so far.
    pub(crate) held: u32,
}

/// How a piece of text is meant.
#[derive(Clone, Copy)]
pub(crate) enum Ink {
    Plain,
    Title,
    Good,
    Bad,
    Code,
    Quiet,
}

impl Page {
    pub(crate) fn new() -> Self {
        let out = io::stdout();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Page { colours: out.is_terminal() && !refused && !dumb, out, steps: 0, held: 0 }
    }

    /// The text in its colour.
    pub(crate) fn ink(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Plain => return text.to_owned(),
            _ if !self.colours => return text.to_owned(),
            Ink::Title => "1",
            Ink::Good => "32",
            Ink::Bad => "31;1",
            Ink::Code => "36",
            Ink::Quiet => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// One line as it is.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Stop> {
        writeln!(self.out, "{text}").map_err(|_| Stop::NobodyReads)
    }

    pub(crate) fn gap(&mut self) -> Result<(), Stop> {
        self.line("")
    }

    /// The next step.
    pub(crate) fn step(&mut self, title: &str) -> Result<(), Stop> {
        self.steps += 1;
        let title = self.ink(Ink::Title, &format!("{}  {title}", self.steps));
        self.gap()?;
        self.line(&title)
    }

    /// Sentences, broken into lines, and a gap after them.
    pub(crate) fn why(&mut self, text: &str) -> Result<(), Stop> {
        self.block(INDENT, "", text, Ink::Plain)?;
        self.gap()
    }

    /// The same after something, with a gap before it.
    pub(crate) fn then(&mut self, text: &str) -> Result<(), Stop> {
        self.gap()?;
        self.why(text)
    }

    /// The same at the end of a step.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), Stop> {
        self.gap()?;
        self.block(INDENT, "", text, Ink::Plain)
    }

    /// Text of one colour, broken into lines; `head` stands before the first one.
    pub(crate) fn block(&mut self, indent: usize, head: &str, text: &str, ink: Ink) -> Result<(), Stop> {
        let room = WIDTH - indent - head.chars().count();
        for (number, piece) in broken(text, room).iter().enumerate() {
            let head = if number == 0 { head.to_owned() } else { " ".repeat(head.chars().count()) };
            let piece = self.ink(ink, piece);
            self.line(&format!("{:indent$}{head}{piece}", ""))?;
        }
        Ok(())
    }

    /// `name  value`, the names aligned.
    pub(crate) fn pair(&mut self, name: &str, value: &str) -> Result<(), Stop> {
        self.block(INDENT, &format!("{name:<17}"), value, Ink::Code)
    }

    /// Something that was claimed and checked just now.
    pub(crate) fn claim(&mut self, holds: bool, text: &str, otherwise: &str) -> Result<(), Stop> {
        if holds {
            self.held += 1;
            let mark = self.ink(Ink::Good, "✓");
            return self.line(&format!("{:INDENT$}{mark} {text}", ""));
        }
        let mark = self.ink(Ink::Bad, "✗");
        self.line(&format!("{:INDENT$}{mark} {text}", ""))?;
        Err(Stop::Otherwise(format!("{}: {otherwise}", squeeze(text).trim_end_matches(':'))))
    }
}

/// One space where there were several.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text in lines of at most `room` characters; a longer word stands alone.
fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("never empty");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= room {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
