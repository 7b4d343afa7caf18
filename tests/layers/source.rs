//! One file of the house as the walls see it: its room, its tokens, the rooms that it names, the sizes in it.
//!
//! Knows Rust's grammar and no rule. Production code is what comes before the `#[cfg(test)]` modules at the end; a file
//! that is itself such a module (`tests.rs`, `*_tests.rs`, in a `tests` folder, or declared under `#[cfg(test)]`) has none.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};

pub(crate) struct Source {
    /// Relative to `src`.
    path: PathBuf,
    pub(crate) room: String,
    pub(crate) text: String,
    pub(crate) is_test: bool,
    tokens: Vec<Token>,
}

struct Token {
    text: String,
    line: usize,
}

/// A room that is named somewhere.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Use {
    pub(crate) name: String,
    pub(crate) line: usize,
}

impl Source {
    /// Every Rust file below a folder, in order of paths.
    pub(crate) fn load_all(src: &Path) -> Vec<Self> {
        let mut paths = Vec::new();
        collect(src, &mut paths);
        paths.sort();
        let read = |path: &PathBuf| fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut files: Vec<Self> = paths
            .iter()
            .map(|path| Self::new(path.strip_prefix(src).expect("it was found there"), &read(path)))
            .collect();
        let declared: BTreeSet<PathBuf> = files.iter().flat_map(Self::test_modules).collect();
        for file in &mut files {
            file.is_test |= declared.contains(&file.module_path()) || file.path.iter().any(|part| part == "tests");
        }
        files
    }

    fn new(path: &Path, text: &str) -> Self {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = path.iter().next().filter(|_| path.iter().count() > 1);
        let room = folder.map_or(stem.clone(), |folder| folder.to_string_lossy().into_owned());
        let stream: TokenStream = text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        let is_test = stem == "tests" || stem.ends_with("_tests");
        Self { path: path.to_owned(), room, text: text.to_owned(), is_test, tokens }
    }

    /// For people: `src/sys/listener.rs:12`.
    pub(crate) fn place(&self, line: usize) -> String {
        format!("src/{}:{line}", self.path.display())
    }

    /// The words of the file's own name and of the folders that it is in.
    pub(crate) fn names(&self) -> Vec<String> {
        let parts = self.path.with_extension("");
        parts.iter().flat_map(|part| part.to_string_lossy().split('_').map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// `sys/spawn/mod.rs` and `sys/spawn.rs` are both the module `sys/spawn`; the crate's roots are the empty path.
    fn module_path(&self) -> PathBuf {
        let path = self.path.with_extension("");
        match path.file_name().and_then(|name| name.to_str()) {
            Some("mod") => path.parent().map(Path::to_owned).unwrap_or_default(),
            Some("lib" | "main") if path.iter().count() == 1 => PathBuf::new(),
            _ => path,
        }
    }

    pub(crate) fn header_lines(&self) -> usize {
        self.text.lines().take_while(|line| line.starts_with("//!")).count()
    }

    pub(crate) fn production_lines(&self) -> usize {
        if self.is_test { 0 } else { self.first_test_line().unwrap_or(self.text.lines().count() + 1) - 1 }
    }

    /// Where the test modules begin after which nothing else comes.
    fn first_test_line(&self) -> Option<usize> {
        let items = self.parse(&self.text).items;
        let tests = items.into_iter().rev().map_while(|item| match item {
            syn::Item::Mod(module) if module.attrs.iter().any(is_cfg_test) => module.attrs.into_iter().next(),
            _ => None,
        });
        tests.last().map(|attribute| attribute.pound_token.span.start().line)
    }

    fn parse(&self, text: &str) -> syn::File {
        syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", self.place(1)))
    }

    /// Modules that exist in tests alone, as paths.
    fn test_modules(&self) -> Vec<PathBuf> {
        let declared = |index| {
            let module = Some(self.from(index)).filter(|here| here.are(CFG_TEST))?.skip(CFG_TEST.len());
            let name = (0..6).map(|ahead| module.skip(ahead)).find(|here| here.word() == "mod")?.skip(1);
            (module.is_module() && name.skip(1).word() == ";").then(|| self.module_path().join(name.word()))
        };
        (0..self.tokens.len()).filter_map(declared).collect()
    }

    fn from(&self, index: usize) -> Tokens<'_> {
        Tokens { all: &self.tokens, index }
    }

    /// Places in production code at which a condition holds.
    pub(crate) fn find_production(&self, is_wanted: impl Fn(Tokens<'_>) -> bool) -> Vec<String> {
        let end = self.production_lines();
        let indices = (0..self.tokens.len()).filter(|&index| self.tokens[index].line <= end);
        let found = indices.filter(|&index| is_wanted(self.from(index)));
        found.map(|index| format!("{}: {}", self.place(self.tokens[index].line), self.tokens[index].text)).collect()
    }

    /// Every room that a path from the crate's root, or up and out of the own room, leads to.
    pub(crate) fn rooms_used(&self) -> BTreeSet<Use> {
        let mut found = BTreeSet::new();
        let mut module: Vec<String> =
            self.module_path().iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let mut inline = Vec::new();
        let mut depth = 0;
        for index in 0..self.tokens.len() {
            let here = self.from(index);
            match here.word() {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    if inline.last() == Some(&depth) {
                        inline.pop();
                        module.pop();
                    }
                }
                "mod" if here.skip(2).word() == "{" => {
                    inline.push(depth);
                    module.push(here.skip(1).word().to_owned());
                }
                "crate" | "portreeve" if here.begins_path() => follow(here.skip(2), Vec::new(), &mut found),
                "super" if here.begins_path() => follow(here, module.clone(), &mut found),
                _ => {}
            }
        }
        found
    }

    /// The functions and types of the production code.
    pub(crate) fn shapes(&self) -> Shapes {
        let production: Vec<&str> = self.text.lines().take(self.production_lines()).collect();
        let mut shapes = Shapes::default();
        shapes.visit_file(&self.parse(&production.join("\n")));
        shapes
    }
}

const CFG_TEST: &[&str] = &["#", "[", "cfg", "(", "test", ")", "]"];

/// The tokens of a file from one of them on.
#[derive(Clone, Copy)]
pub(crate) struct Tokens<'a> {
    all: &'a [Token],
    index: usize,
}

