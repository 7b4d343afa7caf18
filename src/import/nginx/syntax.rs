//! The syntax of nginx's configuration: words, quotes, comments, blocks; as a tree of directives with their places.
//!
//! Pure; included files are asked for through a function. Meaning is none of its business: any name is a directive.

use std::iter::Peekable;
use std::str::Chars;

/// Files within files; more is a circle.
const DEEPEST: usize = 12;

/// One directive, with what stands in its braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) args: Vec<String>,
    /// `None`: it ends with a semicolon.
    pub(super) block: Option<Vec<Directive>>,
    /// File and line.
    pub(super) place: String,
}

impl Directive {
    pub(super) fn arg(&self) -> &str {
        self.args.first().map_or("", String::as_str)
    }

    pub(super) fn children(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// A file as it is included: its name and its text.
pub(super) type File = (String, String);

/// Gives the files that a pattern stands for.
pub(super) type Include<'a> = &'a dyn Fn(&str) -> Result<Vec<File>, String>;

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Open,
    Close,
    End,
}

/// Reads a text with all that it includes.
///
/// # Errors
/// A sentence with file and line.
pub(super) fn parse(file: &File, include: Include) -> Result<Vec<Directive>, String> {
    Reader { name: &file.0, text: file.1.chars().peekable(), line: 1, include, depth: 0 }.file()
}

struct Reader<'a> {
    name: &'a str,
    text: Peekable<Chars<'a>>,
    line: usize,
    include: Include<'a>,
    depth: usize,
}

impl Reader<'_> {
    fn file(&mut self) -> Result<Vec<Directive>, String> {
        let (directives, closed) = self.directives()?;
        if closed { Err(self.fault("a brace is closed that was never opened")) } else { Ok(directives) }
    }

    /// Directives up to the end of the block or of the file; says which it was.
    fn directives(&mut self) -> Result<(Vec<Directive>, bool), String> {
        let mut directives = Vec::new();
        loop {
            let (mut words, place, end) = self.words()?;
            match (end, words.is_empty()) {
                (None, true) => return Ok((directives, false)),
                (Some(Token::Close), true) => return Ok((directives, true)),
                (Some(Token::End), false) => {
                    let name = words.remove(0);
                    self.finish(Directive { name, args: words, block: None, place }, &mut directives)?;
                }
                (Some(Token::Open), false) => {
                    let name = words.remove(0);
                    let block = Some(self.block()?);
                    directives.push(Directive { name, args: words, block, place });
                }
                (Some(Token::End), true) => {}
                (Some(Token::Open), true) => return Err(self.fault("a block has no name")),
                (_, false) => return Err(self.fault(&format!("`{}` does not end with a semicolon", words[0]))),
                (Some(Token::Word(_)), _) => unreachable!("words are collected"),
            }
        }
    }

    /// Words up to what ends them, with the place of the first.
    fn words(&mut self) -> Result<(Vec<String>, String, Option<Token>), String> {
        let (mut words, mut place) = (Vec::new(), String::new());
        loop {
            let token = self.token()?;
            let Some(Token::Word(word)) = token else { return Ok((words, place, token)) };
            if words.is_empty() {
                place = format!("{}:{}", self.name, self.line);
            }
            words.push(word);
        }
    }

    fn block(&mut self) -> Result<Vec<Directive>, String> {
        if self.depth > DEEPEST {
            return Err(self.fault("the blocks are too deep"));
        }
        self.depth += 1;
        let (directives, closed) = self.directives()?;
        self.depth -= 1;
        if closed { Ok(directives) } else { Err(self.fault("a brace is never closed")) }
    }

    /// An `include` gives way to what it includes.
    fn finish(&mut self, directive: Directive, directives: &mut Vec<Directive>) -> Result<(), String> {
        if directive.name != "include" {
            directives.push(directive);
            return Ok(());
        }
        if self.depth > DEEPEST {
            return Err(self.fault("files include each other"));
        }
        let files = (self.include)(directive.arg()).map_err(|why| format!("{}: {why}", directive.place))?;
        for (name, text) in &files {
            let (text, depth) = (text.chars().peekable(), self.depth + 1);
            directives.extend(Reader { name, text, line: 1, include: self.include, depth }.file()?);
        }
        Ok(())
    }

    fn token(&mut self) -> Result<Option<Token>, String> {
        loop {
            let Some(c) = self.next() else { return Ok(None) };
            match c {
                '#' => while self.next().is_some_and(|c| c != '\n') {},
                ';' => return Ok(Some(Token::End)),
                '{' => return Ok(Some(Token::Open)),
                '}' => return Ok(Some(Token::Close)),
                '"' | '\'' => return self.quoted(c).map(Some),
                c if c.is_whitespace() => {}
                c => return Ok(Some(self.bare(c))),
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, String> {
        let mut word = String::new();
        loop {
            match self.next() {
                Some('\\') => word.extend(self.next()),
                Some(c) if c == quote => return Ok(Token::Word(word)),
                Some(c) => word.push(c),
                None => return Err(self.fault("a quote is never closed")),
            }
        }
    }

    /// A word without quotes; `${name}` has braces of its own.
    fn bare(&mut self, first: char) -> Token {
        let mut word = String::from(first);
        while let Some(&c) = self.text.peek() {
            let is_variable = c == '{' && word.ends_with('$');
            if c.is_whitespace() || c == ';' || (matches!(c, '{' | '}') && !is_variable) {
                break;
            }
            word.extend(self.next());
            if is_variable {
                self.variable(&mut word);
            }
        }
        Token::Word(word)
    }

    /// The rest of `${name}`.
    fn variable(&mut self, word: &mut String) {
        while self.text.peek().is_some_and(|c| !matches!(c, ';' | '\n')) && !word.ends_with('}') {
            word.extend(self.next());
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.text.next()?;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn fault(&self, what: &str) -> String {
        format!("{}:{}: {what}", self.name, self.line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<Directive>, String> {
        let include = |pattern: &str| match pattern {
            "more" => Ok(vec![("more".to_owned(), "b 2;".to_owned())]),
            "self" => Ok(vec![("self".to_owned(), "include self;".to_owned())]),
            _ => Err("there is no such file".to_owned()),
        };
        parse(&("x.conf".to_owned(), text.to_owned()), &include)
    }

    #[test]
    fn words_quotes_comments_and_blocks_are_told_apart() {
        let read = read("# c\na 'b c' \"d\\\"e\" f#g ${x}y;\ns{ l ~ \\.php$ { r; } }\ninclude more;").unwrap();
        assert_eq!(read[0].args, ["b c", "d\"e", "f#g", "${x}y"]);
        assert_eq!((read[0].place.as_str(), read[1].children()[0].place.as_str()), ("x.conf:2", "x.conf:3"));
        assert_eq!(read[1].children()[0].args, ["~", "\\.php$"]);
        assert_eq!((read[2].name.as_str(), read[2].place.as_str()), ("b", "more:1"));
    }

    #[test]
    fn what_is_broken_has_a_place() {
        for (text, message) in [
            ("a", "x.conf:1: `a` does not end"),
            ("a {", "x.conf:1: a brace is never closed"),
            ("a;\n}", "x.conf:2: a brace is closed"),
            ("a 'b", "a quote is never closed"),
            ("{}", "a block has no name"),
            ("a }", "does not end"),
            ("include none;", "x.conf:1: there is no such file"),
            ("include self;", "files include each other"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn every_text_is_read_to_an_end(text in "[a-z;{}'\"#$\\\\ \n]{0,60}") {
            drop(read(&text));
        }
    }
}
