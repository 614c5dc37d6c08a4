//! Which spans are made, whose children they are, and who gets them.

use std::sync::Arc;
use std::time::Duration;

use model::{Clock, OrgId, Timestamp};
use parking_lot::Mutex;

use super::*;

/// A clock that a test turns.
#[derive(Debug, Default)]
struct Turned(Mutex<Duration>);

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000_000_000 + i64::try_from(self.0.lock().as_nanos()).unwrap())
    }
    fn monotonic(&self) -> Duration {
        *self.0.lock()
    }
}

#[derive(Default)]
struct Collector(Mutex<Vec<Finished>>);

impl Sink for Collector {
    fn take(&self, spans: Vec<Finished>) {
        self.0.lock().extend(spans);
    }
}

struct Bench {
    clock: Arc<Turned>,
    sink: Arc<Collector>,
    tracer: Tracer,
}

fn bench(ratio: f64) -> Bench {
    let (clock, sink) = (Arc::<Turned>::default(), Arc::<Collector>::default());
    let tracer = Tracer::new(Options {
        ratio,
        slow: Duration::from_secs(5),
        sink: Some(Arc::clone(&sink) as _),
        clock: Arc::clone(&clock) as _,
    });
    tracer.name_node("0000000000000001");
    Bench { clock, sink, tracer }
}

/// A tracer without a collector.
fn alone() -> Tracer {
    let clock = Arc::<Turned>::default();
    Tracer::new(Options { ratio: 1.0, slow: Duration::from_secs(5), sink: None, clock })
}

impl Bench {
    fn spans(&self) -> Vec<Finished> {
        std::mem::take(&mut self.sink.0.lock())
    }
}

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn caller(traceparent: &str) -> Option<Caller> {
    Caller::of_client(|name| (name == "traceparent").then_some(traceparent))
}

fn a_request(bench: &Bench, caller: Option<Caller>) -> Vec<Finished> {
    let request = bench.tracer.request(caller, false);
    request.in_scope(|| {
        let route = span("route");
        route.in_scope(|| drop(span("propose")));
    });
    drop(request);
    bench.spans()
}

fn named<'a>(spans: &'a [Finished], name: &str) -> &'a Finished {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name} in {spans:?}"))
}

#[test]
fn spans_are_children_of_what_is_current() {
    let spans = a_request(&bench(1.0), caller(SAMPLED));
    let (request, route, propose) =
        (named(&spans, "request"), named(&spans, "route"), named(&spans, "propose"));
    assert_eq!(request.parent.unwrap().to_string(), "b7ad6b7169203331");
    assert!(request.is_parent_remote && !route.is_parent_remote);
    assert_eq!(route.parent, Some(request.id));
    assert_eq!(propose.parent, Some(route.id));
    assert!(spans.iter().all(|span| span.trace.to_string() == "0af7651916cd43dd8448eb211c80319c"));
    assert!(current().is_none());
}

#[test]
fn the_caller_decides_and_else_the_ratio() {
    let count = |ratio, traceparent| a_request(&bench(ratio), caller(traceparent)).len();
    assert_eq!(count(0.0, SAMPLED), 3);
    assert_eq!(count(1.0, NOT_SAMPLED), 0);
    assert_eq!(count(0.0, ""), 0);
    assert_eq!(count(1.0, ""), 3);
    let bench = bench(0.25);
    let sampled = (0..4000).filter(|_| !a_request(&bench, None).is_empty()).count();
    assert!((800..1200).contains(&sampled), "{sampled} of 4000");
}

#[test]
fn what_failed_or_was_slow_is_told_of_though_not_sampled() {
    let bench = bench(0.0);
    let request = bench.tracer.request(None, false);
    request.in_scope(|| drop(span("route")));
    request.here().unwrap().trace.fail();
    drop(request);
    assert_eq!(bench.spans().len(), 2);
    let request = bench.tracer.request(None, false);
    *bench.clock.0.lock() += Duration::from_secs(5);
    drop(request);
    let spans = bench.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].end.0 - spans[0].start.0, 5_000_000_000);
    assert!(!spans[0].is_sampled);
}

