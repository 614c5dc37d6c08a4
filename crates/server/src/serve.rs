//! The life of a node: open what is on disk, take up its part in the cluster, serve, and stop in order.
//!
//! It stops on SIGTERM or SIGINT (see [`leaving`]; requests in progress end, memtables go to files, exit 0), and on the
//! cluster's fatal signal (durable state is in doubt: nothing is flushed, exit with the reason).

use std::sync::Arc;
use std::time::Duration;

use catalog::NodeState;
use cluster::Progress;
use gateway::{Drain, Exposed, ProbeListener, Vitals, Waiting};
use host::{Listener, Network};
use model::Clock;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::config::{BindAddress, Config, Resolved, Role};
use crate::environment::Environment;
use crate::error::ServeError;
use crate::frugality::BeFrugal;
use crate::lock::DirectoryLock;
use crate::node::{Node, gateway_limits};
use crate::{metrics, telemetry, vitals};

mod greeting;
mod leaving;

use leaving::Signals;

/// How long requests in progress may go on after the signal to stop.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// Prints a line of the server's own words to standard output.
pub type Print<'a> = &'a mut dyn FnMut(&str) -> Result<(), String>;

/// Runs a node until it is told to stop.
///
/// # Errors
/// See [`ServeError`].
pub fn serve(resolved: Resolved, be_frugal: BeFrugal, print: Print<'_>) -> Result<(), ServeError> {
    let config = resolved.config;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let outcome = runtime.block_on(async {
        let telemetry = telemetry::init(&config)?;
        for warning in &resolved.warnings {
            tracing::warn!("{warning}");
        }
        let outcome = run(&config, telemetry.handle(), be_frugal, print).await;
        telemetry.shutdown().await;
        outcome
    });
    // Whatever still blocks (a query that does not look at its token) does not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run(
    config: &Config,
    telemetry: telemetry::Handle,
    be_frugal: BeFrugal,
    print: Print<'_>,
) -> Result<(), ServeError> {
    let _lock = match config.role {
        Role::Node => Some(DirectoryLock::take(&config.data_dir).map_err(|source| match source.kind() {
            std::io::ErrorKind::WouldBlock => ServeError::InUse(config.data_dir.clone()),
            _ => ServeError::DataDir { path: config.data_dir.clone(), source },
        })?),
        Role::Gateway => None,
    };
    // The address is taken first: a second node on it ends before it has touched anything.
    let listener = bind(&config.http_bind_address).await?;
    let http_address = listener.local_addr().map_err(ServeError::Runtime)?;
    let progress = Progress::default();
    let vitals = vitals::of_opening(Arc::new(model::SystemClock::new()), &progress);
    let mut signals = Signals::listen(vitals.clone())?;
    // Answers until the end.
    let exposed = Exposed::default();
    let _probes = probe_listener(config, &vitals, &exposed).await?;
    let mut turning = JoinSet::new();
    turning.spawn(vitals::turn(vitals.clone()));
    let waiting = waiting(config, &vitals);
    waiting.expose(&exposed);
    let opening = Box::pin(async {
        match config.role {
            Role::Node => {
                let peer_port = peer_port(config).await?;
                let environment = Environment::of_the_machine(config, peer_port, telemetry)?;
                Node::open(config, environment, progress.clone(), be_frugal).await
            }
            Role::Gateway => {
                let ways: (Arc<dyn Clock>, Arc<dyn Network>) =
                    (Arc::new(model::SystemClock::new()), Arc::new(host::Tcp::default()));
                Node::open_gateway(config, http_address, ways, telemetry, progress.clone(), be_frugal).await
            }
        }
    });
    let node = tokio::select! {
        biased;
        // What was acknowledged is in the log, and nothing is half open that a crash may not leave.
        () = signals.stop() => return Ok(()),
        node = waiting.serve_while(&listener, opening) => node?,
    };
    progress.wait("waiting for the first set-up");
    let set_up = tokio::select! {
        biased;
        () = signals.stop() => Ok(false),
        reason = node.fatal.raised() => Err(ServeError::Fatal(reason.to_string())),
        state = node.cluster.out() => left(state).map(|()| false),
        done = waiting.serve_while(&listener, node.set_up_as_configured(config)) => done.map(|()| true),
    };
    let result = match set_up {
        Ok(true) => serve_clients(&node, config, (listener, &exposed), (&vitals, &mut signals), print).await,
        other => other.map(drop),
    };
    node.stop(result.is_ok()).await;
    result
}

