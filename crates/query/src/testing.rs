//! A source of data for tests: points in maps, scanned in the plainest way that obeys the contract.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use catalog::{Bucket, BucketKind, Command, Dbrp, FieldSpec, Org, Response, State};
use memory::Account;
use model::{
    BucketId, Column, ColumnType, DbrpId, FieldSelection, FieldType, FieldValue, OrgId, ScanRequest,
    SchemaQuestion, SchemaRequest, SeriesBlock, SeriesKey, Timestamp,
};

use crate::profile::{Part, Profiler};
use crate::source::{ScanError, ScanSource, ScanStream};

/// Memory that no test uses up.
pub(crate) static MEMORY: LazyLock<Arc<Account>> = LazyLock::new(|| Account::new("queries", usize::MAX, 0));

/// Does the work, and says of one part that there was.
pub(crate) struct Unwatched;

impl Profiler for Unwatched {
    fn profile(&self, work: &mut dyn FnMut()) -> Vec<Part> {
        work();
        let about = vec![("blocks".to_owned(), "3".to_owned()), ("shards".to_owned(), "0,1".to_owned())];
        let (name, node) = ("exec.fragment".to_owned(), "2".to_owned());
        vec![Part { id: "1".to_owned(), name, node, about, ..Part::default() }]
    }
}

pub(crate) fn org() -> OrgId {
    OrgId::new(1).unwrap()
}

pub(crate) fn bucket_id(n: u64) -> BucketId {
    BucketId::new(n).unwrap()
}

type Fields = BTreeMap<String, BTreeMap<i64, FieldValue>>;

/// The points, by bucket and series.
#[derive(Debug, Default)]
pub(crate) struct Points {
    buckets: BTreeMap<BucketId, BTreeMap<SeriesKey, Fields>>,
    /// Rows per block, small so that series come in several blocks.
    pub(crate) block_rows: usize,
}

impl Points {
    pub(crate) fn put(
        &mut self,
        bucket: BucketId,
        key: &SeriesKey,
        field: &str,
        time: i64,
        value: FieldValue,
    ) {
        let series = self.buckets.entry(bucket).or_default().entry(key.clone()).or_default();
        series.entry(field.to_owned()).or_default().insert(time, value);
    }

    /// Line protocol without escapes or spaces in strings.
    pub(crate) fn put_lines(&mut self, bucket: BucketId, lines: &str) {
        for line in lines.lines().filter(|l| !l.is_empty()) {
            let mut parts = line.split(' ');
            let mut key = parts.next().unwrap().split(',');
            let measurement = key.next().unwrap();
            let tags: Vec<_> = key.map(|t| t.split_once('=').unwrap()).collect();
            let key = SeriesKey::new(measurement, &tags).unwrap();
            let fields = parts.next().unwrap();
            let time = parts.next().unwrap().parse().unwrap();
            for field in fields.split(',') {
                let (name, text) = field.split_once('=').unwrap();
                let value = match text {
                    "true" => FieldValue::Boolean(true),
                    "false" => FieldValue::Boolean(false),
                    _ if text.starts_with('"') => FieldValue::String(text.trim_matches('"').to_owned()),
                    _ if text.ends_with('i') => {
                        FieldValue::Integer(text.trim_end_matches('i').parse().unwrap())
                    }
                    _ => FieldValue::Float(text.parse().unwrap()),
                };
                self.put(bucket, &key, name, time, value);
            }
        }
    }

