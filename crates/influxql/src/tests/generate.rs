//! Statements of every kind, as the parser makes them, with names and texts that are awkward to write.
//!
//! What no text can say is not generated: a carriage return (the scanner reads it as the end of a line), a name of a
//! database or policy that is empty (that is one that is not given), operations in an order that needs parentheses but
//! has none.

use model::Pattern;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::ast::*;

/// A name, or the text of a string.
pub(super) fn name() -> impl Strategy<Value = String> {
    let words = [
        "v",
        "_x",
        "host",
        "A1",
        "time",
        "fill",
        "tz",
        "null",
        "none",
        "select",
        "FROM",
        "And",
        "true",
        "INF",
        "measurement",
        "DISTINCT",
        "subscriptions",
        "1st",
        "a b",
        "a.b",
        "a\"b",
        "a'b",
        "a\\b",
        "\\n",
        "a\nb",
        "\n",
        "\t",
        "é",
        "日本",
        "",
        " ",
        "\"",
        "'",
        "\\",
        "--",
        "/*",
        "*/",
        "$p",
        ":",
        "::",
        ";",
        "/",
        "%s",
        "\u{0}",
        "\u{feff}",
    ];
    prop_oneof![
        4 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        2 => "[a-zA-Z_][a-zA-Z0-9_]{0,8}",
        1 => "[ -~\n\t]{0,12}",
        1 => "\\PC{0,8}",
    ]
}

/// A name that is not empty.
fn given() -> impl Strategy<Value = String> {
    name().prop_filter("a name that is given", |name| !name.is_empty())
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let sources = [
        "", "a", "x.*", "a/b", r"\\/", "[/]", "é|'", r"^\d+$", "\"", "'", r"\.", r"\\", "//", " ", "--",
        "a{2,3}",
    ];
    proptest::sample::select(sources.to_vec()).prop_map(|source| Pattern::new(source).expect("an expression"))
}

fn duration() -> impl Strategy<Value = i64> {
    let units = [1, 1_000, 1_000_000, 1_000_000_000, 60_000_000_000, 86_400_000_000_000, 604_800_000_000_000];
    prop_oneof![
        (0_i64..10_000, proptest::sample::select(units.to_vec())).prop_map(|(n, unit)| n * unit),
        0..=i64::MAX,
    ]
}

fn float() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    prop_oneof![
        POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO,
        (-1_000_i32..1_000).prop_map(|n| f64::from(n) / 8.0)
    ]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0), 2 => 1_u64..1_000, 1 => Just(i64::MAX.unsigned_abs())]
}

fn var() -> impl Strategy<Value = Expr> {
    let kinds = [
        RefKind::Float,
        RefKind::Integer,
        RefKind::Unsigned,
        RefKind::String,
        RefKind::Boolean,
        RefKind::Field,
        RefKind::Tag,
    ];
    (name(), of(proptest::sample::select(kinds.to_vec())))
        .prop_map(|(name, kind)| Expr::Var(VarRef { name, kind }))
}

fn literal() -> impl Strategy<Value = Expr> {
    prop_oneof![
        name().prop_map(Expr::String),
        float().prop_map(Expr::Number),
        prop_oneof![Just(i64::MIN), Just(-1), Just(1), any::<i64>()].prop_map(Expr::Integer),
        (i64::MAX.unsigned_abs() + 1..=u64::MAX).prop_map(Expr::Unsigned),
        any::<bool>().prop_map(Expr::Boolean),
        (duration(), any::<bool>()).prop_map(|(nanos, minus)| Expr::Duration(if minus {
            -nanos
        } else {
            nanos
        })),
    ]
}

fn operator(conditions: bool) -> impl Strategy<Value = Operator> {
    use Operator::{
        Add, And, BitAnd, BitOr, BitXor, Div, Eq, Greater, GreaterEq, Less, LessEq, Mod, Mul, NotEq, Or, Sub,
    };
    let all = vec![
        Add, Sub, Mul, Div, Mod, BitAnd, BitOr, BitXor, And, Or, Eq, NotEq, Less, LessEq, Greater, GreaterEq,
    ];
    let len = if conditions { all.len() } else { 8 };
    proptest::sample::select(all[..len].to_vec())
}

/// Whether the parser makes the operation of a sign before a name, a call or a parenthesis.
fn is_signed(binary: &Binary) -> bool {
    binary.op == Operator::Mul
        && matches!(binary.lhs, Expr::Integer(-1 | 1))
        && matches!(binary.rhs, Expr::Var(_) | Expr::Call(_) | Expr::Paren(_))
}

