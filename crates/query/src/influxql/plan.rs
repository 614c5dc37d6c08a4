//! SELECT to a plan: names resolved, wildcards expanded, functions checked, columns named.

use std::collections::BTreeSet;
use std::sync::Arc;

use influxql::ast::{Call, Expr, Field, Fill, RefKind, Select, VarRef};
use jiff::tz::TimeZone;
use model::FieldType;

use super::condition::{self, Bounds, Filter, TimeContext};
use super::expr::{Node, Var, VarKind};
use super::function::{self, Aggregate, Transform};
use super::names;
use super::schema::{Resolver, Table};
use super::types;
use super::validate;
use super::value;
use super::window::Windows;
use crate::error::Error;

/// A call that makes points: a field, perhaps aggregated, then transformed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CallPlan {
    pub(crate) input: Var,
    pub(crate) aggregate: Option<Aggregate>,
    /// Innermost first.
    pub(crate) transforms: Vec<Transform>,
    pub(crate) field_type: FieldType,
    /// What is said as soon as there is a point: the call does not take its type.
    pub(crate) refusal: Option<String>,
}

impl CallPlan {
    /// Whether it would have the type of its argument, which does not exist.
    pub(crate) fn has_no_type(&self) -> bool {
        self.input.kind == VarKind::Nothing
            && self.aggregate.as_ref().is_none_or(Aggregate::keeps_type)
            && self.transforms.iter().all(|transform| transform.keeps_type())
    }
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
    /// The columns that are tags of each point, when points are written of it: those that `top` and `bottom` go by.
    pub(crate) point_tags: Vec<usize>,
    pub(crate) slots: Vec<Slot>,
    /// Tags of GROUP BY, sorted; in a subquery also those of the query around.
    pub(crate) dimensions: Vec<String>,
    /// Only its own.
    pub(crate) own_dimensions: Vec<String>,
    pub(crate) windows: Windows,
    pub(crate) bounds: Bounds,
    /// What may be read at all: the range of the query around a subquery, which its transformations do not look beyond.
    pub(crate) reach: Bounds,
    pub(crate) filter: Filter,
    pub(crate) fill: Fill,
    pub(crate) ascending: bool,
    /// Where `tz()` says that the times of the answer are.
    pub(crate) zone: Option<TimeZone>,
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
    pub(crate) ascending: bool,
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
        Some(name) => match TimeZone::get(name) {
            Ok(zone) => Some(zone),
            Err(_) => return Error::invalid(format!("unable to find time zone {name}")),
        },
    };
    let time = TimeContext { now: resolver.now(), zone: zone.clone() };
    let (condition, mut bounds) = match &select.condition {
        Some(condition) => condition::split_time(condition, &time)?,
        None => (None, Bounds::ALL),
    };
    if let Some(condition) = &condition {
        validate::condition(condition)?;
    }
    let (mut every, mut window_offset) = interval(&select.dimensions, &time)?;
    let own_interval = every > 0;
    let ascending = match (&select.order, outer) {
        (Some(order), Some(outer)) if order.ascending != outer.ascending => {
            return Error::invalid("subqueries must be ordered in the same direction as the query itself");
        }
        (_, Some(outer)) => outer.ascending,
        (order, None) => order.as_ref().is_none_or(|o| o.ascending),
    };
    if let Some(outer) = outer {
        bounds = bounds.intersect(outer.bounds);
        if every == 0 {
            (every, window_offset) = (outer.every, outer.offset);
        }
    } else if own_interval && !bounds.has_max() {
        bounds.max = resolver.now().0;
    }
    let windows = Windows { every, offset: window_offset, zone: zone.clone() };
    resolver.check_databases(&select.sources)?;
    let beside = validate::fields(select, validate::Interval { every, inherited: !own_interval })?;

    // Tags first: a subquery must know them before it is compiled, wildcards after.
    let mut named: BTreeSet<String> =
        outer.map(|o| o.dimensions.iter().cloned().collect()).unwrap_or_default();
    let mut own_dimensions = Vec::new();
    for dimension in &select.dimensions {
        if let Expr::Var(var) = dimension {
            named.insert(var.name.clone());
            own_dimensions.push(var.name.clone());
        }
    }
    let mut grouping = named.clone();
    for field in &select.fields {
        // `top` and `bottom` go by tags of what they read.
        if let Expr::Call(call) = &field.expr {
            grouping.extend(ranking_tags(call).map(|var| var.name.clone()));
        }
    }
    let for_inner = Outer {
        bounds: bounds.with_windows_beside(beside, every, ascending),
        dimensions: grouping.into_iter().collect(),
        every,
        offset: window_offset,
        ascending,
    };
    let schema = resolver.schema(&select.sources, bounds, &for_inner, needs_tags(select))?;
    for dimension in &select.dimensions {
        match dimension {
            Expr::Wildcard(_) => own_dimensions.extend(schema.dimensions.iter().cloned()),
            Expr::Regex(pattern) => {
                own_dimensions.extend(schema.dimensions.iter().filter(|t| pattern.is_match(t)).cloned());
            }
            _ => {}
        }
    }
    named.extend(own_dimensions.iter().cloned());
    let kind = |var: &VarRef| schema.kind(var);
    // What a subquery does not answer is a tag that is not there.
    let condition_kind = |var: &VarRef| match kind(var) {
        VarKind::NoTag => VarKind::Tag,
        VarKind::Nothing if cast_type(var.kind).is_none() && var.kind != Some(RefKind::Field) => VarKind::Tag,
        known => known,
    };
    let (time_name, fields) = names::without_time(&select.fields);
    let chosen = select.dimensions.iter().any(|d| matches!(d, Expr::Wildcard(_) | Expr::Regex(_)));
    let fields = names::expand(&fields, &schema, &own_dimensions, !chosen)?;
    let is_tag = |name: &str| resolver.has_tag(&schema, name, bounds);
    if outer.is_none() {
        // In a subquery, what does not fit together is null.
        let types = types::Types { kind: &kind, is_tag: &is_tag };
        fields.iter().try_for_each(|field| types.check(&field.expr))?;
    }
    let mut builder = Builder {
        kind: &kind,
        is_tag: &is_tag,
        is_inner: outer.is_some(),
        slots: Vec::new(),
        fillable: Vec::new(),
        every,
        limit: select.limit,
    };
    let (mut columns, mut point_tags) = (Vec::new(), Vec::new());
    for field in &fields {
        let node = builder.node(&field.expr)?;
        columns.push((names::wished(field), node));
        let first = columns.len();
        builder.extra_columns(&field.expr, &mut columns);
        point_tags.extend((first..columns.len()).filter(|at| builder.is_tag(&columns[*at].1)));
    }
    let fillable = std::mem::take(&mut builder.fillable);
    let mut slots = builder.slots;
    fill_unknown(&mut slots, &fillable, select.fill, &is_tag)?;
    let columns = match outer {
        // The query around a subquery sees the first column of a name.
        Some(_) => columns.into_iter().map(|(wished, node)| (wished.name, node)).collect(),
        // What are tags of the points that are written take no name from their fields.
        None if select.target.is_some() => {
            let (tags, fields): (Vec<_>, Vec<_>) =
                columns.into_iter().enumerate().partition(|(at, _)| point_tags.contains(at));
            let mut named = names::distinct(fields.into_iter().map(|(_, column)| column).collect());
            for (at, (wished, node)) in tags {
                named.insert(at.min(named.len()), (wished.name, node));
            }
            named
        }
        None => names::distinct(columns),
    };
    let columns = columns
        .into_iter()
        .map(|(name, node): (Arc<str>, Node)| {
            let field_type = node.field_type(&|i| slots.get(i).map_or(FieldType::Float, Slot::field_type));
            OutColumn { name, node, field_type }
        })
        .collect();
    Ok(Plan {
        filter: condition::compile(condition.as_ref(), &condition_kind, schema.stored_only)?,
        inputs: schema.inputs,
        time_name,
        columns,
        point_tags,
        slots,
        dimensions: named.into_iter().collect(),
        own_dimensions,
        windows,
        bounds,
        reach: outer.map_or(Bounds::ALL, |outer| outer.bounds),
        fill: inner_fill(select.fill, outer.is_some() || select.target.is_some()),
        ascending,
        zone,
        limit: select.limit,
        offset: select.offset,
        slimit: select.slimit,
        soffset: select.soffset,
    })
}

