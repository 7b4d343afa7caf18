//! A timer that is cheap to push back.
//!
//! Nearly every limit of a proxy is pushed back before it is reached: a timer that is set anew for each exchange would be
//! taken out of the runtime's wheel and put in again each time. This one stays where it is, fires early once in a while,
//! and is only then moved to where it should be. It does not know what it limits. Invariant: it says that the deadline has
//! passed only when that is so, and its task is woken no later than at the earliest deadline it was last polled with.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep};

/// A timer whose deadline is named at each poll.
#[derive(Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Of the task that is woken.
    waker: Option<Waker>,
}

impl Alarm {
    /// Has the deadline passed? If not, the task is woken when it does.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
            // One that had fired has forgotten whom to wake.
            self.waker = None;
        }
        // What the timer knows already it is not told again: that costs more than to look.
        let is_told = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if is_told && !sleep.is_elapsed() {
            return Poll::Pending;
        }
        if !is_told {
            self.waker = Some(cx.waker().clone());
        }
        ready!(tell(sleep, cx));
        if sleep.deadline() < deadline && Instant::now() < deadline {
            sleep.as_mut().reset(deadline);
            return tell(sleep, cx);
        }
        Poll::Ready(())
    }
}

/// Polls a timer, which then knows whom to wake, however much its task has done in this turn: a task that has used up its
/// share would be told that it is pending, and nothing would have been noted.
fn tell(sleep: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> Poll<()> {
    pin!(unconstrained(sleep.as_mut())).poll(cx)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::task::coop::{consume_budget, has_budget_remaining};

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

    #[tokio::test(flavor = "current_thread")]
    async fn a_deadline_that_is_pulled_forward_after_another_has_passed_is_kept() {
        let mut alarm = Alarm::default();
        let began = Instant::now();
        poll_fn(|cx| alarm.poll(cx, began + Duration::from_millis(5))).await;
        poll_fn(|cx| alarm.poll(cx, began)).await;
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn whichever_task_asked_last_is_woken() {
        let mut alarm = Alarm::default();
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(!is_over(&mut alarm, soon).await);
        tokio::spawn(async move { poll_fn(|cx| alarm.poll(cx, soon)).await }).await.unwrap();
        assert!(Instant::now() >= soon);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_task_that_has_used_up_its_share_is_woken_all_the_same() {
        let soon = Instant::now() + Duration::from_millis(20);
        let spent = |cx: &mut Context<'_>| {
            while has_budget_remaining() {
                let _ = pin!(consume_budget()).poll(cx);
            }
        };
        let task = tokio::spawn(async move {
            let mut alarm = Alarm::default();
            let late = |cx: &mut Context<'_>| (spent(cx), alarm.poll(cx, soon)).1;
            poll_fn(late).await;
        });
        task.await.unwrap();
        assert!(Instant::now() >= soon);
    }
}