#[test]
fn failures_are_told_of_within_limits() {
    let bench = bench(0.0);
    let fail = || bench.tracer.request(None, false).here().unwrap().trace.fail();
    (0..TAIL_PER_SECOND_MAX + 10).for_each(|_| fail());
    assert_eq!(bench.spans().len() as u64, TAIL_PER_SECOND_MAX);
    *bench.clock.0.lock() += Duration::from_secs(1);
    fail();
    assert_eq!(bench.spans().len(), 1);
}

#[test]
fn without_a_collector_nothing_is_made_but_ids_for_the_log() {
    let tracer = alone();
    assert!(!tracer.request(None, false).is_wanted());
    assert!(!tracer.request(caller(NOT_SAMPLED), false).is_wanted());
    let request = tracer.request(caller(SAMPLED), false);
    assert_eq!(request.context().unwrap().trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
    request.in_scope(|| {
        assert!(!span("route").is_wanted());
        assert!(current().unwrap().caller().is_none(), "no node is told");
    });
    assert!(!Tracer::off().request(caller(SAMPLED), true).is_wanted());
}

#[test]
fn what_a_client_asks_for_is_held_for_its_organization() {
    let tracer = alone();
    let org = OrgId::new(7).unwrap();
    let request = tracer.request(None, true);
    let trace = request.context().unwrap().trace;
    request.in_scope(|| {
        drop(span("before it is known who asks"));
        assert_eq!(tracer.collected(trace), None);
        own(org);
        let mut route = span("route");
        route.set("points", 3_u64);
        route.link(Context::from_traceparent(SAMPLED).unwrap());
        route.fail("no \"quorum\"");
    });
    let part = tracer.part(&request.caller().unwrap(), "elsewhere", Kind::Server);
    drop(part);
    let Collected { owner, spans } = tracer.collected(trace).unwrap();
    assert_eq!(owner, Some(org));
    let spans: Vec<serde_json::Value> = spans.iter().map(|s| serde_json::from_str(s).unwrap()).collect();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0]["name"], "route");
    assert_eq!(spans[0]["attributes"]["points"], 3);
    assert_eq!(spans[0]["links"][0]["spanId"], "b7ad6b7169203331");
    assert_eq!(spans[0]["error"], "no \"quorum\"");
    assert_eq!(spans[1]["parentSpanId"], request.context().unwrap().span.to_string());
}

#[test]
fn another_organization_does_not_get_into_a_trace() {
    let tracer = alone();
    let ask = |org| {
        let request = tracer.request(caller(SAMPLED), true);
        request.in_scope(|| own(OrgId::new(org).unwrap()));
        request.context().unwrap().trace
    };
    let trace = ask(1);
    assert_eq!(tracer.collected(trace).unwrap().spans.len(), 1);
    ask(2);
    let collected = tracer.collected(trace).unwrap();
    assert_eq!((collected.owner, collected.spans.len()), (OrgId::new(2), 1));
}

#[test]
fn few_traces_are_held() {
    let tracer = alone();
    let traces: Vec<TraceId> = (0..=HELD_TRACES_MAX)
        .map(|_| {
            let request = tracer.request(None, true);
            request.in_scope(|| own(OrgId::new(1).unwrap()));
            request.context().unwrap().trace
        })
        .collect();
    assert_eq!(tracer.collected(traces[0]), None);
    assert!(tracer.collected(traces[1]).is_some());
}

#[test]
fn one_work_for_several_requests_is_linked_to_each() {
    let bench = bench(0.0);
    let wanted = Context::from_traceparent(SAMPLED).unwrap();
    let unwanted = Context { is_sampled: false, ..wanted };
    assert!(!bench.tracer.linked([unwanted].into_iter(), "append").is_wanted());
    let append = bench.tracer.linked([unwanted, wanted, wanted].into_iter(), "append");
    append.here().unwrap().add("fsync", (Duration::ZERO, Duration::ZERO), Vec::new());
    drop(append);
    let spans = bench.spans();
    let append = named(&spans, "append");
    assert_eq!(append.links, [wanted, wanted]);
    assert_eq!(append.parent, None);
    assert_ne!(append.trace, wanted.trace);
    assert_eq!(named(&spans, "fsync").parent, Some(append.id));
}

