//! A gateway's part in the cluster: none. It has a copy of the catalog and the way to those who lead, and leaves no trace
//! when it ends.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use catalog::Catalog;
use model::Clock;
use tokio::time::{MissedTickBehavior, interval};

use super::Cluster;
use crate::courier::Courier;
use crate::error::OpenError;
use crate::fatal::Fatal;
use crate::identity::random_id;
use crate::lane::LaneMetrics;
use crate::mirror::{Follower, Mirror};
use crate::options::GatewayOptions;
use crate::peer::follow::{self, Out};
use crate::peer::links::Links;
use crate::peer::myself::{Myself, Says, VERSION};
use crate::peer::reach::{self, Reach};
use crate::peer::tls::Tls;
use crate::peer::watch::GatewayInfo;
use crate::replicas::Replicas;
use crate::tasks::TaskGroup;

/// Pause between two looks at a catalog that has not come yet.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Cluster {
    /// Serves a cluster without being one of its nodes: nothing is stored, led or voted for. Returns when the catalog
    /// has come from a node; `catalog` is empty before.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing is left running after an error.
    pub async fn open_gateway(
        options: GatewayOptions,
        clock: Arc<dyn Clock>,
        catalog: Arc<Catalog>,
        fatal: Fatal,
    ) -> Result<Arc<Self>, OpenError> {
        let GatewayOptions { initial, network, tls, address, zone, limits, progress, tracer } = options;
        let tls = tls.map(Tls::open).transpose()?.map(Arc::new);
        let id = random_id()?;
        let level = catalog.newest();
        let says = Says { zone: zone.clone(), peers_hash: 0, advertised: None, bound: None, level };
        let myself = Myself::gateway(id, says, tracer);
        let mirror = Mirror::new(Arc::clone(&catalog));
        let courier = Arc::new(Courier {
            myself: Arc::clone(&myself),
            links: Arc::new(Links::new(network, tls.clone())),
            replicas: Arc::<Replicas>::default(),
            catalog: Arc::clone(&catalog),
            clock: Arc::clone(&clock),
            limits,
            reach: Arc::<Reach>::default(),
            log: Arc::<LaneMetrics>::default(),
            hints: Default::default(),
            mirror: Some(Arc::clone(&mirror)),
            watchers: Default::default(),
            refresh: Default::default(),
            leaving: Default::default(),
        });
        let tasks = TaskGroup::new(fatal.clone());
        // Whoever waits for this may give up.
        let given_up = tasks.stop_on_drop();
        if let Some(tls) = tls {
            tasks.spawn("certificates", tls.follow());
        }
        let follower = Follower {
            courier: Arc::clone(&courier),
            mirror,
            initial,
            gateway: GatewayInfo { id, address, zone, version: VERSION.to_owned(), level },
            progress,
            fatal: fatal.clone(),
        };
        tasks.spawn("follow the catalog", follower.run());
        tasks.spawn("beacons", reach::keep(Arc::clone(&courier), tasks.clone(), fatal.clone()));
        tasks.spawn("addresses", follow::addresses(Arc::clone(&courier)));
        let mut pace = interval(LOOK_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let partitions = loop {
            pace.tick().await;
            if let Some(reason) = fatal.reason() {
                tasks.stop().await;
                return Err(OpenError::Stopped(reason));
            }
            if let Some(partitions) = catalog.read().partitions() {
                break partitions;
            }
        };
        given_up.disarm();
        Ok(Arc::new(Self {
            identity: myself.identity(),
            node_id: None,
            partitions,
            lane: None,
            replicas: Arc::clone(&courier.replicas),
            courier,
            reader: Arc::new(OnceLock::new()),
            queries: Arc::new(OnceLock::new()),
            out: Out::default(),
            clock,
            tasks,
            listening: TaskGroup::new(Fatal::default()),
            fatal,
            limits,
            is_alone: false,
        }))
    }
}
