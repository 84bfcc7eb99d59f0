//! How a file is laid out, and our text in the same manner.

/// New lines and indents, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Everything on one line.
    Line,
    /// One key a line.
    Lines {
        /// `\n` or `\r\n`.
        newline: &'static str,
        /// The indent of the value's first line.
        base: String,
        /// One level more.
        unit: String,
    },
}

impl Style {
    /// As around an item of an array: `gap` is the white space before the item, `end` that before the closing bracket.
    pub(super) fn around(gap: &str, end: &str) -> Self {
        let Some((_, base)) = gap.rsplit_once('\n') else {
            return Self::Line;
        };
        let outer = end.rsplit_once('\n').map_or("", |(_, indent)| indent);
        let unit = base.strip_prefix(outer).filter(|unit| !unit.is_empty()).unwrap_or("  ");
        Self::Lines { newline: newline(gap), base: base.to_owned(), unit: unit.to_owned() }
    }

    /// As a whole file is.
    pub(super) fn of(text: &str) -> Self {
        if !text.contains('\n') {
            return Self::Line;
        }
        let indent = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
        let unit = text.lines().find(|line| indent(line) > 0);
        Self::Lines {
            newline: newline(text),
            base: String::new(),
            unit: unit.and_then(|line| line.get(..indent(line))).unwrap_or("  ").to_owned(),
        }
    }

    /// JSON laid out in this style. Strings, numbers and order stay as they are; only the space between them changes.
    pub(super) fn lay_out(&self, json: &str) -> String {
        let mut out = String::with_capacity(json.len() * 2);
        let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
        let mut rest = json.trim().chars().peekable();
        while let Some(letter) = rest.next() {
            if quoted {
                out.push(letter);
                quoted = escaped || letter != '"';
                escaped = !escaped && letter == '\\';
                continue;
            }
            match letter {
                ' ' | '\t' | '\r' | '\n' => {}
                '{' | '[' => {
                    out.push(letter);
                    while rest.next_if(char::is_ascii_whitespace).is_some() {}
                    if let Some(end) = rest.next_if(|next| matches!(next, '}' | ']')) {
                        out.push(end);
                    } else {
                        depth += 1;
                        self.line(&mut out, depth);
                    }
                }
                '}' | ']' => {
                    depth = depth.saturating_sub(1);
                    self.line(&mut out, depth);
                    out.push(letter);
                }
                ',' => {
                    out.push(letter);
                    self.line(&mut out, depth);
                }
                ':' => out.push_str(if *self == Self::Line { ":" } else { ": " }),
                _ => {
                    quoted = letter == '"';
                    out.push(letter);
                }
            }
        }
        out
    }

    fn line(&self, out: &mut String, depth: usize) {
        if let Self::Lines { newline, base, unit } = self {
            out.push_str(newline);
            out.push_str(base);
            out.push_str(&unit.repeat(depth));
        }
    }
}

fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}