/// As in InfluxDB, `fill(number)` fills variables too that are neither fields nor tags, where others have rows.
fn fill_unknown(
    slots: &mut [Slot],
    fillable: &[usize],
    fill: Fill,
    is_tag: &dyn Fn(&str) -> Result<bool, Error>,
) -> Result<(), Error> {
    let number = match fill {
        Fill::Integer(_) => FieldType::Integer,
        Fill::Number(_) => FieldType::Float,
        Fill::Null | Fill::None | Fill::Previous | Fill::Linear => return Ok(()),
    };
    let mut unknown = Vec::new();
    for (at, slot) in slots.iter().enumerate() {
        if let Slot::Var(Var { kind: kind @ (VarKind::Tag | VarKind::Nothing), name, .. }) = slot
            && fillable.contains(&at)
            && (*kind == VarKind::Nothing || !is_tag(name)?)
        {
            unknown.push(at);
        }
    }
    if unknown.len() == slots.len() {
        return Ok(());
    }
    for at in unknown {
        if let Some(Slot::Var(var)) = slots.get_mut(at) {
            var.kind = VarKind::Filler(number);
        }
    }
    Ok(())
}

/// A subquery does not fill with nulls, and nothing writes them: nobody would see them.
fn inner_fill(fill: Fill, is_unseen: bool) -> Fill {
    if is_unseen && fill == Fill::Null { Fill::None } else { fill }
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
pub(super) fn interval(dimensions: &[Expr], time: &TimeContext) -> Result<(i64, i64), Error> {
    let mut found = (0, 0);
    for dimension in dimensions {
        match strip(dimension) {
            Expr::Var(var) if var.name.eq_ignore_ascii_case("time") => {
                return Error::invalid("time() is a function and expects at least one argument");
            }
            Expr::Var(_) | Expr::Wildcard(_) | Expr::Regex(_) => {}
            Expr::Call(call) if call.name != "time" => {
                return Error::invalid("only time() calls allowed in dimensions");
            }
            Expr::Call(call) => {
                let next = time_dimension(call, time)?;
                if found.0 != 0 {
                    return Error::invalid("multiple time dimensions not allowed");
                }
                found = next;
            }
            _ => return Error::invalid("only time and tag dimensions allowed"),
        }
    }
    Ok(found)
}

fn time_dimension(call: &Call, time: &TimeContext) -> Result<(i64, i64), Error> {
    let every = match call.args.as_slice() {
        // As in InfluxDB `time(0s)` cuts nothing.
        [Expr::Duration(d)] | [Expr::Duration(d), _] if *d >= 0 => *d,
        [Expr::Duration(_)] | [Expr::Duration(_), _] => {
            return Error::invalid("time dimension must have a positive duration");
        }
        [_] | [_, _] => return Error::invalid("time dimension must have duration argument"),
        _ => return Error::invalid("time dimension expected 1 or 2 arguments"),
    };
    if every == 0 {
        return Ok((0, 0));
    }
    let offset = match call.args.get(1) {
        None => 0,
        Some(Expr::Duration(d)) => d % every,
        Some(Expr::Call(now)) if now.name != "now" => {
            return Error::invalid("time dimension offset function must be now()");
        }
        Some(Expr::Call(now)) if !now.args.is_empty() => {
            return Error::invalid("time dimension offset now() function requires no arguments");
        }
        Some(Expr::Call(_)) => time.now.0.rem_euclid(every),
        Some(Expr::String(text)) => match influxql::timeliteral::parse(text, time.zone.as_ref()) {
            Some(t) => t.0.rem_euclid(every),
            None => return Error::invalid("time dimension offset must be duration or now()"),
        },
        Some(_) => return Error::invalid("time dimension offset must be duration or now()"),
    };
    Ok((every, offset))
}

struct Builder<'a> {
    kind: &'a dyn Fn(&VarRef) -> VarKind,
    is_tag: &'a dyn Fn(&str) -> Result<bool, Error>,
    /// It is a subquery, whose columns have types.
    is_inner: bool,
    slots: Vec<Slot>,
    /// The variables among them that are not asked for as tags.
    fillable: Vec<usize>,
    every: i64,
    limit: u64,
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

    /// Whether an expression is a tag.
    fn is_tag(&self, node: &Node) -> bool {
        let Node::Slot(at) = node else { return false };
        matches!(self.slots.get(*at), Some(Slot::Var(Var { kind: VarKind::Tag, .. })))
    }

    fn node(&mut self, expr: &Expr) -> Result<Node, Error> {
        use model::FieldValue as V;
        Ok(match expr {
            Expr::Paren(inner) => self.node(inner)?,
            Expr::Var(var) => {
                let is_asked_as_tag = var.kind == Some(RefKind::Tag);
                let var = if self.is_inner { self.argument(var)? } else { self.var(var) };
                let node = self.var_slot(var);
                if let (Node::Slot(slot), false) = (&node, is_asked_as_tag) {
                    self.fillable.push(*slot);
                }
                node
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
        if value::math_arity(&call.name).is_some() {
            let args = call.args.iter().map(|arg| self.node(arg)).collect::<Result<_, _>>()?;
            return Ok(Node::Math(call.name.as_str().into(), args));
        }
        let plan = self.call_plan(call)?;
        let known = self.slots.iter().position(|slot| matches!(slot, Slot::Call(known) if *known == plan));
        Ok(known.map_or_else(|| self.slot(Slot::Call(plan)), Node::Slot))
    }

    /// The argument of a call: what is neither a field nor a tag is nothing.
    fn argument(&self, var: &VarRef) -> Result<Var, Error> {
        let mut input = self.var(var);
        if input.kind == VarKind::Tag && var.kind != Some(RefKind::Tag) && !(self.is_tag)(&var.name)? {
            input.kind = VarKind::Nothing;
        }
        Ok(input)
    }

    fn call_plan(&mut self, call: &Call) -> Result<CallPlan, Error> {
        if function::is_transform(&call.name) {
            return self.transform_plan(call);
        }
        let Some(mut aggregate) = function::aggregate(call, self.limit)? else {
            return Error::invalid(format!("undefined function {}()", call.name));
        };
        let no_field = || Error::Invalid(format!("expected field argument in {}()", call.name));
        let distinct = match call.args.first().map(strip) {
            Some(Expr::Distinct(name)) => Some(VarRef { name: name.clone(), kind: None }),
            Some(Expr::Call(Call { name, args })) if name == "distinct" => match args.first().map(strip) {
                Some(Expr::Var(var)) => Some(var.clone()),
                _ => None,
            },
            _ => None,
        };
        let input = match (call.args.first().map(strip), distinct) {
            (Some(Expr::Var(var)), _) => self.argument(var)?,
            (_, Some(var)) if aggregate == Aggregate::Count => {
                aggregate = Aggregate::CountDistinct;
                self.argument(&var)?
            }
            _ => return Err(no_field()),
        };
        // Tags have no points, but where subqueries answer them.
        let from = input.field_type();
        let (field_type, refusal) = match aggregate.result_type(from) {
            Some(field_type) => (field_type, None),
            None if aggregate.keeps_type() => (from, Some(unsupported(&call.name, from))),
            None => (FieldType::Float, Some(unsupported(&call.name, from))),
        };
        Ok(CallPlan { input, aggregate: Some(aggregate), transforms: Vec::new(), field_type, refusal })
    }

    fn transform_plan(&mut self, call: &Call) -> Result<CallPlan, Error> {
        let name = &call.name;
        let transform = function::transform(call, self.every)?;
        let mut plan = match call.args.first().map(strip) {
            Some(Expr::Call(inner)) => self.call_plan(inner)?,
            Some(Expr::Var(var)) => {
                let input = self.argument(var)?;
                let field_type = input.field_type();
                CallPlan { input, aggregate: None, transforms: Vec::new(), field_type, refusal: None }
            }
            _ => return Error::invalid(format!("expected field argument in {name}()")),
        };
        let numeric = !matches!(plan.field_type, FieldType::String | FieldType::Boolean);
        if !numeric && !matches!(transform, Transform::Elapsed(_)) {
            let refusal = unsupported(name, plan.field_type);
            plan.refusal.get_or_insert(refusal);
        }
        plan.field_type = transform.result_type(plan.field_type);
        plan.transforms.push(transform);
        Ok(plan)
    }

    /// `top(f, tag, n)` shows the tags as columns behind its own.
    fn extra_columns(&mut self, expr: &Expr, columns: &mut Vec<(names::Wished, Node)>) {
        let Expr::Call(call) = expr else { return };
        for tag in ranking_tags(call) {
            let var = self.var(tag);
            let name = Arc::clone(&var.name);
            columns.push((names::Wished { name, alias: false }, self.var_slot(var)));
        }
    }
}

/// The tags of `top(field, tag.., n)` and `bottom`.
fn ranking_tags(call: &Call) -> impl Iterator<Item = &VarRef> {
    let last = call.args.len().saturating_sub(1);
    let args = match call.name.as_str() {
        "top" | "bottom" => call.args.get(1..last).unwrap_or_default(),
        _ => &[],
    };
    args.iter().filter_map(|arg| if let Expr::Var(var) = arg { Some(var) } else { None })
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

/// An expression without the parentheses around it.
pub(crate) fn strip(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) => strip(inner),
        other => other,
    }
}

/// InfluxDB's words for a function that does not take a type; they name its own iterators.
fn unsupported(function: &str, field_type: FieldType) -> String {
    let function = match function {
        "holt_winters" | "holt_winters_with_fit" => "elapsed".to_owned(),
        function => function.strip_prefix("non_negative_").unwrap_or(function).replace('_', " "),
    };
    format!("unsupported {function} iterator type: *query.{field_type}InterruptIterator")
}
