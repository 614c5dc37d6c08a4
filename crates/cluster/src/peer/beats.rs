//! Heartbeats to one node: those of all groups that are led here go together, a few times in the time of one heartbeat.
//! Alone, each would cost a call, and idle groups would cost as much as busy ones.
//!
//! They are larger than a packet: whoever gets them can also be sent entries.
//!
//! What must always hold: a heartbeat waits a quarter of the time between two at most, and not at all when a read waits
//! for it; none waits for the answer to another. Those that go together fail together when who sends them is ended, as the
//! packet of one heartbeat may be lost.

use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message as _;
use proto::peer::{self, beat_answer};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use tonic::{Request, Status};

use super::links::{Class, Link, padding};
use super::route::{Refusal, Route};

/// Heartbeats that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Beats {
    waiting: Mutex<Vec<Waiting>>,
    /// Told that one is not to wait.
    hurry: Notify,
}

#[derive(Debug)]
struct Waiting {
    beat: peer::Beat,
    tell: oneshot::Sender<Result<peer::AppendResponse, Status>>,
}

/// Whoever was the first to wait sends for all. When he gives up before, they know at once, and another is the first.
struct Turn<'a>(&'a Beats);

impl Turn<'_> {
    fn take(self) -> Vec<Waiting> {
        let waiting = std::mem::take(&mut *self.0.waiting.lock());
        std::mem::forget(self);
        waiting
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.waiting.lock().clear();
    }
}

impl Link {
    /// Sends a heartbeat, with others that are to go to the same node, and answers what its group there says. The time
    /// is that between two heartbeats.
    pub(crate) async fn beat(
        &self,
        route: Route,
        beat: peer::Beat,
        every: Duration,
        is_awaited: bool,
    ) -> Result<peer::AppendResponse, Status> {
        let (tell, told) = oneshot::channel();
        let is_first = {
            let mut waiting = self.beats.waiting.lock();
            waiting.push(Waiting { beat, tell });
            waiting.len() == 1
        };
        if is_awaited {
            self.beats.hurry.notify_one();
        }
        if is_first {
            self.send_beats(route, every).await;
        }
        told.await.unwrap_or_else(|_ended| Err(Status::cancelled("who was to send the heartbeat has ended")))
    }

    /// Sends all that wait, soon.
    async fn send_beats(&self, route: Route, every: Duration) {
        let turn = Turn(&self.beats);
        let _elapsed = timeout(every / 4, self.beats.hurry.notified()).await;
        let waiting = turn.take();
        let (beats, mut tells): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|Waiting { beat, tell }| (beat, Some(tell))).unzip();
        let answered = timeout(every, self.call_beats(route, beats, &mut tells)).await;
        let status = match answered {
            Ok(Ok(())) => Status::unavailable("the node has answered for other groups only"),
            Ok(Err(status)) => status,
            Err(_late) => Status::deadline_exceeded("the member does not answer"),
        };
        for tell in tells.into_iter().flatten() {
            // Whoever does not wait any more has given up.
            let _given_up = tell.send(Err(status.clone()));
        }
    }

    async fn call_beats(
        &self,
        route: Route,
        beats: Vec<peer::Beat>,
        tells: &mut [Option<oneshot::Sender<Result<peer::AppendResponse, Status>>>],
    ) -> Result<(), Status> {
        let message = peer::HeartbeatRequest { beats, padding: Bytes::new() };
        let padding = padding(message.encoded_len());
        let mut call = Request::new(peer::HeartbeatRequest { padding, ..message });
        route.attach(&mut call);
        let mut answers = self.client(Class::Heartbeat)?.heartbeat(call).await?.into_inner();
        while let Some(message) = answers.message().await? {
            for peer::BeatAnswer { beat, result } in message.answers {
                let tell = usize::try_from(beat).ok().and_then(|at| tells.get_mut(at)).and_then(Option::take);
                if let Some(tell) = tell {
                    let _given_up = tell.send(read(result));
                }
            }
        }
        Ok(())
    }
}

fn read(result: Option<beat_answer::Result>) -> Result<peer::AppendResponse, Status> {
    match result {
        Some(beat_answer::Result::Answer(answer)) => Ok(answer),
        Some(beat_answer::Result::Refused(name)) => Err(Refusal::named(&name).map_or_else(
            || Status::failed_precondition("the node refuses, for a reason that is not known here"),
            Status::from,
        )),
        Some(beat_answer::Result::Failed(reason)) => Err(Status::unavailable(reason)),
        None => Err(Status::unavailable("an empty answer")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt as _;
    use tonic::Code;

    use super::*;
    use crate::peer::links::Links;

    const EVERY: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn all_that_wait_hear_what_came_of_it_and_none_is_forgotten() {
        // Nobody listens there.
        let link = Links::new(Arc::new(host::Tcp::default()), None).to(1, "127.0.0.1:1");
        let route = Route { cluster: 1, from_node: 2, to_node: 1, within: None };
        let beat = |is_awaited| link.beat(route, peer::Beat::default(), EVERY, is_awaited);
        let code = |answer: Result<_, Status>| answer.err().map(|status| status.code());
        let (first, second, third) = tokio::join!(beat(false), beat(false), beat(true));
        assert_eq!([first, second, third].map(code), [Some(Code::Unavailable); 3]);

        // The first gives up while it waits for more: the second knows, and the third begins anew.
        let mut first = Box::pin(beat(false));
        assert!((&mut first).now_or_never().is_none());
        let mut second = Box::pin(beat(false));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert_eq!(code(second.await), Some(Code::Cancelled));
        assert_eq!(code(beat(true).await), Some(Code::Unavailable));
        assert!(link.beats.waiting.lock().is_empty());
    }
}