    /// A catalog that knows the buckets (by name) and every field of the points.
    pub(crate) fn catalog(&self, buckets: &[(u64, &str, Option<i64>)], dbrps: &[(&str, &str, u64)]) -> State {
        let at = Timestamp(0);
        let mut commands = vec![Command::CreateOrg {
            org: Org {
                id: org(),
                name: "o".to_owned(),
                description: String::new(),
                created_at: at,
                updated_at: at,
            },
            buckets: Vec::new(),
            owner: None,
        }];
        for (id, name, retention_ns) in buckets {
            let kind = if name.starts_with('_') { BucketKind::System } else { BucketKind::User };
            commands.push(Command::CreateBucket {
                bucket: Bucket {
                    id: bucket_id(*id),
                    org: org(),
                    name: (*name).to_owned(),
                    description: String::new(),
                    kind,
                    retention_ns: *retention_ns,
                    shard_duration_ns: Bucket::default_shard_duration_ns(*retention_ns),
                    created_at: at,
                    updated_at: at,
                },
            });
        }
        for (i, (database, policy, bucket)) in dbrps.iter().enumerate() {
            commands.push(Command::CreateDbrp {
                dbrp: Dbrp {
                    id: DbrpId::new(i as u64 + 1).unwrap(),
                    org: org(),
                    database: (*database).to_owned(),
                    retention_policy: (*policy).to_owned(),
                    default: true,
                    bucket: bucket_id(*bucket),
                },
            });
        }
        let mut state = State::default();
        let mut types: BTreeMap<(BucketId, String, String), FieldType> = BTreeMap::new();
        for (bucket, series) in &self.buckets {
            for (key, fields) in series {
                for (name, values) in fields {
                    let value = values.values().next().unwrap();
                    let id = (*bucket, key.measurement().to_owned(), name.clone());
                    types.entry(id).or_insert_with(|| value.field_type());
                }
            }
        }
        for ((bucket, measurement, field), field_type) in types {
            let fields = vec![FieldSpec { measurement, field, field_type }];
            commands.push(Command::RegisterFields { bucket, fields });
        }
        for command in &commands {
            let response = catalog::apply(&mut state, command);
            assert!(!matches!(response, Response::Refused(_)), "{command:?}: {response:?}");
        }
        state
    }
}

impl ScanSource for Points {
    fn scan(&self, request: &ScanRequest) -> Result<ScanStream, ScanError> {
        let mut blocks = Vec::new();
        for (key, fields) in self.buckets.get(&request.bucket).into_iter().flatten() {
            let accepted: Vec<_> =
                fields.iter().filter(|(name, _)| request.predicate.accepts(key, name)).collect();
            let is_wanted = |(name, _): &&(&String, _)| request.fields.contains(name);
            let wanted: Vec<_> = accepted.iter().copied().filter(|field| is_wanted(&field)).collect();
            let rows_of = match request.fields {
                FieldSelection::InAllRows(_) => &accepted,
                FieldSelection::All | FieldSelection::Names(_) => &wanted,
            };
            let times: BTreeSet<i64> = rows_of
                .iter()
                .flat_map(|(_, values)| values.keys().copied())
                .filter(|t| request.range.contains(Timestamp(*t)))
                .collect();
            let times: Vec<i64> = times.into_iter().collect();
            for times in times.chunks(self.block_rows.max(1)) {
                let mut columns = Vec::new();
                for (name, values) in &wanted {
                    let field_type = values.values().next().unwrap().field_type();
                    let mut column = Column::empty(ColumnType::Field(field_type));
                    for time in times {
                        match values.get(time) {
                            Some(value) => column.push(value),
                            None => column.push_null(),
                        }
                    }
                    if column.null_count() < times.len() {
                        columns.push((Arc::from(name.as_str()), column));
                    }
                }
                blocks.push(Ok(SeriesBlock { key: key.clone(), times: times.to_vec(), fields: columns }));
            }
        }
        Ok(Box::new(blocks.into_iter()))
    }

    fn schema(&self, request: &SchemaRequest) -> Result<Vec<String>, ScanError> {
        let mut names = BTreeSet::new();
        for (key, fields) in self.buckets.get(&request.bucket).into_iter().flatten() {
            let accepted = fields.iter().filter(|(name, values)| {
                request.predicate.accepts(key, name)
                    && values.keys().any(|t| request.range.contains(Timestamp(*t)))
            });
            for (name, _) in accepted {
                match &request.question {
                    SchemaQuestion::Measurements => {
                        names.insert(key.measurement().to_owned());
                    }
                    SchemaQuestion::TagKeys => names.extend(key.tags().map(|(k, _)| k.to_owned())),
                    SchemaQuestion::TagValues(tag) => names.extend(key.tag(tag).map(str::to_owned)),
                    SchemaQuestion::FieldKeys => {
                        names.insert(name.clone());
                    }
                    SchemaQuestion::Series => {
                        names.insert(key.to_string());
                    }
                }
            }
        }
        Ok(names.into_iter().collect())
    }
}