fn binary(op: Operator, lhs: Expr, rhs: Expr) -> Expr {
    let paren = |expr| Expr::Paren(Box::new(expr));
    let lhs = match lhs {
        Expr::Binary(inner) if inner.op.precedence() < op.precedence() => paren(Expr::Binary(inner)),
        other => other,
    };
    let rhs = match rhs {
        Expr::Binary(inner) if inner.op.precedence() <= op.precedence() && !is_signed(&inner) => {
            paren(Expr::Binary(inner))
        }
        other => other,
    };
    Expr::Binary(Box::new(Binary { op, lhs, rhs }))
}

fn call(arg: impl Strategy<Value = Expr>) -> impl Strategy<Value = Expr> {
    let known = ["mean", "count", "time", "now", "top", "distinct", "fill"].map(str::to_owned).to_vec();
    let name =
        prop_oneof![3 => proptest::sample::select(known), 1 => name().prop_map(|name| name.to_lowercase())];
    let arg = prop_oneof![8 => arg, 1 => pattern().prop_map(Expr::Regex)];
    (name, vec(arg, 0..3)).prop_map(|(name, args)| Expr::Call(Call { name, args }))
}

/// An expression, with comparisons and AND and OR or without.
pub(super) fn expr(conditions: bool) -> BoxedStrategy<Expr> {
    let wildcards = vec![None, Some(RefKind::Field), Some(RefKind::Tag)];
    let leaf = prop_oneof![
        4 => var(),
        3 => literal(),
        1 => proptest::sample::select(wildcards).prop_map(Expr::Wildcard),
        1 => name().prop_map(Expr::Distinct),
    ];
    leaf.prop_recursive(5, 24, 3, move |inner| {
        let signed = |(minus, rhs): (bool, Expr)| {
            let rhs = if matches!(rhs, Expr::Var(_) | Expr::Call(_)) { rhs } else { Expr::Paren(Box::new(rhs)) };
            let lhs = Expr::Integer(if minus { -1 } else { 1 });
            Expr::Binary(Box::new(Binary { op: Operator::Mul, lhs, rhs }))
        };
        let matched = (inner.clone(), any::<bool>(), pattern()).prop_map(|(lhs, is, pattern)| {
            let op = if is { Operator::EqRegex } else { Operator::NotEqRegex };
            binary(op, lhs, Expr::Regex(pattern))
        });
        prop_oneof![
            4 => (operator(conditions), inner.clone(), inner.clone()).prop_map(|(op, lhs, rhs)| binary(op, lhs, rhs)),
            2 => (any::<bool>(), inner.clone()).prop_map(signed),
            2 => call(inner.clone()),
            1 => inner.prop_map(|inner| Expr::Paren(Box::new(inner))),
            u32::from(conditions) * 2 => matched,
        ]
    })
    .boxed()
}

fn measurement(database: bool, policy: bool) -> impl Strategy<Value = Measurement> {
    let place = (of(given()), of(given()), name(), of(pattern()));
    place.prop_map(move |(db, rp, name, pattern)| Measurement {
        database: db.filter(|_| database),
        retention_policy: rp.filter(|_| policy),
        name: if pattern.is_some() { String::new() } else { name },
        pattern,
    })
}

fn measurements(database: bool, policy: bool) -> impl Strategy<Value = Vec<Source>> {
    vec(measurement(database, policy).prop_map(Source::Measurement), 0..3)
}

fn target() -> impl Strategy<Value = Target> {
    (of(given()), of(given()), name()).prop_map(|(database, retention_policy, name)| Target {
        measurement: Measurement { database, retention_policy, name, pattern: None },
    })
}

fn order() -> impl Strategy<Value = Option<Order>> {
    of((any::<bool>(), any::<bool>())).prop_map(|order| {
        order.map(|(named, ascending)| Order { field: named.then(|| "time".to_owned()), ascending })
    })
}

fn dimensions() -> impl Strategy<Value = Vec<Expr>> {
    vec(prop_oneof![4 => expr(true), 1 => pattern().prop_map(Expr::Regex)], 0..3)
}

fn fill() -> impl Strategy<Value = Fill> {
    prop_oneof![
        Just(Fill::Null),
        Just(Fill::None),
        Just(Fill::Previous),
        Just(Fill::Linear),
        float().prop_map(Fill::Number),
        any::<i64>().prop_map(Fill::Integer),
    ]
}

