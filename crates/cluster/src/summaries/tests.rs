//! What a node sends that computes for another, and that it stops when nobody listens.

use std::sync::mpsc;

use model::summary::{Windows, of_blocks};
use model::{
    BucketId, Ends, FieldSelection, Grouping, Predicate, ScanRequest, SchemaRequest, SeriesKey, TimeRange,
    Wanted,
};
use model::{Column, SeriesBlock, Values};

use super::*;
use crate::reads::Blocks;

fn request() -> SummaryRequest {
    SummaryRequest {
        scan: ScanRequest {
            bucket: BucketId::new(7).unwrap(),
            range: TimeRange::ALL,
            predicate: Predicate::Constant(true),
            fields: FieldSelection::All,
        },
        windows: Windows::One,
        wanted: Wanted { count: true, ..Wanted::default() },
        grouping: Grouping::Series,
        cells_max: 100,
        rows_max: 100,
    }
}

/// What the reader does.
enum Does {
    /// It answers for these partitions.
    Answers(Vec<u16>),
    Refuses(ReadError),
    /// It computes until it is stopped, and says so.
    Works(mpsc::Sender<()>),
}

impl Reader for Does {
    fn shards(&self) -> Vec<crate::HeldShard> {
        Vec::new()
    }

    fn scan(&self, _: &[PartitionId], _: &ScanRequest, _: Option<Ends>) -> Result<Blocks, ReadError> {
        Err(ReadError::Failed("not asked for".to_owned()))
    }

    fn schema(&self, _: &[PartitionId], _: &SchemaRequest) -> Result<Vec<String>, ReadError> {
        Err(ReadError::Failed("not asked for".to_owned()))
    }

    fn summarize(
        &self,
        _: &[PartitionId],
        request: &SummaryRequest,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<PartitionSummary>, ReadError> {
        match self {
            Self::Answers(partitions) => Ok(partitions.iter().map(|p| summary(*p, request)).collect()),
            Self::Refuses(error) => Err(error.clone()),
            Self::Works(stopped) => {
                while !stop() {
                    std::thread::yield_now();
                }
                stopped.send(()).unwrap();
                Ok(Vec::new())
            }
        }
    }
}

fn summary(partition: u16, request: &SummaryRequest) -> PartitionSummary {
    let block = SeriesBlock {
        key: SeriesKey::new("m", &[("p", &*partition.to_string())]).unwrap(),
        times: vec![1, 2],
        fields: vec![("v".into(), Column { values: Values::Integer(vec![3, 4]), valid: None })],
    };
    let groups = of_blocks::<TooLarge>(request, std::iter::once(Ok(block))).unwrap();
    PartitionSummary { partition: PartitionId(partition), groups, held: Box::new(()) }
}

async fn sent(does: Does, asked: &[u16]) -> Vec<Result<Part, tonic::Code>> {
    let asked = asked.iter().map(|p| PartitionId(*p)).collect();
    let parts: Vec<_> = for_peer(Arc::new(does), asked, request(), Span::default()).collect().await;
    let part = |part: Result<peer::SummaryPart, Status>| part.map(|p| p.part.unwrap()).map_err(|s| s.code());
    parts.into_iter().map(part).filter(|part| !matches!(part, Ok(Part::Beat(_)))).collect()
}

#[tokio::test]
async fn partitions_come_once_each_in_their_order() {
    let sent = sent(Does::Answers(vec![2, 7]), &[7, 0, 2, 2]).await;
    let groups = |part: &Result<Part, _>| match part {
        Ok(Part::Groups(groups)) => (groups.partition, groups.groups.len(), groups.rows, groups.is_last),
        other => panic!("{other:?}"),
    };
    let seen: Vec<_> = sent.iter().map(groups).collect();
    assert_eq!(seen, [(0, 0, 0, true), (2, 1, 2, true), (7, 1, 2, true)]);
}

#[tokio::test]
async fn limits_and_errors_are_told_as_what_they_are() {
    let refused = |error| sent(Does::Refuses(error), &[0, 1]);
    assert_eq!(refused(TooLarge::Cells(5).into()).await, [Ok(Part::TooManyCells(5))]);
    assert_eq!(refused(TooLarge::Rows(6).into()).await, [Ok(Part::TooManyRows(6))]);
    let busy = ReadError::Unavailable { partition: PartitionId(0), reason: "busy".to_owned() };
    assert_eq!(refused(busy).await, [Err(tonic::Code::Unavailable)]);
    assert_eq!(refused(ReadError::Failed("broken".to_owned())).await, [Err(tonic::Code::Internal)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_computes_for_who_is_gone() {
    let (stopped, is_stopped) = mpsc::channel();
    let mut parts =
        for_peer(Arc::new(Does::Works(stopped)), vec![PartitionId(0)], request(), Span::default());
    // It says that it is there.
    assert!(matches!(parts.next().await.unwrap().unwrap().part, Some(Part::Beat(_))));
    drop(parts);
    let waited = tokio::task::spawn_blocking(move || is_stopped.recv_timeout(Duration::from_secs(60)));
    waited.await.unwrap().unwrap();
}