impl<'a> Tokens<'a> {
    /// The first of them; empty behind the end.
    pub(crate) fn word(self) -> &'a str {
        self.all.get(self.index).map_or("", |token| &token.text)
    }

    pub(crate) fn are(self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(ahead, word)| self.skip(ahead).word() == *word)
    }

    /// Whether the first is the beginning of a path that goes on.
    pub(crate) fn begins_path(self) -> bool {
        let is_inside = self.index > 0 && self.all[self.index - 1].text == "::";
        !is_inside && self.skip(1).word() == "::"
    }

    fn skip(self, count: usize) -> Self {
        Self { index: self.index + count, ..self }
    }

    fn line(self) -> usize {
        self.all.get(self.index).map_or(0, |token| token.line)
    }

    /// `mod`, perhaps with a visibility before it.
    fn is_module(self) -> bool {
        let after_visibility = match (self.word(), self.skip(1).word()) {
            ("pub", "(") => 4,
            ("pub", _) => 1,
            _ => 0,
        };
        self.skip(after_visibility).word() == "mod"
    }
}

/// Follows a path from the module that it has come to so far, into every branch of a `{…}`.
fn follow(here: Tokens<'_>, mut module: Vec<String>, found: &mut BTreeSet<Use>) {
    match here.word() {
        "super" | "self" => {
            if here.word() == "super" {
                module.pop();
            }
            if here.skip(1).word() == "::" {
                follow(here.skip(2), module, found);
            }
        }
        "{" => {
            for branch in branches(here.skip(1)) {
                follow(branch, module.clone(), found);
            }
        }
        name => {
            let name = module.first().map_or(name, |room| room).to_owned();
            found.insert(Use { name, line: here.line() });
        }
    }
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|what| what == "test")
}

/// The parts between the commas of a `{…}`, of which the opening brace has just been passed.
fn branches(mut here: Tokens<'_>) -> Vec<Tokens<'_>> {
    let mut branches = vec![here];
    let mut depth = 0;
    loop {
        match here.word() {
            "" => return branches,
            "}" if depth == 0 => return branches,
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 0 && here.skip(1).word() != "}" => branches.push(here.skip(1)),
            _ => {}
        }
        here = here.skip(1);
    }
}

#[derive(Default)]
pub(crate) struct Shapes {
    pub(crate) functions: Vec<Function>,
    pub(crate) types: Vec<Type>,
}

pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// From its signature to its closing brace, both included.
    pub(crate) lines: usize,
    /// `self` not counted.
    pub(crate) parameters: usize,
}

pub(crate) struct Type {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) fields: usize,
}

impl Shapes {
    fn function(&mut self, signature: &syn::Signature, block: Option<&syn::Block>) {
        let line = signature.fn_token.span.start().line;
        let end = block.map_or(line, |block| block.brace_token.span.close().end().line);
        let parameters = signature.inputs.iter().filter(|input| matches!(input, syn::FnArg::Typed(_))).count();
        self.functions.push(Function { name: signature.ident.to_string(), line, lines: end - line + 1, parameters });
    }

    fn named(&mut self, name: &syn::Ident, fields: usize) {
        self.types.push(Type { name: name.to_string(), line: name.span().start().line, fields });
    }
}

impl<'ast> Visit<'ast> for Shapes {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, Some(&item.block));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, Some(&item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.function(&item.sig, item.default.as_ref());
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.named(&item.ident, item.fields.len());
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.named(&item.ident, 0);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.named(&item.ident, 0);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.named(&item.ident, 0);
        visit::visit_item_type(self, item);
    }
}