#[test]
fn what_is_linked_to_a_trace_that_is_held_is_shown_in_it() {
    let tracer = alone();
    let request = tracer.request(None, true);
    request.in_scope(|| own(OrgId::new(1).unwrap()));
    drop(tracer.linked(request.context().into_iter(), "append"));
    let shown = tracer.collected(request.context().unwrap().trace).unwrap();
    assert_eq!(shown.spans.len(), 1);
    assert!(shown.spans[0].contains("\"append\""), "{shown:?}");
}

#[test]
fn a_future_is_polled_in_its_span_alone() {
    let bench = bench(1.0);
    let (one, other) = (bench.tracer.request(None, false), bench.tracer.request(None, false));
    let id = || current().map(|here| here.context().span);
    let (first, second) = (one.context().unwrap().span, other.context().unwrap().span);
    let mut asks_one = Box::pin(async { (id(), yields().await, id()) }.in_span(&one));
    let mut asks_other = Box::pin(async { (id(), yields().await, id()) }.in_span(&other));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(asks_one.as_mut().poll(&mut context).is_pending());
    assert!(id().is_none());
    assert!(asks_other.as_mut().poll(&mut context).is_pending());
    let std::task::Poll::Ready(seen) = asks_one.as_mut().poll(&mut context) else { panic!("not ready") };
    assert_eq!(seen, (Some(first), (), Some(first)));
    let std::task::Poll::Ready(seen) = asks_other.as_mut().poll(&mut context) else { panic!("not ready") };
    assert_eq!(seen, (Some(second), (), Some(second)));
}

async fn yields() {
    let mut has_yielded = false;
    std::future::poll_fn(|_| match std::mem::replace(&mut has_yielded, true) {
        false => std::task::Poll::Pending,
        true => std::task::Poll::Ready(()),
    })
    .await;
}

#[test]
fn only_a_traceparent_is_one() {
    let read = Context::from_traceparent(SAMPLED).unwrap();
    assert_eq!(read.traceparent(), SAMPLED);
    assert!(
        Context::from_traceparent("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what").is_some()
    );
    for wrong in [
        "",
        "-",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what",
        "00-zzz-b7ad6b7169203331-01",
        "é-é-é-é",
    ] {
        assert_eq!(Context::from_traceparent(wrong), None, "{wrong}");
    }
}

#[test]
fn influxdb_clients_name_their_trace_as_jaeger_does() {
    let read = |text| Caller::of_client(|name| (name == "uber-trace-id").then_some(text));
    let caller = read("8448eb211c80319c:b7ad6b7169203331:0:1").unwrap();
    assert_eq!(caller.context.traceparent(), "00-00000000000000008448eb211c80319c-b7ad6b7169203331-01");
    assert!(!read("af7651916cd43dd8448eb211c80319c:1:0:0").unwrap().context.is_sampled);
    for wrong in ["", "1:2:3", "0:1:0:1", "1:0:0:1", "1:1:0:x", "1:1:0:1:1", "g:1:0:1", "+1:1:0:1"] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

#[test]
fn peers_alone_may_ask_for_a_trace_to_be_kept_by_tracestate() {
    let headers = |name: &str| match name {
        "traceparent" => Some(NOT_SAMPLED),
        "tracestate" => Some("vendor=1, tidemark=kept,other=x"),
        _ => None,
    };
    let peer = Caller::of_peer(headers).unwrap();
    assert!(peer.context.is_kept);
    assert_eq!(peer.tracestate().unwrap(), "tidemark=kept,vendor=1,other=x");
    let client = Caller::of_client(headers).unwrap();
    assert!(!client.context.is_kept);
    assert_eq!(client.tracestate().unwrap(), "vendor=1,other=x");
}
