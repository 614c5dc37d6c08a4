//! The tokens of InfluxQL.

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Token {
    Illegal,
    Eof,
    Whitespace,
    Comment,
    Ident,
    BoundParam,
    Number,
    Integer,
    Duration,
    String,
    BadString,
    BadEscape,
    Regex,
    BadRegex,
    True,
    False,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    BitAnd,
    BitOr,
    BitXor,
    And,
    Or,
    Eq,
    NotEq,
    EqRegex,
    NotEqRegex,
    Less,
    LessEq,
    Greater,
    GreaterEq,
    LeftParen,
    RightParen,
    Comma,
    Colon,
    DoubleColon,
    Semicolon,
    Dot,
    Keyword(Keyword),
}

macro_rules! keywords {
    ($($name:ident $text:literal),* $(,)?) => {
        /// The reserved words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Keyword { $($name),* }

        impl Keyword {
            /// The word in capitals.
            pub(crate) const fn text(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }

        const KEYWORDS: &[(&str, Keyword)] = &[$(($text, Keyword::$name)),*];
    };
}

keywords! {
    All "ALL", Alter "ALTER", Analyze "ANALYZE", Any "ANY", As "AS", Asc "ASC", Begin "BEGIN", By "BY",
    Cardinality "CARDINALITY", Create "CREATE", Continuous "CONTINUOUS", Database "DATABASE",
    Databases "DATABASES", Default "DEFAULT", Delete "DELETE", Desc "DESC", Destinations "DESTINATIONS",
    Diagnostics "DIAGNOSTICS", Distinct "DISTINCT", Drop "DROP", Duration "DURATION", End "END",
    Every "EVERY", Exact "EXACT", Explain "EXPLAIN", Field "FIELD", For "FOR", From "FROM", Grant "GRANT",
    Grants "GRANTS", Group "GROUP", Groups "GROUPS", In "IN", Inf "INF", Insert "INSERT", Into "INTO",
    Key "KEY", Keys "KEYS", Kill "KILL", Limit "LIMIT", Measurement "MEASUREMENT",
    Measurements "MEASUREMENTS", Name "NAME", Offset "OFFSET", On "ON", Order "ORDER", Password "PASSWORD",
    Policy "POLICY", Policies "POLICIES", Privileges "PRIVILEGES", Queries "QUERIES", Query "QUERY",
    Read "READ", Replication "REPLICATION", Resample "RESAMPLE", Retention "RETENTION", Revoke "REVOKE",
    Select "SELECT", Series "SERIES", Set "SET", Shard "SHARD", Shards "SHARDS", Show "SHOW",
    Slimit "SLIMIT", Soffset "SOFFSET", Stats "STATS", Subscription "SUBSCRIPTION",
    Subscriptions "SUBSCRIPTIONS", Tag "TAG", To "TO", User "USER", Users "USERS", Values "VALUES",
    Where "WHERE", With "WITH", Write "WRITE",
}

impl Token {
    /// The text of a token that carries none of its own.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Illegal => "ILLEGAL",
            Self::Eof => "EOF",
            Self::Whitespace => "WS",
            Self::Comment => "COMMENT",
            Self::Ident => "IDENT",
            Self::BoundParam => "BOUNDPARAM",
            Self::Number => "NUMBER",
            Self::Integer => "INTEGER",
            Self::Duration => "DURATIONVAL",
            Self::String => "STRING",
            Self::BadString => "BADSTRING",
            Self::BadEscape => "BADESCAPE",
            Self::Regex => "REGEX",
            Self::BadRegex => "BADREGEX",
            Self::True => "TRUE",
            Self::False => "FALSE",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::BitAnd => "&",
            Self::BitOr => "|",
            Self::BitXor => "^",
            Self::And => "AND",
            Self::Or => "OR",
            Self::Eq => "=",
            Self::NotEq => "!=",
            Self::EqRegex => "=~",
            Self::NotEqRegex => "!~",
            Self::Less => "<",
            Self::LessEq => "<=",
            Self::Greater => ">",
            Self::GreaterEq => ">=",
            Self::LeftParen => "(",
            Self::RightParen => ")",
            Self::Comma => ",",
            Self::Colon => ":",
            Self::DoubleColon => "::",
            Self::Semicolon => ";",
            Self::Dot => ".",
            Self::Keyword(keyword) => keyword.text(),
        }
    }
}

/// The token of a bare word: a keyword in any case, or an identifier.
pub(crate) fn lookup(word: &str) -> Token {
    if word.len() > "SUBSCRIPTIONS".len() {
        return Token::Ident;
    }
    for (text, token) in
        [("AND", Token::And), ("OR", Token::Or), ("TRUE", Token::True), ("FALSE", Token::False)]
    {
        if word.eq_ignore_ascii_case(text) {
            return token;
        }
    }
    KEYWORDS
        .iter()
        .find(|(text, _)| word.eq_ignore_ascii_case(text))
        .map_or(Token::Ident, |(_, keyword)| Token::Keyword(*keyword))
}
