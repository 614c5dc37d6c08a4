//! One statement's session with the engine: functions and settings are the same for all, tables, memory and time are its
//! own.

use std::sync::{Arc, LazyLock};

use arrow::temporal_conversions::timestamp_ns_to_datetime;
use datafusion::catalog::CatalogProviderList as _;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, TableProvider,
};
use datafusion::common::{Result, TableReference};
use datafusion::config::Dialect;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::TaskContext;
use datafusion::execution::context::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use model::Timestamp;

use super::bounded;
use super::ends::ReadEnds;
use super::gapfill::node::Planner;
use super::gapfill::{self, HandleGapFill};
use super::lists::PlainLists;
use super::selectors;
use super::summarize::Summarize;

/// The one catalog.
pub(super) const CATALOG: &str = "public";
/// The schema of the database's own tables.
pub(super) const SCHEMA: &str = "iox";

/// What is the same for all statements.
static COMMON: LazyLock<SessionState> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_target_partitions(cores);
    let options = config.options_mut();
    // Texts are stored as offsets and bytes, and stay so.
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.time_zone = Some("+00:00".to_owned());
    let mut state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_query_planner(Arc::new(Planner))
        .with_analyzer_rule(Arc::new(PlainLists))
        .with_optimizer_rule(Arc::new(HandleGapFill))
        .with_optimizer_rule(Arc::new(Summarize))
        .build();
    bounded::register(&mut state).expect("the functions that have bounds are there");
    for function in gapfill::functions() {
        replaced(state.register_udf(function));
    }
    for function in selectors::all() {
        replaced(state.register_udaf(function));
    }
    let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![Arc::new(ReadEnds)];
    rules.extend(state.physical_optimizers().iter().cloned());
    SessionStateBuilder::new_from_existing(state).with_physical_optimizer_rules(rules).build()
});

/// Functions of ours replace none.
fn replaced<T>(before: Result<Option<T>>) {
    debug_assert!(matches!(before, Ok(None)), "a function of this name was known before");
}

/// See the module.
pub(super) struct Session {
    state: SessionState,
    catalog: Arc<MemoryCatalogProvider>,
}

impl Session {
    pub(super) fn new(memory: Arc<dyn MemoryPool>, now: Timestamp) -> Result<Self> {
        let no_disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(memory)
            .with_disk_manager_builder(no_disk)
            .build_arc()?;
        let now = timestamp_ns_to_datetime(now.0).map(|naive| naive.and_utc());
        let mut props = ExecutionProps::new();
        props.query_execution_start_time = now;
        let catalogs = MemoryCatalogProviderList::new();
        let catalog = Arc::new(MemoryCatalogProvider::new());
        catalogs.register_catalog(CATALOG.to_owned(), Arc::clone(&catalog) as _);
        catalog.register_schema(SCHEMA, Arc::new(MemorySchemaProvider::new()))?;
        let state = SessionStateBuilder::new_from_existing(COMMON.clone())
            .with_runtime_env(runtime)
            .with_execution_props(props)
            .with_catalog_list(Arc::new(catalogs))
            .build();
        Ok(Self { state, catalog })
    }

    /// Reads one statement.
    pub(super) fn parse(&self, text: &str) -> Result<Statement> {
        self.state.sql_to_statement(text, &Dialect::Generic)
    }

    /// The tables that a statement names.
    pub(super) fn tables_of(&self, statement: &Statement) -> Result<Vec<TableReference>> {
        self.state.resolve_table_references(statement)
    }

    /// Makes a table known.
    pub(super) fn register(&self, schema: &str, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        let tables = match self.catalog.schema(schema) {
            Some(tables) => tables,
            None => {
                let tables = Arc::new(MemorySchemaProvider::new());
                self.catalog.register_schema(schema, Arc::clone(&tables) as _)?;
                tables
            }
        };
        tables.register_table(name.to_owned(), table).map(drop)
    }

    pub(super) async fn plan(&self, statement: Statement) -> Result<LogicalPlan> {
        self.state.statement_to_plan(statement).await
    }

    pub(super) async fn physical(&self, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        self.state.create_physical_plan(plan).await
    }

    pub(super) fn task(&self) -> Arc<TaskContext> {
        self.state.task_ctx()
    }
}
