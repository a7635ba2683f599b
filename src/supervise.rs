//! Named tasks and threads: a panic is logged, counted and, where asked, the task started again.
//!
//! The only file that may spawn. What is not in a named task cannot fail unseen.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

/// How long a task that panicked rests before it starts again, so that a bug cannot burn a core.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Panics caught since the process started, for `/metrics`.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Runs `work` once as a task; a panic in it is logged and counted and ends that task alone.
#[allow(clippy::disallowed_methods, reason = "the one place that spawns")]
pub fn spawn<F>(name: &'static str, work: F) -> JoinHandle<Option<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(async move { caught(name, work).await })
}

/// Runs the work that `make` makes until one run ends by itself; a run that panics is logged, counted and made again.
#[allow(clippy::disallowed_methods, reason = "the one place that spawns")]
pub fn keep<M, F>(name: &'static str, mut make: M) -> JoinHandle<()>
where
    M: FnMut() -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        while caught(name, make()).await.is_none() {
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    })
}

/// Runs blocking work on the runtime's pool of threads; `None` if it panicked.
pub async fn blocking<F, T>(name: &'static str, work: F) -> Option<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => Some(value),
        Err(error) => {
            count(name, &error.to_string());
            None
        }
    }
}

/// Starts an OS thread. Its panic is logged and counted, and then `on_panic` runs: a thread that must not die says there
/// what follows.
pub fn thread<F, P>(
    name: &'static str,
    work: F,
    on_panic: P,
) -> std::io::Result<std::thread::JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
    P: FnOnce() + Send + 'static,
{
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(work)) {
            count(name, text_of(&*panic));
            on_panic();
        }
    })
}

async fn caught<F: Future>(name: &'static str, work: F) -> Option<F::Output> {
    let mut work = Box::pin(work);
    let result = std::future::poll_fn(|cx| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => std::task::Poll::Ready(Err(panic)),
        }
    })
    .await;
    result.map_err(|panic| count(name, text_of(&*panic))).ok()
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

fn count(name: &str, text: &str) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    tracing::error!(task.name = name, panic.text = %crate::telemetry::printable(text), "task {name} panicked");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_started_again() {
        let mut runs = 0;
        let (done, wait) = std::sync::mpsc::channel();
        keep("test", move || {
            runs += 1;
            let (run, done) = (runs, done.clone());
            async move {
                assert!(run >= 3, "not yet");
                done.send(run).unwrap();
            }
        })
        .await
        .unwrap();
        assert_eq!(wait.recv(), Ok(3));
        assert!(panics() >= 2);
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_task_alone() {
        assert_eq!(spawn("test", async { panic!("no") }).await.unwrap(), None::<()>);
        assert_eq!(spawn("test", async { 7 }).await.unwrap(), Some(7));
    }
}
