//! Kinds of tokens, with the names that Flux's own messages use for them.

use super::position::Span;

macro_rules! tokens {
    ($($name:ident $text:literal),* $(,)?) => {
        /// What kind of token it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind { $($name),* }

        impl Kind {
            /// Flux's name of the kind in messages.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

tokens! {
    Illegal "ILLEGAL", Eof "EOF",
    And "AND", Or "OR", Not "NOT", Empty "EMPTY", In "IN", Import "IMPORT", Package "PACKAGE", Return "RETURN",
    Option "OPTION", Builtin "BUILTIN", TestCase "TESTCASE", If "IF", Then "THEN", Else "ELSE", Exists "EXISTS",
    Ident "IDENT", Int "INT", Float "FLOAT", String "STRING", Regex "REGEX", Time "TIME", Duration "DURATION",
    Quote "QUOTE",
    Add "ADD", Sub "SUB", Mul "MUL", Div "DIV", Mod "MOD", Pow "POW",
    Eq "EQ", Lt "LT", Gt "GT", Lte "LTE", Gte "GTE", Neq "NEQ", RegexEq "REGEXEQ", RegexNeq "REGEXNEQ",
    Assign "ASSIGN", Arrow "ARROW", LParen "LPAREN", RParen "RPAREN", LBrack "LBRACK", RBrack "RBRACK",
    LBrace "LBRACE", RBrace "RBRACE", Comma "COMMA", Dot "DOT", Colon "COLON", PipeForward "PIPE_FORWARD",
    PipeReceive "PIPE_RECEIVE", QuestionMark "QUESTION_MARK", Attribute "ATTRIBUTE",
}

/// A token: its kind, its place and its bytes in the source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    pub(crate) text: &'a str,
    /// Offset of the first byte; the lexer can be put back here.
    pub(crate) offset: usize,
}

/// The keyword that a name is, or `Ident`.
pub(crate) fn keyword(text: &str) -> Kind {
    match text {
        "and" => Kind::And,
        "or" => Kind::Or,
        "not" => Kind::Not,
        "empty" => Kind::Empty,
        "in" => Kind::In,
        "import" => Kind::Import,
        "package" => Kind::Package,
        "return" => Kind::Return,
        "option" => Kind::Option,
        "builtin" => Kind::Builtin,
        "testcase" => Kind::TestCase,
        "if" => Kind::If,
        "then" => Kind::Then,
        "else" => Kind::Else,
        "exists" => Kind::Exists,
        _ => Kind::Ident,
    }
}
