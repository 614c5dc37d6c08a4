//! Work is done, waits for tasks, panics, and is given up, in lockstep. (With threads tokio does all of it.)

use std::sync::atomic::AtomicUsize;

use tokio::sync::oneshot;

use super::*;

fn in_simulation(test: impl AsyncFn()) {
    run_in_lockstep();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test());
}

fn wait_here<T>(future: impl Future<Output = T>) -> T {
    wait(&Handle::current(), future)
}

#[test]
fn work_waits_for_tasks_and_gives_its_result() {
    in_simulation(async || {
        let (ask, asked) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let work = offload(move || {
            ask.send(20).unwrap();
            wait_here(answered).map(|n: i32| n + 1)
        });
        let task = async move {
            let n: i32 = asked.await.unwrap();
            tokio::task::yield_now().await;
            answer.send(n * 2).unwrap();
        };
        let (result, ()) = tokio::join!(work, task);
        assert_eq!(result.unwrap(), Ok(41));
    });
}

#[test]
fn a_panic_is_an_error() {
    in_simulation(async || {
        let gone = offload(|| panic!("no {}", 7)).await.map(|(): ()| ()).unwrap_err();
        assert!(gone.to_string().ends_with("panicked with message \"no 7\""), "{gone}");
    });
}

#[test]
fn one_thread_runs_at_a_time() {
    in_simulation(async || {
        let running = Arc::new(AtomicUsize::new(0));
        let work = |_: usize| {
            let running = Arc::clone(&running);
            offload(move || {
                for _ in 0..100 {
                    assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::yield_now();
                    assert_eq!(running.fetch_sub(1, Ordering::SeqCst), 1);
                    wait_here(tokio::task::yield_now());
                }
            })
        };
        let done = futures::future::join_all((0..8).map(work)).await;
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    });
}

#[test]
fn work_ends_with_its_runtime() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    in_simulation(async || {
        let held = Dropped(Arc::clone(&dropped));
        let (_never, waits) = oneshot::channel::<()>();
        let _work = offload(move || {
            let _held = held;
            wait_here(waits)
        });
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        assert!(!dropped.load(Ordering::SeqCst));
    });
    assert!(dropped.load(Ordering::SeqCst));
}
