//! Addresses of names, as the machine's resolver says them, or has said them when it does not answer.
//!
//! What must always hold: whoever was reached by a name can be reached again without the resolver, at the address that he
//! had; nobody waits long for a resolver while an address is known; and it is asked for one name by one at a time, and again
//! only after a while, so that many who try again do not become many questions.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::time::{Instant, timeout};

/// How long an answer is good, or that there is none.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// How long the resolver is waited for where an address is known.
const PATIENCE: Duration = Duration::from_millis(250);

type Answer = Result<Arc<[IpAddr]>, Arc<str>>;
type Question = Shared<BoxFuture<'static, Answer>>;

/// What asks the machine.
pub(crate) type Resolve = fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;

/// The machine's resolver.
pub(crate) fn by_machine(host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
    Box::pin(async move {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    })
}

#[derive(Debug)]
pub(crate) struct Names {
    resolve: Resolve,
    good_for: Duration,
    patience: Duration,
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Where somebody was reached last.
    reached: Option<IpAddr>,
    /// The last answer, and since when.
    answer: Option<(Instant, Answer)>,
    /// The question that is on its way.
    question: Option<Question>,
}

impl Names {
    pub(crate) fn new(resolve: Resolve) -> Self {
        Self { resolve, good_for: GOOD_FOR, patience: PATIENCE, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a host may be reached, the likeliest first.
    ///
    /// # Errors
    /// Nothing is known of it, and the resolver says why.
    pub(crate) async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let (question, reached) = {
            let mut known = self.known();
            let known = known.entry(host.to_owned()).or_default();
            let good = known.answer.as_ref().filter(|(since, _)| since.elapsed() < self.good_for);
            match good {
                Some((_, answer)) => (Err(answer.clone()), known.reached),
                None => (Ok(known.question.get_or_insert_with(|| self.ask(host)).clone()), known.reached),
            }
        };
        let answer = match (question, reached) {
            (Err(answer), _) => answer,
            (Ok(question), None) => self.note(host, question.await),
            (Ok(question), Some(_)) => match timeout(self.patience, question).await {
                Ok(answer) => self.note(host, answer),
                Err(_elapsed) => Ok(Arc::default()),
            },
        };
        let mut addresses = match (answer, reached) {
            (Ok(found), _) => found.to_vec(),
            (Err(_), Some(_)) => Vec::new(),
            (Err(reason), None) => return Err(io::Error::new(io::ErrorKind::NotFound, reason.to_string())),
        };
        addresses.extend(reached.filter(|reached| !addresses.contains(reached)));
        Ok(addresses)
    }

    /// Notes where a host was reached.
    pub(crate) fn reached(&self, host: &str, address: IpAddr) {
        if host.parse::<IpAddr>().is_err() {
            self.known().entry(host.to_owned()).or_default().reached = Some(address);
        }
    }

    fn ask(&self, host: &str) -> Question {
        let answer = (self.resolve)(host.to_owned());
        let answer = async move {
            match answer.await {
                Ok(found) if found.is_empty() => Err(Arc::from("the name stands for no address")),
                Ok(found) => Ok(Arc::from(found)),
                Err(error) => Err(Arc::from(error.to_string())),
            }
        };
        answer.boxed().shared()
    }

    fn note(&self, host: &str, answer: Answer) -> Answer {
        let mut known = self.known();
        let known = known.entry(host.to_owned()).or_default();
        // The first who hears it.
        if known.question.take_if(|question| question.peek().is_some()).is_some() {
            known.answer = Some((Instant::now(), answer.clone()));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static ASKED: AtomicUsize = AtomicUsize::new(0);

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    /// Says one address, then another, then that there is none, then nothing.
    fn scripted(_host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let turn = ASKED.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            match turn {
                0 => Ok(vec![HERE]),
                1 => Ok(vec!["10.0.0.2".parse().expect("an address")]),
                2 => Err(io::Error::other("no such name")),
                _ => std::future::pending().await,
            }
        })
    }

    #[tokio::test]
    async fn who_was_reached_is_reached_without_the_resolver() {
        let hour = Duration::from_secs(3600);
        let mut names = Names { good_for: hour, patience: hour, ..Names::new(scripted) };
        let asked = || ASKED.load(Ordering::Relaxed);
        assert_eq!(names.addresses("10.9.9.9").await.unwrap(), ["10.9.9.9".parse::<IpAddr>().unwrap()]);
        assert_eq!(asked(), 0, "an address is not asked for");
        let both = tokio::join!(names.addresses("node"), names.addresses("node"));
        assert_eq!((both.0.unwrap(), both.1.unwrap(), asked()), (vec![HERE], vec![HERE], 1));
        assert_eq!((names.addresses("node").await.unwrap().len(), asked()), (1, 1), "a moment ago");

        // The new address first, and the one that was reached.
        names.reached("node", HERE);
        names.good_for = Duration::ZERO;
        let addresses = names.addresses("node").await.unwrap();
        assert_eq!((addresses.len(), addresses[1], asked()), (2, HERE, 2));
        assert_eq!((names.addresses("node").await.unwrap(), asked()), (vec![HERE], 3));
        names.patience = Duration::from_millis(1);
        for _ in 0..3 {
            let addresses = names.addresses("node").await.unwrap();
            assert_eq!((addresses, asked()), (vec![HERE], 4), "the question stays on its way");
        }
    }
}
