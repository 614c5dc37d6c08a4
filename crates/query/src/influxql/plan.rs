//! SELECT to a plan: names resolved, wildcards expanded, functions checked, columns named.

use std::collections::BTreeSet;
use std::sync::Arc;

use influxql::ast::{Call, Expr, Field, Fill, RefKind, Select, VarRef};
use model::FieldType;

use super::condition::{self, Bounds, Filter, TimeContext};
use super::expr::{Node, Var, VarKind};
use super::function::{self, Aggregate, Transform};
use super::names;
use super::schema::{Resolver, Table};
use super::types;
use super::value;
use super::window::Windows;
use crate::error::Error;

/// A call that makes points: a field, perhaps aggregated, then transformed.
#[derive(Debug, Clone)]
pub(crate) struct CallPlan {
    pub(crate) input: Var,
    pub(crate) aggregate: Option<Aggregate>,
    /// Innermost first.
    pub(crate) transforms: Vec<Transform>,
    pub(crate) field_type: FieldType,
}

/// What an expression's slot reads.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    Var(Var),
    Call(CallPlan),
}

impl Slot {
    pub(crate) const fn field_type(&self) -> FieldType {
        match self {
            Self::Var(var) => var.field_type(),
            Self::Call(call) => call.field_type,
        }
    }
}

/// A column of the answer.
#[derive(Debug, Clone)]
pub(crate) struct OutColumn {
    pub(crate) name: Arc<str>,
    pub(crate) node: Node,
    pub(crate) field_type: FieldType,
}

/// Where a plan reads.
#[derive(Debug)]
pub(crate) enum Input {
    Table(Table),
    Subquery(Box<Plan>),
}

/// A compiled SELECT.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) inputs: Vec<Input>,
    pub(crate) time_name: Arc<str>,
    pub(crate) columns: Vec<OutColumn>,
    pub(crate) slots: Vec<Slot>,
    /// Tags of GROUP BY, sorted.
    pub(crate) dimensions: Vec<String>,
    pub(crate) windows: Windows,
    pub(crate) bounds: Bounds,
    pub(crate) filter: Filter,
    pub(crate) fill: Fill,
    pub(crate) ascending: bool,
    pub(crate) limit: u64,
    pub(crate) offset: u64,
    pub(crate) slimit: u64,
    pub(crate) soffset: u64,
}

/// What a subquery takes from the query around it.
#[derive(Debug, Clone)]
pub(crate) struct Outer {
    pub(crate) bounds: Bounds,
    pub(crate) dimensions: Vec<String>,
    pub(crate) every: i64,
    pub(crate) offset: i64,
}

impl Plan {
    pub(crate) fn calls(&self) -> impl Iterator<Item = &CallPlan> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Call(call) => Some(call),
            Slot::Var(_) => None,
        })
    }
}

