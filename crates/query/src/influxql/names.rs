//! Fields of a SELECT: wildcards and patterns expanded, `time` taken out, columns named as InfluxDB names them.

use std::collections::HashMap;
use std::sync::Arc;

use influxql::ast::{Call, Expr, Field, RefKind, VarRef};

use super::expr::Node;
use super::function;
use super::plan::{bare, strip};
use super::schema::Schema;
use crate::error::Error;

/// Takes the field `time` out; its alias names the column of times.
pub(crate) fn without_time(fields: &[Field]) -> (Arc<str>, Vec<Field>) {
    let mut name: Arc<str> = "time".into();
    let mut rest = Vec::with_capacity(fields.len());
    for field in fields {
        match &field.expr {
            Expr::Var(var) if var.name == "time" => {
                if let Some(alias) = &field.alias {
                    name = alias.as_str().into();
                }
            }
            _ => rest.push(field.clone()),
        }
    }
    (name, rest)
}

/// Expands wildcards and patterns by the names that exist. Tags of GROUP BY are no columns; no tag is (`with_tags` is
/// false) when GROUP BY has a wildcard or a pattern itself.
pub(crate) fn expand(
    fields: &[Field],
    schema: &Schema,
    dimensions: &[String],
    with_tags: bool,
) -> Result<Vec<Field>, Error> {
    let mut out = Vec::new();
    let column = |name: &str| {
        let of_series =
            with_tags && schema.dimensions.contains(name) && !dimensions.iter().any(|d| d == name);
        of_series || schema.tag_columns.contains(name)
    };
    for field in fields {
        match &field.expr {
            Expr::Wildcard(kind) => out.extend(columns_of(schema, &column, *kind, &|_| true)),
            Expr::Regex(pattern) => {
                out.extend(columns_of(schema, &column, None, &|name| pattern.is_match(name)));
            }
            Expr::Call(call) => expand_call(field, call, schema, &mut out)?,
            _ => out.push(field.clone()),
        }
    }
    Ok(out)
}

fn columns_of(
    schema: &Schema,
    tag_is_column: &dyn Fn(&str) -> bool,
    kind: Option<RefKind>,
    wanted: &dyn Fn(&str) -> bool,
) -> Vec<Field> {
    let mut columns = Vec::new();
    if kind != Some(RefKind::Tag) {
        for name in schema.fields.keys().filter(|name| wanted(name)) {
            let kind = schema.tags.contains(name).then_some(RefKind::Field);
            columns.push((name.clone(), 0, VarRef { name: name.clone(), kind }));
        }
        let is_known = |name: &str| schema.fields.contains_key(name) || schema.tags.contains(name);
        for name in schema.empty_columns.iter().filter(|name| wanted(name) && !is_known(name)) {
            columns.push((name.clone(), 0, VarRef { name: name.clone(), kind: None }));
        }
    }
    let has_columns = !schema.fields.is_empty() || !schema.tag_columns.is_empty();
    if kind == Some(RefKind::Tag) || (kind.is_none() && has_columns) {
        for name in schema.tags.iter().filter(|name| wanted(name) && tag_is_column(name)) {
            let kind = schema.fields.contains_key(name).then_some(RefKind::Tag);
            columns.push((name.clone(), 1, VarRef { name: name.clone(), kind }));
        }
    }
    columns.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    columns.into_iter().map(|(_, _, var)| bare(Expr::Var(var))).collect()
}

/// Expands the innermost argument of (nested) calls: `mean(*)` becomes `mean(a) AS mean_a, ...`.
fn expand_call(field: &Field, call: &Call, schema: &Schema, out: &mut Vec<Field>) -> Result<(), Error> {
    let mut innermost = call;
    while let Some(Expr::Call(inner)) = innermost.args.first().map(strip) {
        innermost = inner;
    }
    let wanted: &dyn Fn(&str) -> bool = match innermost.args.first().map(strip) {
        Some(Expr::Wildcard(Some(RefKind::Tag))) => {
            return Error::invalid(format!("unable to use tag as wildcard in {}()", innermost.name));
        }
        Some(Expr::Wildcard(_)) => &|_| true,
        Some(Expr::Regex(pattern)) => &|name| pattern.is_match(name),
        _ => {
            out.push(field.clone());
            return Ok(());
        }
    };
    let prefix = field.alias.clone().unwrap_or_else(|| name_of(&field.expr));
    for (name, field_type) in &schema.fields {
        if wanted(name) && function::wildcard_takes(&innermost.name, *field_type) {
            let var = Expr::Var(VarRef { name: name.clone(), kind: None });
            let expr = Expr::Call(with_argument(call, &var));
            out.push(Field { expr, alias: Some(format!("{prefix}_{name}")) });
        }
    }
    Ok(())
}

fn with_argument(call: &Call, var: &Expr) -> Call {
    let mut call = call.clone();
    if let Some(first) = call.args.first_mut() {
        *first = match first {
            Expr::Call(inner) => Expr::Call(with_argument(inner, var)),
            _ => var.clone(),
        };
    }
    call
}

/// The name that an expression gives its column.
fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Var(var) => var.name.clone(),
        Expr::Call(call) => call.name.clone(),
        Expr::Distinct(_) => "distinct".to_owned(),
        Expr::Paren(inner) => name_of(inner),
        Expr::Binary(_) => {
            let mut parts = Vec::new();
            parts_of(expr, &mut parts);
            parts.join("_")
        }
        _ => String::new(),
    }
}

fn parts_of(expr: &Expr, out: &mut Vec<String>) {
    match expr {
        Expr::Binary(binary) => {
            parts_of(&binary.lhs, out);
            parts_of(&binary.rhs, out);
        }
        Expr::Paren(inner) => parts_of(inner, out),
        Expr::Var(_) | Expr::Call(_) | Expr::Distinct(_) => out.push(name_of(expr)),
        _ => {}
    }
}

/// The wished name of each field: its alias or that of its expression.
pub(crate) fn wished(field: &Field) -> Wished {
    let name = field.alias.clone().unwrap_or_else(|| name_of(&field.expr));
    Wished { name: name.into(), alias: field.alias.is_some() }
}

/// A name that a column would have.
#[derive(Debug)]
pub(crate) struct Wished {
    pub(crate) name: Arc<str>,
    /// Given by the user, so that it stays as it is.
    pub(crate) alias: bool,
}

/// Makes names distinct with `_1`, `_2`; aliases keep theirs.
pub(crate) fn distinct(wished: Vec<(Wished, Node)>) -> Vec<(Arc<str>, Node)> {
    let aliases = wished.iter().filter(|(w, _)| w.alias);
    let mut counts: HashMap<Arc<str>, usize> = aliases.map(|(w, _)| (Arc::clone(&w.name), 1)).collect();
    let unique = |(Wished { name, alias }, node): (Wished, Node)| {
        if alias {
            return (name, node);
        }
        let mut unique = Arc::clone(&name);
        if let Some(&count) = counts.get(&name) {
            let mut n = count;
            loop {
                unique = format!("{name}_{n}").into();
                if !counts.contains_key(&unique) {
                    break;
                }
                n += 1;
            }
            counts.insert(name, n + 1);
        }
        *counts.entry(Arc::clone(&unique)).or_insert(0) += 1;
        (unique, node)
    };
    wished.into_iter().map(unique).collect()
}
