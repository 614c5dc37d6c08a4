//! The time shards of a cluster: which node has what of which.

use std::time::Duration;

use futures::future::join_all;
use model::{BucketId, NodeId, TimeRange, Timestamp};
use proto::peer;
use tokio::time::timeout;
use tonic::Request;

use crate::cluster::Cluster;
use crate::peer::links::Class;

/// How long a node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What a node has of a shard, over all partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldShard {
    /// The bucket.
    pub bucket: BucketId,
    /// The shard's time.
    pub range: TimeRange,
    /// Bytes of its files.
    pub bytes: u64,
    /// Number of its files.
    pub files: u64,
}

/// The shards of a cluster, as far as its nodes have answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllShards {
    /// What each node has.
    pub held: Vec<(NodeId, HeldShard)>,
    /// The nodes that have not answered.
    pub silent: Vec<NodeId>,
}

impl Cluster {
    /// The shards of all nodes.
    pub async fn shards(&self) -> AllShards {
        let mut all = AllShards::default();
        if let (Some(node), Some(reader)) = (self.node_id(), self.reader()) {
            all.held.extend(reader.shards().into_iter().map(|shard| (node, shard)));
        }
        let courier = self.courier();
        let asked = courier.nodes_to_ask().into_iter().map(|(id, uuid, address)| async move {
            let link = courier.links.to(uuid, &address);
            let mut request = Request::new(peer::ShardsRequest {});
            courier.route(uuid, None).attach(&mut request);
            request.set_timeout(ANSWER_WITHIN);
            let answer = async { link.client(Class::Request).ok()?.shards(request).await.ok() };
            (id, timeout(ANSWER_WITHIN, answer).await.ok().flatten())
        });
        for (id, answer) in join_all(asked).await {
            match answer {
                Some(answer) => {
                    let shards = answer.into_inner().shards.into_iter().filter_map(read);
                    all.held.extend(shards.map(|shard| (id, shard)));
                }
                None => all.silent.push(id),
            }
        }
        all
    }
}

/// What a node answers that was asked.
pub(crate) fn answer(shards: Vec<HeldShard>) -> peer::ShardsResponse {
    let message = |HeldShard { bucket, range, bytes, files }| peer::HeldShard {
        bucket: bucket.get(),
        start: range.start.0,
        end: range.end.0,
        bytes,
        files,
    };
    peer::ShardsResponse { shards: shards.into_iter().map(message).collect() }
}

fn read(shard: peer::HeldShard) -> Option<HeldShard> {
    let peer::HeldShard { bucket, start, end, bytes, files } = shard;
    let range = (start < end).then(|| TimeRange::new(Timestamp(start), Timestamp(end)))?;
    Some(HeldShard { bucket: BucketId::new(bucket)?, range, bytes, files })
}

#[cfg(test)]
mod tests;
