//! Files of variables, as `dotenv` programs read them: `NAME=value` lines, comments, quotes, an `export` in front.
//!
//! Pure. Nothing is expanded and nothing is run: `$HOME` and `$(date)` are texts like any other. Within double quotes a
//! value may go over several lines, and `\n`, `\r`, `\t`, `\"`, `\$` and `\\` are escapes; within single quotes nothing is.
//! A fault says where it is and never what stands there, for that may be a secret.

/// One variable.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) value: String,
    /// Counted from 1.
    pub(super) line: usize,
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    /// Counted from 1.
    pub(super) line: usize,
    /// Counted in characters from 1.
    pub(super) column: usize,
    pub(super) message: &'static str,
}

/// Reads a whole file.
pub(super) fn parse(text: &str) -> Result<Vec<Assignment>, Bad> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, at: 0 };
    let mut assignments = Vec::new();
    loop {
        reader.skip(char::is_whitespace);
        match reader.peek() {
            None => return Ok(assignments),
            Some('#') => reader.skip(|c| c != '\n'),
            Some(_) => assignments.push(reader.assignment()?),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip(&mut self, mut wanted: impl FnMut(char) -> bool) {
        while self.peek().is_some_and(&mut wanted) {
            self.next();
        }
    }

    fn skip_blanks(&mut self) {
        self.skip(is_blank);
    }

    /// The fault at this byte.
    fn bad(&self, at: usize, message: &'static str) -> Bad {
        let before = &self.text[..at];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        Bad { line: before.matches('\n').count() + 1, column: before[start..].chars().count() + 1, message }
    }

    fn assignment(&mut self) -> Result<Assignment, Bad> {
        if let Some(rest) = self.text[self.at..].strip_prefix("export")
            && rest.starts_with(is_blank)
        {
            self.at += "export".len();
            self.skip_blanks();
        }
        let start = self.at;
        self.skip(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        let name = self.text[start..self.at].to_owned();
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.bad(start, "a name is expected here, as in NAME=value"));
        }
        self.skip_blanks();
        if self.peek() != Some('=') {
            return Err(self.bad(self.at, "a = is expected here, as in NAME=value"));
        }
        self.next();
        self.skip_blanks();
        let line = self.bad(start, "").line;
        let value = self.value()?;
        if let Some(nul) = value.find('\0') {
            return Err(self.bad(start + nul.min(name.len()), "the value has a NUL byte in it"));
        }
        Ok(Assignment { name, value, line })
    }

    fn value(&mut self) -> Result<String, Bad> {
        let start = self.at;
        let quoted = match self.peek() {
            Some('\'') => self.single_quoted(),
            Some('"') => self.double_quoted(),
            _ => return Ok(self.bare()),
        };
        let value = quoted.ok_or_else(|| self.bad(start, "this quote is never closed"))?;
        self.skip_blanks();
        match self.peek() {
            None | Some('\n' | '#') => Ok(value),
            Some(_) => Err(self.bad(self.at, "nothing can follow the closing quote")),
        }
    }

    /// Up to the end of the line, or to a comment, which stands behind a blank.
    fn bare(&mut self) -> String {
        let start = self.at;
        let mut last = ' ';
        self.skip(|c| {
            let goes_on = c != '\n' && !(c == '#' && is_blank(last));
            last = c;
            goes_on
        });
        self.text[start..self.at].trim_end().to_owned()
    }

    fn single_quoted(&mut self) -> Option<String> {
        let inner = &self.text[self.at + 1..];
        let end = inner.find('\'').filter(|end| !inner[..*end].contains('\n'))?;
        self.at += end + 2;
        Some(inner[..end].to_owned())
    }

    fn double_quoted(&mut self) -> Option<String> {
        self.next();
        let mut value = String::new();
        loop {
            match self.next()? {
                '"' => return Some(value),
                '\r' if self.peek() == Some('\n') => {}
                '\\' => match self.next()? {
                    'n' => value.push('\n'),
                    'r' => value.push('\r'),
                    't' => value.push('\t'),
                    c @ ('"' | '\\' | '$') => value.push(c),
                    // Not an escape: a path of another system, perhaps.
                    c => value.extend(['\\', c]),
                },
                c => value.push(c),
            }
        }
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(text: &str) -> Vec<(String, String)> {
        let assignments = parse(text).unwrap_or_else(|bad| panic!("{bad:?}"));
        assignments.into_iter().map(|one| (one.name, one.value)).collect()
    }

    #[test]
    fn values_are_read_as_people_write_them() {
        for (text, value) in [
            ("A=b", "b"),
            ("A = b c \t", "b c"),
            ("  export A=b\r\n", "b"),
            ("A=", ""),
            ("A=\n", ""),
            ("A=b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A=# comment", ""),
            ("A='b # \"c\" $d \\n'", "b # \"c\" $d \\n"),
            ("A=\"b # 'c' $(d) \\n\\t\\\"\\\\\\$\" # comment", "b # 'c' $(d) \n\t\"\\$"),
            ("A=\"C:\\x\"", "C:\\x"),
            ("A=\"one\r\ntwo\n#three\"\n", "one\ntwo\n#three"),
            ("A=$HOME `date`", "$HOME `date`"),
            ("A=b=c", "b=c"),
            ("A=it's", "it's"),
            ("\u{feff}A=b", "b"),
        ] {
            assert_eq!(read(text), [("A".to_owned(), value.to_owned())], "{text:?}");
        }
    }

    #[test]
    fn a_file_has_comments_blank_lines_and_many_names() {
        let text = "# first\n\nA=1\n  # indented\nB.c-d_9=\"2\n3\"\nexport=4\n";
        let names: Vec<_> = parse(text).unwrap().into_iter().map(|one| (one.name, one.line)).collect();
        assert_eq!(names, [("A".to_owned(), 3), ("B.c-d_9".to_owned(), 5), ("export".to_owned(), 7)]);
    }

    #[test]
    fn a_fault_has_its_line_and_column() {
        for (text, line, column, word) in [
            ("A=1\nB\n", 2, 2, "="),
            ("A=1\n  = 2", 2, 3, "name"),
            ("1A=1", 1, 1, "name"),
            ("A=1\nB='x\n'", 2, 3, "never closed"),
            ("é=1", 1, 1, "name"),
            ("A=\"x\ny", 1, 3, "never closed"),
            ("A=\"é\" x", 1, 7, "follow"),
            ("A B=c", 1, 3, "="),
        ] {
            let bad = parse(text).err().unwrap_or_else(|| panic!("{text:?} is good"));
            assert_eq!((bad.line, bad.column), (line, column), "{text:?} {bad:?}");
            assert!(bad.message.contains(word), "{text:?} {bad:?}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_is_read_to_an_end(text in "[A-C=\"'\\\\#\n\r\t $é\u{0}]{0,60}") {
            drop(parse(&text));
        }

        #[test]
        fn a_quoted_value_comes_back(value in "[ -~\n]{0,40}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            proptest::prop_assert_eq!(read(&format!("A=\"{quoted}\"")), [("A".to_owned(), value)]);
        }
    }
}