/// Serves until a signal says to stop (`Ok`) or the node must not go on (`Err`).
async fn serve_clients(
    node: &Node,
    config: &Config,
    (listener, exposed): (TcpListener, &Exposed),
    (vitals, signals): (&Vitals, &mut Signals),
    print: Print<'_>,
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(ServeError::Runtime)?;
    match config.role {
        Role::Node => {
            let (data_dir, partitions) = (config.data_dir.display(), node.cluster.partitions());
            tracing::info!(%address, %data_dir, partitions, "ready");
        }
        Role::Gateway => tracing::info!(%address, "ready as a gateway"),
    }
    greeting::greet(address, node.cluster.catalog().read().is_set_up(), print);
    let mut out = Ok(());
    let mut watching = JoinSet::new();
    watching.spawn(vitals::watch(vitals.clone(), node.status(config), Arc::clone(&node.clock)));
    let left_with = &mut out;
    let stop = async move {
        let max = tokio::select! {
            may_wait = signals.stop_after(leaving::leave(vitals, &node.cluster, config.shutdown_delay)) => {
                if may_wait { DRAIN_MAX } else { Duration::ZERO }
            }
            reason = node.fatal.raised() => {
                tracing::error!(%reason, "stopping at once");
                Duration::ZERO
            }
            state = node.cluster.out() => {
                *left_with = left(state);
                DRAIN_MAX
            }
        };
        Drain::within(max).or_until(signals.stop_at_once())
    };
    let _continuous = node.continuous(config);
    let gateway = node.gateway(config, vitals.clone());
    gateway.expose(exposed);
    gateway.serve(listener, stop).await.map_err(ServeError::Runtime)?;
    match node.fatal.reason() {
        Some(reason) => Err(ServeError::Fatal(reason.to_string())),
        None => out,
    }
}

/// How a node ends that is out of the cluster for good: well, when it was let go, so that nobody starts it again.
fn left(state: NodeState) -> Result<(), ServeError> {
    if state == NodeState::Lost {
        return Err(ServeError::GivenUp);
    }
    tracing::info!(
        "this node was decommissioned: it has left the cluster for good, and its data directory is of no more use"
    );
    Ok(())
}

/// What the node answers until it can serve.
fn waiting(config: &Config, vitals: &Vitals) -> Waiting {
    let zone = config.zone.clone();
    let role = match config.role {
        Role::Node => "node",
        Role::Gateway => "gateway",
    };
    let more_metrics = move |page: &mut ::metrics::Page| metrics::show_starting(page, role, &zone);
    Waiting::new(vitals.clone(), gateway_limits(config), !config.metrics_disabled, more_metrics)
}

/// What answers probes on a thread of its own, where that is wanted.
async fn probe_listener(
    config: &Config,
    vitals: &Vitals,
    exposed: &Exposed,
) -> Result<Option<ProbeListener>, ServeError> {
    let Some(on) = &config.probe_bind_address else { return Ok(None) };
    let listener = bind(on).await?.into_std().map_err(ServeError::Runtime)?;
    let probes =
        ProbeListener::start(listener, vitals.clone(), exposed.clone()).map_err(ServeError::Runtime)?;
    tracing::info!(address = %probes.address(), "probes");
    Ok(Some(probes))
}

/// The peer port, where there are peers.
async fn peer_port(config: &Config) -> Result<Option<Arc<dyn Listener>>, ServeError> {
    if !config.has_peers() {
        return Ok(None);
    }
    let listener = bind(&config.peer_bind_address).await?;
    let bound = listener.local_addr().map_err(ServeError::Runtime)?;
    tracing::info!(address = %bound, "peer port");
    Ok(Some(Arc::new(listener)))
}

async fn bind(on: &BindAddress) -> Result<TcpListener, ServeError> {
    let mut failure = None;
    for address in on.to_bind() {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = Some(error),
        }
    }
    let source = failure.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into());
    Err(ServeError::Bind { address: on.to_string(), source })
}
