//! Changes: what a command does to the state, record by record.
//!
//! A change is the only way the state is altered, live, when loaded from the store and when a snapshot is
//! installed; and every change has its record in the store. That is what keeps the two equal.

use model::{AuthorizationId, BucketId, ContinuousQueryId, DbrpId, FieldType, OrgId, UserId};

use crate::resources::{
    Authorization, Bucket, Cluster, ClusterNode, ContinuousQuery, Dbrp, Org, Placement, User,
};

/// One change of the state. `Put` inserts or replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The cluster's identity.
    PutCluster(Cluster),
    /// A node.
    PutNode(ClusterNode),
    /// The members of a group.
    PutPlacement(Placement),
    /// An organization.
    PutOrg(Org),
    /// An organization goes; what it holds goes by changes of its own.
    DropOrg(OrgId),
    /// A bucket.
    PutBucket(Bucket),
    /// A bucket goes, with its schema.
    DropBucket(BucketId),
    /// A user.
    PutUser(User),
    /// A user goes.
    DropUser(UserId),
    /// An authorization.
    PutAuthorization(Authorization),
    /// An authorization goes.
    DropAuthorization(AuthorizationId),
    /// A mapping.
    PutDbrp(Dbrp),
    /// A mapping goes.
    DropDbrp(DbrpId),
    /// A continuous query.
    PutContinuousQuery(ContinuousQuery),
    /// A continuous query goes.
    DropContinuousQuery(ContinuousQueryId),
    /// A measurement goes, with the types of its fields.
    DropMeasurement {
        /// The bucket.
        bucket: BucketId,
        /// The measurement.
        measurement: String,
    },
    /// The type of a field. Changes only after its measurement went.
    PutField {
        /// The bucket.
        bucket: BucketId,
        /// The measurement.
        measurement: String,
        /// The field.
        field: String,
        /// The type.
        field_type: FieldType,
    },
}