/// A SELECT with subqueries of that many levels.
pub(super) fn select(levels: u32) -> BoxedStrategy<Select> {
    let field = (prop_oneof![8 => expr(false), 1 => pattern().prop_map(Expr::Regex)], of(name()))
        .prop_map(|(expr, alias)| Field { expr, alias });
    let table = measurement(true, true).prop_map(Source::Measurement);
    let source = if levels == 0 {
        table.boxed()
    } else {
        let subquery = select(levels - 1).prop_map(|inner| Source::Subquery(Box::new(inner)));
        prop_oneof![3 => table, 1 => subquery].boxed()
    };
    let zones =
        vec!["UTC".to_owned(), "Europe/Berlin".to_owned(), "America/Argentina/Buenos_Aires".to_owned()];
    (
        (vec(field, 1..4), of(target()), vec(source, 1..3), of(expr(true)), dimensions()),
        (fill(), order(), [count(), count(), count(), count()], of(proptest::sample::select(zones))),
    )
        .prop_map(|((fields, target, sources, condition, dimensions), (fill, order, counts, timezone))| {
            let [limit, offset, slimit, soffset] = counts;
            Select {
                fields,
                target,
                sources,
                condition,
                dimensions,
                fill,
                order,
                limit,
                offset,
                slimit,
                soffset,
                timezone,
            }
        })
        .boxed()
}

fn key_test() -> impl Strategy<Value = KeyTest> {
    prop_oneof![
        name().prop_map(KeyTest::Eq),
        name().prop_map(KeyTest::NotEq),
        pattern().prop_map(KeyTest::Matches),
        pattern().prop_map(KeyTest::NotMatches),
        vec(name(), 1..4).prop_map(KeyTest::In),
    ]
}

fn show() -> impl Strategy<Value = Show> {
    let with = measurement(true, true).prop_map(Source::Measurement);
    let cardinalities = vec![
        CardinalityOf::Series,
        CardinalityOf::Measurement,
        CardinalityOf::TagKey,
        CardinalityOf::TagValues,
        CardinalityOf::FieldKey,
    ];
    let kind = prop_oneof![
        of(with).prop_map(|with| ShowKind::Measurements { with }),
        Just(ShowKind::Series),
        of(key_test()).prop_map(|with| ShowKind::TagKeys { with }),
        key_test().prop_map(|with| ShowKind::TagValues { with }),
        Just(ShowKind::FieldKeys),
        Just(ShowKind::RetentionPolicies),
        (proptest::sample::select(cardinalities), any::<bool>(), key_test()).prop_map(|(of, exact, with)| {
            ShowKind::Cardinality { of, exact, with: (of == CardinalityOf::TagValues).then_some(with) }
        }),
    ];
    let place = || of(prop_oneof![3 => name().prop_map(NameOrAll::Name), 1 => Just(NameOrAll::All)]);
    (
        (kind, place(), place(), measurements(true, true), of(expr(true)), dimensions(), order()),
        [count(), count(), count(), count()],
    )
        .prop_map(|((kind, database, policy, sources, condition, dimensions, order), counts)| {
            use ShowKind::{Cardinality, FieldKeys, Measurements, RetentionPolicies, TagKeys};
            let [limit, offset, slimit, soffset] = counts;
            // What a kind does not know is not there.
            let everywhere = matches!(kind, Measurements { .. });
            let counted = matches!(kind, Cardinality { .. });
            let policies = matches!(kind, RetentionPolicies);
            let is_condition = !matches!(kind, FieldKeys | RetentionPolicies);
            let keys = matches!(kind, TagKeys { .. });
            let database = database.filter(|db| everywhere || *db != NameOrAll::All);
            Show {
                retention_policy: policy.filter(|_| everywhere && database.is_some()),
                database,
                sources: if everywhere || policies { Vec::new() } else { sources },
                condition: condition.filter(|_| is_condition),
                dimensions: if counted { dimensions } else { Vec::new() },
                order: order.filter(|_| !counted && !policies),
                limit: if policies { 0 } else { limit },
                offset: if policies { 0 } else { offset },
                slimit: if keys { slimit } else { 0 },
                soffset: if keys { soffset } else { 0 },
                kind,
            }
        })
}

fn policy() -> impl Strategy<Value = PolicyOptions> {
    (of(duration()), of(1_u64..=2_147_483_647), of(duration()), of(name())).prop_map(
        |(duration, replication, shard_duration, name)| PolicyOptions {
            duration,
            replication,
            shard_duration,
            name,
        },
    )
}

