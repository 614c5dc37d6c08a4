//! Lazy streams of tables. A stream is a recipe: nothing is read until it is opened, and each opening reads anew.

use std::rc::Rc;

use super::Table;
use super::scan::From;
use super::summary::{Function, summarized};
use crate::error::Result;
use crate::interpret::{Context, Held};
use crate::value::release::release;

/// The tables of an opened stream.
pub(crate) type Tables<'x> = Box<dyn Iterator<Item = Result<Table>> + 'x>;

type Open = dyn for<'x> Fn(&'x Context<'x>) -> Result<Tables<'x>>;

/// A table that is kept for later, charged to the query's memory until it is passed on.
pub(crate) struct Made<'x> {
    pub(crate) table: Table,
    _charged: Held<'x>,
}

impl<'x> Made<'x> {
    pub(crate) fn new(context: &'x Context<'x>, table: Table) -> Result<Self> {
        let _charged = context.hold(table.bytes())?;
        Ok(Self { table, _charged })
    }
}

/// A stream of tables. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Stream {
    source: Recipe,
    /// The time range that was asked for, if any.
    bounds: Option<(i64, i64)>,
    yielded: bool,
}

#[derive(Clone)]
enum Recipe {
    /// Stored data, with what is pushed down into the scan.
    From(Rc<From>),
    Open(Rc<Open>),
    /// Taken apart.
    Gone,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Recipe::Open(open) = &self.source
            && Rc::strong_count(open) == 1
        {
            // The recipe holds the stream that it is made from, and so on.
            release(std::mem::replace(&mut self.source, Recipe::Gone));
        }
    }
}

impl Stream {
    pub(crate) fn from(from: From) -> Self {
        Self { bounds: from.range, source: Recipe::From(Rc::new(from)), yielded: false }
    }

    pub(crate) fn new(
        bounds: Option<(i64, i64)>,
        open: impl for<'x> Fn(&'x Context<'x>) -> Result<Tables<'x>> + 'static,
    ) -> Self {
        Self { source: Recipe::Open(Rc::new(open)), bounds, yielded: false }
    }

    /// A stream of tables that exist already.
    pub(crate) fn of(tables: Vec<Table>) -> Self {
        Self::new(None, move |_| Ok(Box::new(tables.clone().into_iter().map(Ok))))
    }

    /// The scan itself, while nothing but ranges and filters has been applied.
    pub(crate) fn as_from(&self) -> Option<&From> {
        match &self.source {
            Recipe::From(from) => Some(from),
            Recipe::Open(_) | Recipe::Gone => None,
        }
    }

    pub(crate) const fn bounds(&self) -> Option<(i64, i64)> {
        self.bounds
    }

    pub(crate) const fn with_bounds(mut self, bounds: Option<(i64, i64)>) -> Self {
        self.bounds = bounds;
        self
    }

    pub(crate) const fn yielded(&self) -> bool {
        self.yielded
    }

    pub(crate) const fn into_yielded(mut self) -> Self {
        self.yielded = true;
        self
    }

    /// Opens the stream. What it is made from is one level deeper, while it is opened and whenever a table is pulled.
    pub(crate) fn open<'x>(&self, context: &'x Context<'x>) -> Result<Tables<'x>> {
        let open = match &self.source {
            Recipe::From(from) => return From::open(from, context),
            Recipe::Open(open) => open,
            Recipe::Gone => return Ok(Box::new(std::iter::empty())),
        };
        let mut tables = context.deeper(|| open(context))?;
        Ok(Box::new(std::iter::from_fn(move || context.deeper(|| tables.next().transpose()).transpose())))
    }

    /// All tables at once, charged to the query's memory while the guard lives.
    pub(crate) fn collect<'x>(&self, context: &'x Context<'x>) -> Result<(Vec<Table>, Vec<Held<'x>>)> {
        let mut tables = Vec::new();
        let mut held = Vec::new();
        for table in self.open(context)? {
            context.check_cancelled()?;
            let table = table?;
            held.push(context.hold(table.bytes())?);
            tables.push(table);
        }
        Ok((tables, held))
    }

    /// One table in, at most one out.
    pub(crate) fn map(&self, f: impl Fn(&Context<'_>, Table) -> Result<Option<Table>> + 'static) -> Self {
        self.expand(move |context, table| Ok(f(context, table)?.into_iter().collect()))
    }

    /// An aggregate or selector of this stream: over a plain scan `f` gets the tables of a summary, when the source can
    /// answer by one; else it is what `rows` makes.
    pub(crate) fn summarized(
        &self,
        function: Function,
        windows: Option<(i64, i64)>,
        f: impl Fn(&Context<'_>, Table) -> Result<Option<Table>> + 'static,
        rows: Self,
    ) -> Self {
        let Recipe::From(from) = &self.source else { return rows };
        let (from, f) = (Rc::clone(from), Rc::new(f));
        Self::new(self.bounds, move |context| {
            let Some(tables) = summarized(&from, context, function, windows)? else {
                return rows.open(context);
            };
            let f = Rc::clone(&f);
            Ok(Box::new(
                tables.filter_map(move |table| table.and_then(|table| f(context, table)).transpose()),
            ))
        })
    }

    /// One table in, any number out.
    pub(crate) fn expand(&self, f: impl Fn(&Context<'_>, Table) -> Result<Vec<Table>> + 'static) -> Self {
        let input = self.clone();
        let f = Rc::new(f);
        Self::new(self.bounds, move |context| {
            let f = Rc::clone(&f);
            let opened = input.open(context)?;
            Ok(Box::new(opened.flat_map(move |table| {
                let made = context.check_cancelled().and_then(|()| f(context, table?));
                match made {
                    Ok(tables) => Tables::from(Box::new(tables.into_iter().map(Ok))),
                    Err(error) => Box::new(std::iter::once(Err(error))),
                }
            })))
        })
    }

    /// All tables in, any number out.
    pub(crate) fn gather(
        &self,
        f: impl for<'x> Fn(&'x Context<'x>, Vec<Table>) -> Result<Vec<Made<'x>>> + 'static,
    ) -> Self {
        let input = self.clone();
        Self::new(self.bounds, move |context| {
            let (tables, held) = input.collect(context)?;
            let made = f(context, tables)?;
            // What was collected is gone, or shared with what was made, which is charged itself.
            drop(held);
            Ok(Box::new(made.into_iter().map(|made| Ok(made.table))))
        })
    }
}