/// `HttpServer` is `Http` and `Server`.
pub(crate) fn words_of(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for letter in name.chars() {
        match words.last_mut() {
            Some(word) if !letter.is_uppercase() => word.push(letter),
            _ => words.push(letter.into()),
        }
    }
    words
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("a folder can be read to its end").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Groups become their brackets with what is between them; `::` becomes one token.
fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = brackets(group.delimiter());
                tokens.push(Token { text: open.to_owned(), line: group.span_open().start().line });
                flatten(group.stream(), tokens);
                tokens.push(Token { text: close.to_owned(), line: group.span_close().start().line });
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && punct.spacing() == Spacing::Joint => {
                trees.next();
                tokens.push(Token { text: "::".to_owned(), line });
            }
            other => tokens.push(Token { text: other.to_string(), line }),
        }
    }
}

fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(path: &str, text: &str) -> Vec<String> {
        Source::new(Path::new(path), text).rooms_used().into_iter().map(|used| used.name).collect()
    }

    #[test]
    fn a_room_is_seen_through_every_kind_of_path() {
        assert_eq!(rooms("proxy/a.rs", "use crate::sys;"), ["sys"]);
        assert_eq!(
            rooms("proxy/a.rs", "use crate::{id::AppName, link::{self, codec}, route::*};"),
            ["id", "link", "route"]
        );
        assert_eq!(
            rooms("proxy/a.rs", "fn f() -> crate::certs::Store { x!(y, crate::config::load()) }"),
            ["certs", "config"]
        );
        assert_eq!(rooms("main.rs", "fn main() { portreeve::cli::run() }"), ["cli"]);
        assert_eq!(rooms("proxy/a.rs", "// crate::sys\n/// [`crate::sys`]\nstruct A;"), [""; 0]);
    }

    #[test]
    fn a_climb_out_of_the_room_is_seen() {
        assert_eq!(rooms("proxy/a.rs", "use super::super::config;"), ["config"]);
        assert_eq!(rooms("proxy/mod.rs", "use super::config::Config;"), ["config"]);
        assert_eq!(rooms("id.rs", "use super::{config, sys::spawn};"), ["config", "sys"]);
        assert_eq!(rooms("proxy/a.rs", "mod b { mod c { use super::super::super::x; } } use super::y;"), ["proxy"]);
        assert_eq!(rooms("proxy/a.rs", "mod b { use super::super::super::sys; }"), ["sys"]);
        assert_eq!(
            rooms("proxy/a/b.rs", "use super::{super::c, d}; fn f() { super::super::super::sys::g() }"),
            ["proxy", "proxy", "sys"].map(str::to_owned)[1..]
        );
    }

    #[test]
    fn production_code_ends_where_the_test_module_begins() {
        let file = |text| Source::new(Path::new("proxy/a.rs"), text);
        assert_eq!(file("//! A.\nfn a() {}\n\n#[cfg(test)]\nmod tests { }\n").production_lines(), 3);
        assert_eq!(file("fn a() {}\n/// B.\n#[cfg(test)]\nmod b;\n#[cfg(test)]\nmod tests;\n").production_lines(), 1);
        assert_eq!(file("#[cfg(test)]\npub(crate) mod testing;\nfn a() {}\n").production_lines(), 3);
        assert_eq!(file("#[cfg(test)]\nfn a() {}\nfn b() {}\n").production_lines(), 3);
        let unwraps = |text| file(text).find_production(|tokens| tokens.are(&[".", "unwrap", "("]));
        assert_eq!(
            unwraps("fn a() { b().unwrap() }\n#[cfg(test)]\nmod t { fn a() { b().unwrap() } }"),
            ["src/proxy/a.rs:1: ."]
        );
    }

    #[test]
    fn sizes_are_counted() {
        let text = "struct A { a: u8, b: u8 }\nimpl A {\n fn f(&self, a: u8, b: u8) {\n }\n}\ntrait T { fn g(); }\nstruct B(u8);";
        let shapes = Source::new(Path::new("proxy/a.rs"), text).shapes();
        let functions: Vec<_> =
            shapes.functions.iter().map(|f| (f.name.as_str(), f.line, f.lines, f.parameters)).collect();
        assert_eq!(functions, [("f", 3, 2, 2), ("g", 6, 1, 0)]);
        let types: Vec<_> = shapes.types.iter().map(|t| (t.name.as_str(), t.fields)).collect();
        assert_eq!(types, [("A", 2), ("T", 0), ("B", 1)]);
    }

    #[test]
    fn names_fall_into_words() {
        assert_eq!(words_of("WorkerManager"), ["Worker", "Manager"]);
        assert_eq!(words_of("Database"), ["Database"]);
    }
}