/// Compiles a SELECT.
pub(crate) fn compile(
    select: &Select,
    resolver: &Resolver<'_>,
    outer: Option<&Outer>,
) -> Result<Plan, Error> {
    let zone = match &select.timezone {
        None => None,
        Some(name) => match jiff::tz::TimeZone::get(name) {
            Ok(zone) => Some(zone),
            Err(_) => return Error::invalid(format!("unable to find time zone {name}")),
        },
    };
    let time = TimeContext { now: resolver.now(), zone: zone.clone() };
    let (condition, mut bounds) = match &select.condition {
        Some(condition) => condition::split_time(condition, &time)?,
        None => (None, Bounds::ALL),
    };
    let (mut every, mut window_offset) = interval(&select.dimensions, &time)?;
    let own_interval = every > 0;
    if let Some(outer) = outer {
        bounds = bounds.intersect(outer.bounds);
        if every == 0 {
            (every, window_offset) = (outer.every, outer.offset);
        }
    } else if own_interval && !bounds.has_max() {
        bounds.max = resolver.now().0;
    }
    let windows = Windows { every, offset: window_offset, zone };

    // Tags first: a subquery must know them before it is compiled, wildcards after.
    let mut named: BTreeSet<String> =
        outer.map(|o| o.dimensions.iter().cloned().collect()).unwrap_or_default();
    for dimension in &select.dimensions {
        if let Expr::Var(var) = dimension {
            named.insert(var.name.clone());
        }
    }
    let for_inner =
        Outer { bounds, dimensions: named.iter().cloned().collect(), every, offset: window_offset };
    let schema = resolver.schema(&select.sources, bounds, &for_inner, needs_tags(select))?;
    for dimension in &select.dimensions {
        match dimension {
            Expr::Wildcard(_) => named.extend(schema.tags.iter().cloned()),
            Expr::Regex(pattern) => {
                named.extend(schema.tags.iter().filter(|t| pattern.is_match(t)).cloned());
            }
            _ => {}
        }
    }
    let kind = |var: &VarRef| schema.kind(var);
    let (time_name, fields) = names::without_time(&select.fields)?;
    let fields = names::expand(&fields, &schema, &named)?;
    let mut builder = Builder { kind: &kind, slots: Vec::new(), every };
    let mut columns = Vec::new();
    for field in &fields {
        types::check(&field.expr, &kind)?;
        let node = builder.node(&field.expr)?;
        columns.push((names::wished(field), node));
        builder.extra_columns(&field.expr, &mut columns);
    }
    let slots = builder.slots;
    let columns = names::distinct(columns)
        .into_iter()
        .map(|(name, node): (Arc<str>, Node)| {
            let field_type = node.field_type(&|i| slots.get(i).map_or(FieldType::Float, Slot::field_type));
            OutColumn { name, node, field_type }
        })
        .collect();
    let plan = Plan {
        filter: condition::compile(condition.as_ref(), &kind, schema.stored_only)?,
        inputs: schema.inputs,
        time_name,
        columns,
        slots,
        dimensions: named.into_iter().collect(),
        windows,
        bounds,
        fill: inner_fill(select.fill, outer.is_some()),
        ascending: select.order.as_ref().is_none_or(|o| o.ascending),
        limit: select.limit,
        offset: select.offset,
        slimit: select.slimit,
        soffset: select.soffset,
    };
    check(&plan, select, own_interval)?;
    Ok(plan)
}

/// A subquery does not fill with nulls: nobody would see them.
fn inner_fill(fill: Fill, is_subquery: bool) -> Fill {
    if is_subquery && fill == Fill::Null { Fill::None } else { fill }
}

/// Whether the names of all tags must be known.
fn needs_tags(select: &Select) -> bool {
    let open = |expr: &Expr| matches!(expr, Expr::Wildcard(_) | Expr::Regex(_));
    let mut fields = false;
    for field in &select.fields {
        field.expr.walk(&mut |expr| fields |= open(expr));
    }
    fields || select.dimensions.iter().any(open)
}

/// `time(every, offset)` among the dimensions; 0 when there is none.
fn interval(dimensions: &[Expr], time: &TimeContext) -> Result<(i64, i64), Error> {
    let mut found = (0, 0);
    for dimension in dimensions {
        match dimension {
            Expr::Var(_) | Expr::Wildcard(_) | Expr::Regex(_) => continue,
            Expr::Call(call) if call.name != "time" => {
                return Error::invalid("only time() calls allowed in dimensions");
            }
            Expr::Call(_) if found.0 != 0 => return Error::invalid("multiple time dimensions not allowed"),
            Expr::Call(call) => found = time_dimension(call, time)?,
            _ => return Error::invalid("only time and tag dimensions allowed"),
        }
    }
    Ok(found)
}

fn time_dimension(call: &Call, time: &TimeContext) -> Result<(i64, i64), Error> {
    let every = match call.args.as_slice() {
        [Expr::Duration(d)] | [Expr::Duration(d), _] if *d > 0 => *d,
        [Expr::Duration(_)] | [Expr::Duration(_), _] => {
            return Error::invalid("time dimension must have a positive duration");
        }
        [_] | [_, _] => return Error::invalid("time dimension must have duration argument"),
        _ => return Error::invalid("time dimension expected 1 or 2 arguments"),
    };
    let offset = match call.args.get(1) {
        None => 0,
        Some(Expr::Duration(d)) => d % every,
        Some(Expr::Call(now)) if now.name == "now" => time.now.0.rem_euclid(every),
        Some(Expr::String(text)) => match influxql::timeliteral::parse(text, time.zone.as_ref()) {
            Some(t) => t.0.rem_euclid(every),
            None => return Error::invalid("time dimension offset must be duration or now()"),
        },
        Some(_) => return Error::invalid("time dimension offset must be duration or now()"),
    };
    Ok((every, offset))
}