fn continuous() -> impl Strategy<Value = ContinuousQuery> {
    let every = (1..1_000_i64).prop_map(|n| n * 1_000_000_000);
    (name(), name(), of(every.clone()), of(every.clone()), every, select(1), target()).prop_map(
        |(name, database, every, resample_for, interval, mut select, target)| {
            select.target = Some(target);
            // The first window that is found counts, so this one comes first.
            let window = Call { name: "time".to_owned(), args: vec![Expr::Duration(interval)] };
            select.dimensions.insert(0, Expr::Call(window));
            let resample_for = resample_for.map(|back| back.max(interval).max(every.unwrap_or(0)));
            ContinuousQuery { name, database, every, resample_for, select }
        },
    )
}

fn grant() -> impl Strategy<Value = Grant> {
    let privileges = vec![Privilege::Read, Privilege::Write, Privilege::All];
    (any::<bool>(), proptest::sample::select(privileges), name(), any::<bool>(), name()).prop_map(
        |(revoke, privilege, database, everywhere, user)| {
            let database = (privilege != Privilege::All || !everywhere).then_some(database);
            Grant { revoke, privilege, database, user }
        },
    )
}

fn dropped() -> impl Strategy<Value = Statement> {
    use DropKind::{ContinuousQuery, Database, Measurement, RetentionPolicy, User};
    let kinds = vec![Database, Measurement, User, RetentionPolicy, ContinuousQuery];
    (proptest::sample::select(kinds), name(), name()).prop_map(|(kind, name, database)| Statement::Drop {
        kind,
        name,
        database: matches!(kind, RetentionPolicy | ContinuousQuery).then_some(database),
    })
}

fn selection(policy: bool) -> impl Strategy<Value = Selection> {
    (measurements(false, policy), of(expr(true)))
        .prop_map(|(sources, condition)| Selection { sources, condition })
        .prop_filter("says what", |selection| !selection.sources.is_empty() || selection.condition.is_some())
}

fn managed() -> impl Strategy<Value = Statement> {
    let subscription = || {
        (name(), name(), name()).prop_map(|(name, database, retention_policy)| SubscriptionName {
            name,
            database,
            retention_policy,
        })
    };
    let policy = |altered: bool| {
        (name(), name(), policy(), any::<bool>()).prop_map(move |(name, database, options, default)| {
            RetentionPolicy {
                name,
                database,
                duration: if altered { options.duration } else { options.duration.or(Some(0)) },
                replication: if altered { options.replication } else { options.replication.or(Some(1)) },
                shard_duration: options.shard_duration,
                default,
            }
        })
    };
    let altered = policy(true).prop_filter("changes something", |policy| {
        policy.default
            || policy.duration.is_some()
            || policy.replication.is_some()
            || policy.shard_duration.is_some()
    });
    prop_oneof![
        (name(), of(policy_given()))
            .prop_map(|(name, policy)| Statement::CreateDatabase(CreateDatabase { name, policy })),
        policy(false).prop_map(Statement::CreateRetentionPolicy),
        altered.prop_map(Statement::AlterRetentionPolicy),
        continuous().prop_map(|query| Statement::CreateContinuousQuery(Box::new(query))),
        (subscription(), any::<bool>(), vec(name(), 1..3))
            .prop_map(|(name, all, destinations)| Statement::CreateSubscription { name, all, destinations }),
        subscription().prop_map(Statement::DropSubscription),
        grant().prop_map(Statement::Grant),
        dropped(),
        any::<u64>().prop_map(Statement::DropShard),
        (any::<u64>(), of(name())).prop_map(|(id, host)| Statement::KillQuery { id, host }),
        selection(true).prop_map(Statement::Delete),
        selection(false).prop_map(Statement::DropSeries),
    ]
}

fn policy_given() -> impl Strategy<Value = PolicyOptions> {
    policy().prop_filter("an option", |policy| *policy != PolicyOptions::default())
}

/// A statement whose print says all of it: every kind but those with passwords.
pub(super) fn statement() -> impl Strategy<Value = Statement> {
    let lists = vec![
        GlobalList::Databases,
        GlobalList::ContinuousQueries,
        GlobalList::Subscriptions,
        GlobalList::Shards,
        GlobalList::ShardGroups,
        GlobalList::Users,
        GlobalList::Queries,
    ];
    prop_oneof![
        6 => select(2).prop_map(|select| Statement::Select(Box::new(select))),
        1 => (any::<bool>(), select(1))
            .prop_map(|(analyze, select)| Statement::Explain { analyze, select: Box::new(select) }),
        4 => show().prop_map(|show| Statement::Show(Box::new(show))),
        1 => proptest::sample::select(lists).prop_map(Statement::ShowGlobal),
        1 => name().prop_map(|user| Statement::ShowGrants { user }),
        1 => (any::<bool>(), of(name()))
            .prop_map(|(diagnostics, module)| Statement::ShowInternals { diagnostics, module }),
        8 => managed(),
    ]
}
