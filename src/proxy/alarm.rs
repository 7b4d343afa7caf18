//! A timer that is cheap to push back.
//!
//! Nearly every limit of a proxy is pushed back before it is reached: a timer that is set anew for each exchange would be
//! taken out of the runtime's wheel and put in again each time. This one stays where it is, fires early once in a while,
//! and is only then moved to where it should be. It does not know what it limits. Invariant: it says that the deadline has
//! passed only when that is so, and its task is woken no later than at the earliest deadline it was last polled with.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

/// A timer whose deadline is named at each poll.
#[derive(Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Has the deadline passed? If not, the task is woken when it does.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        ready!(sleep.as_mut().poll(cx));
        if sleep.deadline() < deadline && Instant::now() < deadline {
            sleep.as_mut().reset(deadline);
            return sleep.as_mut().poll(cx);
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    async fn is_over(alarm: &mut Alarm, deadline: Instant) -> bool {
        poll_fn(|cx| Poll::Ready(alarm.poll(cx, deadline).is_ready())).await
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_deadline_ahead_is_not_over_and_one_behind_is() {
        let mut alarm = Alarm::default();
        let now = Instant::now();
        assert!(!is_over(&mut alarm, now + Duration::from_mins(1)).await);
        poll_fn(|cx| alarm.poll(cx, now)).await;
        assert!(!is_over(&mut alarm, now + Duration::from_mins(1)).await);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_deadline_that_is_pushed_back_is_kept() {
        let mut alarm = Alarm::default();
        let began = Instant::now();
        let (near, far) = (began + Duration::from_millis(5), began + Duration::from_millis(40));
        assert!(!is_over(&mut alarm, near).await);
        poll_fn(|cx| alarm.poll(cx, far)).await;
        assert!(Instant::now() >= far);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_deadline_that_is_pulled_forward_is_kept() {
        let mut alarm = Alarm::default();
        let began = Instant::now();
        assert!(!is_over(&mut alarm, began + Duration::from_mins(1)).await);
        poll_fn(|cx| alarm.poll(cx, began + Duration::from_millis(5))).await;
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