/// The rules on how functions and fields may stand together.
fn check(plan: &Plan, select: &Select, own_interval: bool) -> Result<(), Error> {
    let calls: Vec<_> = plan.calls().collect();
    let has_vars = plan.slots.iter().any(|slot| matches!(slot, Slot::Var(_)));
    if calls.is_empty() {
        match select.fill {
            Fill::None => return Error::invalid("fill(none) must be used with a function"),
            Fill::Linear => return Error::invalid("fill(linear) must be used with a function"),
            _ => {}
        }
        if own_interval {
            return Error::invalid("GROUP BY requires at least one aggregate function");
        }
        return Ok(());
    }
    for call in &calls {
        match &call.aggregate {
            Some(Aggregate::Distinct) if calls.len() > 1 || has_vars => {
                return Error::invalid(
                    "aggregate function distinct() cannot be combined with other functions or fields",
                );
            }
            Some(top @ (Aggregate::Top(..) | Aggregate::Bottom(..))) if calls.len() > 1 => {
                let name = if matches!(top, Aggregate::Top(..)) { "top" } else { "bottom" };
                return Error::invalid(format!(
                    "selector function {name}() cannot be combined with other functions"
                ));
            }
            _ => {}
        }
    }
    if has_vars {
        let top_tags = |c: &&CallPlan| {
            c.transforms.is_empty() && c.aggregate.as_ref().is_some_and(Aggregate::is_selector)
        };
        if !calls.iter().all(top_tags) {
            return Error::invalid("mixing aggregate and non-aggregate queries is not supported");
        }
        if calls.len() > 1 {
            return Error::invalid("mixing multiple selector functions with tags or fields is not supported");
        }
    }
    Ok(())
}

struct Builder<'a> {
    kind: &'a dyn Fn(&VarRef) -> VarKind,
    slots: Vec<Slot>,
    every: i64,
}

