//! What tests may move in the real binary: time and the disk. Compiled only with the feature `test-hooks`.

use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::clock::{Clock as _, ManualClock, SystemClock};
use crate::config::Span;
use crate::supervise;

/// A clock that starts at the machine's time and stands still until a line on the socket moves it: `pass 60s` lets a span
/// pass, `wall 1700000000000` sets wall time alone, in Unix milliseconds. Each line is answered `ok` or `error …`.
///
/// Must be called within a runtime.
pub fn clock_by_socket(path: &Path) -> std::io::Result<Arc<ManualClock>> {
    let clock = ManualClock::at(SystemClock::start().now_ms());
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    let moved = Arc::clone(&clock);
    drop(supervise::spawn("test clock", async move {
        while let Ok((stream, _)) = listener.accept().await {
            // One test moves the clock at a time; what it sends when it hangs up is no matter.
            let _ = hear(stream, &moved).await;
        }
    }));
    Ok(clock)
}

async fn hear(stream: UnixStream, clock: &ManualClock) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match obey(&line, clock) {
            Ok(()) => "ok\n".to_owned(),
            Err(why) => format!("error {why}\n"),
        };
        write.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

fn obey(line: &str, clock: &ManualClock) -> Result<(), String> {
    match line.split_once(' ') {
        Some(("pass", span)) => {
            let span = Span::parse(span).map_err(|error| format!("{span:?} {error}"))?;
            clock.pass(span.duration());
            Ok(())
        }
        Some(("wall", ms)) => {
            clock.step_wall(ms.trim().parse().map_err(|_| format!("{ms:?} is no number"))?);
            Ok(())
        }
        _ => Err("write `pass 60s` or `wall <unix ms>`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_moves_the_clock_and_a_wrong_one_says_how_to_write_it() {
        let clock = ManualClock::at(1_000);
        assert_eq!(obey("pass 60s", &clock), Ok(()));
        assert_eq!((clock.now_ms(), clock.uptime().as_secs()), (61_000, 60));
        assert_eq!(obey("wall 5", &clock), Ok(()));
        assert_eq!((clock.now_ms(), clock.uptime().as_secs()), (5, 60));
        assert!(obey("pass 60", &clock).is_err());
        assert!(obey("stop", &clock).is_err());
    }
}
