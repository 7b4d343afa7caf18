//! Listening, serving and ending.
//!
//! Knows connections, not what is asked on them. Invariants: after `SIGTERM` nothing is accepted any more, an idle
//! connection is closed at once, one with a request in flight after its response; a crash waits for nothing.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::routes::{self, Plug, World};
use crate::script::{Listen, Script, Stop};
use crate::tell;

/// Serves until told to stop or to crash; the code to exit with.
pub(crate) async fn run(script: Script) -> u8 {
    let mut term = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    tokio::select! {
        () = tokio::time::sleep(script.boot.late) => {}
        () = told_to_stop(&mut term, script.stop.ignore) => return 0,
    }
    let listener = match Listener::bind(script.listen.clone()).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen: {error}");
            return 1;
        }
    };
    // Losing this line to a closed pipe is no reason to end.
    let _ = writeln!(io::stdout(), "listening on {}", listener.name());

    script.notify.text.iter().for_each(|text| tell::tell(text));
    if let Some(every) = script.notify.feed {
        tokio::spawn(tell::feed(every));
    }
    if script.dumps {
        let mut asked = signal(SignalKind::user_defined2()).expect("SIGUSR2 can be handled");
        tokio::spawn(async move {
            while asked.recv().await.is_some() {
                eprintln!("dump of {}", std::process::id());
            }
        });
    }
    let Stop { ignore, delay } = script.stop;
    let (crash, mut crashed) = mpsc::channel(1);
    let connections = Connections {
        world: Arc::new(World::new(script, crash)),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    tokio::select! {
        () = connections.accept_from(&listener) => unreachable!("it accepts for ever"),
        () = told_to_stop(&mut term, ignore) => {}
        Some(code) = crashed.recv() => return code,
    }
    drop(listener);
    tokio::select! {
        () = connections.finish() => {}
        Some(code) = crashed.recv() => return code,
    }
    tokio::time::sleep(delay).await;
    0
}

/// Returns on `SIGTERM`, unless the script ignores it.
async fn told_to_stop(term: &mut Signal, ignore: bool) {
    term.recv().await;
    if ignore {
        std::future::pending::<()>().await;
    }
}

struct Connections {
    world: Arc<World>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Connections {
    async fn accept_from(&self, listener: &Listener) {
        loop {
            match listener {
                Listener::Tcp(listener) => self.take(listener.accept().await.map(|(stream, _)| stream)),
                Listener::Unix(listener) => self.take(listener.accept().await.map(|(stream, _)| stream)),
            }
        }
    }

    fn take<S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static>(&self, accepted: io::Result<S>) {
        // A client that is gone before it was accepted is no news.
        let Ok(stream) = accepted else { return };
        let Ok(plug) = Plug::of(&stream) else { return };
        self.tasks.spawn(serve(stream, plug, Arc::clone(&self.world), self.stop.clone()));
    }

    async fn finish(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    plug: Plug,
    world: Arc<World>,
    stop: CancellationToken,
) {
    let close_idle = world.script.idle.close;
    let service = service_fn(move |request| routes::answer(request, Arc::clone(&world), plug.clone()));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(close_idle);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    // How a connection ends is the business of whoever looks at it from the other side.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    async fn bind(listen: Option<Listen>) -> io::Result<Self> {
        match listen {
            Some(Listen::Unix(path)) => UnixListener::bind(path).map(Self::Unix),
            Some(Listen::Tcp(address)) => TcpListener::bind(address).await.map(Self::Tcp),
            None => match std::env::var("PORT") {
                Ok(path) if path.starts_with('/') => UnixListener::bind(path).map(Self::Unix),
                Ok(port) => TcpListener::bind(format!("127.0.0.1:{port}")).await.map(Self::Tcp),
                Err(_) => TcpListener::bind("127.0.0.1:0").await.map(Self::Tcp),
            },
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().expect("a bound socket has an address").to_string(),
            Self::Unix(_) => "a unix socket".to_owned(),
        }
    }
}