impl Builder<'_> {
    fn var(&self, var: &VarRef) -> Var {
        Var { name: var.name.as_str().into(), kind: (self.kind)(var), absent_is_empty: false }
    }

    fn slot(&mut self, slot: Slot) -> Node {
        self.slots.push(slot);
        Node::Slot(self.slots.len() - 1)
    }

    fn var_slot(&mut self, var: Var) -> Node {
        let known = self.slots.iter().position(|slot| matches!(slot, Slot::Var(v) if *v == var));
        known.map_or_else(|| self.slot(Slot::Var(var)), Node::Slot)
    }

    fn node(&mut self, expr: &Expr) -> Result<Node, Error> {
        use model::FieldValue as V;
        Ok(match expr {
            Expr::Paren(inner) => self.node(inner)?,
            Expr::Var(var) => {
                let var = self.var(var);
                self.var_slot(var)
            }
            Expr::Binary(binary) => {
                let lhs = self.node(&binary.lhs)?;
                Node::Binary(binary.op, Box::new(lhs), Box::new(self.node(&binary.rhs)?))
            }
            Expr::Call(call) => self.call(call)?,
            Expr::Distinct(name) => {
                let arg = Expr::Var(VarRef { name: name.clone(), kind: None });
                self.call(&Call { name: "distinct".to_owned(), args: vec![arg] })?
            }
            Expr::Number(n) => Node::Const(V::Float(*n)),
            Expr::Integer(n) | Expr::Duration(n) => Node::Const(V::Integer(*n)),
            Expr::Unsigned(n) => Node::Const(V::Unsigned(*n)),
            Expr::String(s) => Node::Const(V::String(s.clone())),
            Expr::Boolean(b) => Node::Const(V::Boolean(*b)),
            Expr::Wildcard(_) | Expr::Regex(_) => {
                return Error::invalid(format!("unsupported expression with wildcard: {expr}"));
            }
        })
    }

    fn call(&mut self, call: &Call) -> Result<Node, Error> {
        if let Some(arity) = value::math_arity(&call.name) {
            if call.args.len() != arity {
                let (name, got) = (&call.name, call.args.len());
                return Error::invalid(format!(
                    "invalid number of arguments for {name}, expected {arity}, got {got}"
                ));
            }
            let args = call.args.iter().map(|arg| self.node(arg)).collect::<Result<_, _>>()?;
            return Ok(Node::Math(call.name.as_str().into(), args));
        }
        let plan = self.call_plan(call)?;
        Ok(self.slot(Slot::Call(plan)))
    }

    fn call_plan(&mut self, call: &Call) -> Result<CallPlan, Error> {
        if function::is_transform(&call.name) {
            return self.transform_plan(call);
        }
        let Some(mut aggregate) = function::aggregate(call)? else {
            return Error::invalid(format!("undefined function {}()", call.name));
        };
        let input = match call.args.first() {
            Some(Expr::Var(var)) => self.var(var),
            Some(Expr::Distinct(name)) if aggregate == Aggregate::Count => {
                aggregate = Aggregate::CountDistinct;
                self.var(&VarRef { name: name.clone(), kind: None })
            }
            Some(Expr::Call(inner)) if aggregate == Aggregate::Count && inner.name == "distinct" => {
                aggregate = Aggregate::CountDistinct;
                match inner.args.as_slice() {
                    [Expr::Var(var)] => self.var(var),
                    [] => return Error::invalid("distinct function requires at least one argument"),
                    [_] => return Error::invalid("expected field argument in distinct()"),
                    _ => return Error::invalid("distinct function can only have one argument"),
                }
            }
            Some(_) => return Error::invalid(format!("expected field argument in {}()", call.name)),
            None => return Error::invalid(format!("expected field argument in {}()", call.name)),
        };
        let field_type = match input.kind {
            VarKind::Tag => FieldType::Float,
            VarKind::Field(from) => match aggregate.result_type(from) {
                Some(field_type) => field_type,
                None => {
                    return Error::invalid(unsupported(&call.name, from));
                }
            },
        };
        Ok(CallPlan { input, aggregate: Some(aggregate), transforms: Vec::new(), field_type })
    }

    fn transform_plan(&mut self, call: &Call) -> Result<CallPlan, Error> {
        let name = &call.name;
        let nested = matches!(call.args.first(), Some(Expr::Call(_)));
        let transform = function::transform(call, self.every, nested)?;
        let mut plan = match call.args.first() {
            Some(Expr::Call(inner)) => {
                if self.every == 0 {
                    return Error::invalid(format!("{name} aggregate requires a GROUP BY interval"));
                }
                self.call_plan(inner)?
            }
            Some(Expr::Var(var)) => {
                if self.every > 0 {
                    return Error::invalid(format!("aggregate function required inside the call to {name}"));
                }
                let input = self.var(var);
                let field_type = input.field_type();
                CallPlan { input, aggregate: None, transforms: Vec::new(), field_type }
            }
            _ => return Error::invalid(format!("expected field argument in {name}()")),
        };
        let numeric = !matches!(plan.field_type, FieldType::String | FieldType::Boolean);
        if !numeric && !matches!(transform, Transform::Elapsed(_)) {
            return Error::invalid(unsupported(name, plan.field_type));
        }
        plan.field_type = transform.result_type(plan.field_type);
        plan.transforms.push(transform);
        Ok(plan)
    }

    /// `top(f, tag, n)` shows the tags as columns behind its own.
    fn extra_columns(&mut self, expr: &Expr, columns: &mut Vec<(names::Wished, Node)>) {
        let Expr::Call(call) = expr else { return };
        if !matches!(call.name.as_str(), "top" | "bottom") {
            return;
        }
        let last = call.args.len().saturating_sub(1);
        for arg in call.args.get(1..last).unwrap_or_default() {
            if let Expr::Var(var) = arg {
                let var = self.var(var);
                let name = Arc::clone(&var.name);
                columns.push((names::Wished { name, alias: false }, self.var_slot(var)));
            }
        }
    }
}

/// Whether a reference's cast names a type; `::field` and `::tag` do not.
pub(crate) const fn cast_type(kind: Option<RefKind>) -> Option<FieldType> {
    match kind {
        Some(RefKind::Float) => Some(FieldType::Float),
        Some(RefKind::Integer) => Some(FieldType::Integer),
        Some(RefKind::Unsigned) => Some(FieldType::Unsigned),
        Some(RefKind::String) => Some(FieldType::String),
        Some(RefKind::Boolean) => Some(FieldType::Boolean),
        Some(RefKind::Field | RefKind::Tag) | None => None,
    }
}

/// A field with an expression and no alias.
pub(crate) const fn bare(expr: Expr) -> Field {
    Field { expr, alias: None }
}

/// InfluxDB's words for a function that does not take a type; they name its own iterators.
fn unsupported(function: &str, field_type: FieldType) -> String {
    format!("unsupported {function} iterator type: *query.{field_type}InterruptIterator")
}
