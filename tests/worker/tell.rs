//! What the worker tells its supervisor, as `sd_notify(3)` would; without a socket it tells nobody.

use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static IS_MUTE: AtomicBool = AtomicBool::new(false);

/// Sends a message; a `;` stands for a line end.
pub(crate) fn tell(message: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
        let told = UnixDatagram::unbound().and_then(|own| own.send_to(message.replace(';', "\n").as_bytes(), socket));
        told.expect("the supervisor hears what it is told");
    }
}

/// Says again and again that all is well, until told to be mute.
pub(crate) async fn feed(every: Duration) {
    let mut ticks = tokio::time::interval(every);
    while !IS_MUTE.load(Ordering::Relaxed) {
        ticks.tick().await;
        tell("WATCHDOG=1");
    }
}

pub(crate) fn fall_silent() {
    IS_MUTE.store(true, Ordering::Relaxed);
}
