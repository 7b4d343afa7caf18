//! What the worker answers, and how it fails on demand.
//!
//! | route | does |
//! | --- | --- |
//! | `/health` `/fall?ill=S` | as the script says · from now on `/health` answers with status S, `silent`: never, `no`: as before |
//! | `/whoami` | JSON: app, generation, slot, pid, port, `NODE_APP_INSTANCE` |
//! | `/headers` `/environment` | JSON: the request as it arrived · all variables |
//! | `/once?id=X[&ms=N][&then=drop]` | notes X in the ledger as soon as the head is here, reads the body, waits, and answers (or drops) |
//! | `/echo` `/sink` `/stream?bytes=N` | the body back · its length and whether it is the pattern · N bytes of the pattern |
//! | `/slow?ms=N` `/hang` | answers after N ms · never |
//! | `/events[?count=N][&ms=N]` `/ws` | server-sent events · a WebSocket echo |
//! | `/status?code=N` `/close` | answers with that status · and closes the connection after the response |
//! | `/drop` `/cut?bytes=N` `/reset` | closes without an answer · after N bytes of it · with a TCP reset |
//! | `/tell?say=TEXT` `/mute` | tells it to `$NOTIFY_SOCKET` (`;` is a line end) · says no more that it is well |
//! | `/crash?code=N` `/fork` `/leak?bytes=N` | ends the process · starts a child · keeps N bytes |
//! | `/breed?bytes=N` | starts a child that keeps N bytes |
//!
//! Every answer carries `Worker-App`, `Worker-Generation`, `Worker-Slot` and `Worker-Pid`.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, UPGRADE};
use hyper::{Request, Response, StatusCode};
use serde_json::json;
use tokio::sync::mpsc;

use crate::body::{self, Body};
use crate::ledger::Ledger;
use crate::pattern::{Checker, Pattern};
use crate::query::Query;
use crate::script::Script;
use crate::tell;
use crate::websocket;

/// What all connections share.
pub(crate) struct World {
    pub(crate) script: Script,
    ledger: Option<Ledger>,
    /// The code to end with, at once.
    crash: mpsc::Sender<u8>,
    began: Instant,
    probes: AtomicU64,
    requests: AtomicU64,
    leaked: Mutex<Vec<Vec<u8>>>,
    ill: Mutex<Option<Illness>>,
    identity: Identity,
}

/// Who the worker is, by its environment.
struct Identity {
    app: String,
    generation: String,
    slot: String,
}

/// What `/health` answers, whatever the script says.
#[derive(Clone, Copy)]
enum Illness {
    Status(StatusCode),
    Silent,
}

/// A second handle on a connection's socket, to pull the plug.
#[derive(Clone)]
pub(crate) struct Plug(Arc<OwnedFd>);

/// The connection is to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("told to end the connection")]
pub(crate) struct Dropped;

type Answer = Result<Response<Body>, Dropped>;

/// Answers one request.
pub(crate) async fn answer(request: Request<Incoming>, world: Arc<World>, plug: Plug) -> Answer {
    let is_probe = request.uri().path() == "/health";
    let (counter, crash_on) =
        if is_probe { (&world.probes, world.script.health.crash_on) } else { (&world.requests, world.script.crash_on) };
    if crash_on == Some(counter.fetch_add(1, Ordering::Relaxed) + 1) {
        return world.crash(1).await;
    }
    if is_probe {
        return world.health().await;
    }
    let mut response = match world.script.answers.map(StatusCode::from_u16) {
        Some(status) => text(status.expect("a test names a valid status"), "as the script says\n"),
        None => route(request, &world, &plug).await?,
    };
    world.sign(response.headers_mut());
    Ok(response)
}

async fn route(request: Request<Incoming>, world: &World, plug: &Plug) -> Answer {
    let query = Query::of(&request);
    match request.uri().path() {
        "/whoami" | "/" => Ok(world.whoami()),
        "/headers" => Ok(headers(&request)),
        "/environment" => Ok(json_answer(&json!(std::env::vars().collect::<BTreeMap<_, _>>()))),
        "/once" => once(request, &query, world).await,
        "/echo" => Ok(echo(request)),
        "/sink" => sink(request.into_body()).await,
        "/stream" => Ok(stream(query.number("bytes", 0))),
        "/slow" => {
            tokio::time::sleep(query.millis("ms", 1000)).await;
            Ok(world.whoami())
        }
        "/hang" => std::future::pending().await,
        "/events" => Ok(events(query.number("count", u64::MAX), query.millis("ms", 10))),
        "/ws" => Ok(upgrade(request)),
        "/status" => Ok(text(query.status("code"), "as you wish\n")),
        "/close" => Ok(closing(world.whoami())),
        "/drop" => Err(Dropped),
        "/cut" => Ok(Response::new(body::cut(vec![b'c'; query.size("bytes", 1000)]))),
        "/reset" => Err(plug.pull()),
        "/crash" => world.crash(u8::try_from(query.number("code", 1)).unwrap_or(1)).await,
        "/burst" => burst(&query, world).await,
        "/fall" => Ok(world.fall(query.value("ill").unwrap_or_default())),
        "/tell" => {
            tell::tell(query.value("say").unwrap_or_default());
            Ok(text(StatusCode::OK, "told\n"))
        }
        "/mute" => {
            tell::fall_silent();
            Ok(text(StatusCode::OK, "as you wish\n"))
        }
        "/fork" => Ok(json_answer(&json!({ "pid": crate::fork_child() }))),
        "/spin" => Ok(world.spin(query.millis("ms", 1000)).await),
        "/breed" => Ok(json_answer(&json!({ "pid": crate::breed(query.size("bytes", 1 << 20)) }))),
        "/leak" => Ok(world.leak(query.size("bytes", 1 << 20))),
        _ => Ok(text(StatusCode::NOT_FOUND, "no such route\n")),
    }
}

impl World {
    pub(crate) fn new(script: Script, crash: mpsc::Sender<u8>) -> Self {
        let read = |name| std::env::var(name).unwrap_or_default();
        let identity = Identity {
            app: read("PORTREEVE_APP"),
            generation: read("PORTREEVE_GENERATION"),
            slot: read("PORTREEVE_SLOT"),
        };
        let ledger = script.ledger.as_deref().map(|path| Ledger::open(path).expect("the ledger can be opened"));
        Self {
            script,
            ledger,
            crash,
            began: Instant::now(),
            probes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            leaked: Mutex::default(),
            ill: Mutex::default(),
            identity,
        }
    }

    fn fall(&self, ill: &str) -> Response<Body> {
        let illness = match ill {
            "no" => None,
            "silent" => Some(Illness::Silent),
            status => Some(Illness::Status(status.parse().expect("a test names a valid status"))),
        };
        *self.ill.lock().unwrap_or_else(PoisonError::into_inner) = illness;
        text(StatusCode::OK, "as you wish\n")
    }

    async fn health(&self) -> Answer {
        let illness = *self.ill.lock().unwrap_or_else(PoisonError::into_inner);
        match illness {
            None => Ok(self.health_by_script()),
            Some(Illness::Status(status)) => Ok(text(status, "ill\n")),
            Some(Illness::Silent) => std::future::pending().await,
        }
    }

    fn health_by_script(&self) -> Response<Body> {
        let early = self.began.elapsed() < self.script.health.after;
        let status = if early { 503 } else { self.script.health.status };
        text(StatusCode::from_u16(status).expect("the script names a valid status"), "health\n")
    }

    fn whoami(&self) -> Response<Body> {
        json_answer(&json!({
            "app": self.identity.app,
            "generation": self.identity.generation.parse::<u64>().ok(),
            "slot": self.identity.slot.parse::<u32>().ok(),
            "pid": std::process::id(),
            "port": std::env::var("PORT").ok(),
            "host": std::env::var("HOST").ok(),
            "instance": std::env::var("NODE_APP_INSTANCE").ok(),
            "directory": std::env::current_dir().ok(),
            "colour": std::env::var("COLOUR").ok(),
        }))
    }

    async fn crash(&self, code: u8) -> Answer {
        // The channel is closed only when the process is ending already.
        let _ = self.crash.send(code).await;
        std::future::pending().await
    }

    /// Keeps a CPU busy for so long.
    async fn spin(&self, time: Duration) -> Response<Body> {
        let spin = move || {
            let end = std::time::Instant::now() + time;
            while std::time::Instant::now() < end {
                std::hint::spin_loop();
            }
        };
        tokio::task::spawn_blocking(spin).await.expect("it only spins");
        self.whoami()
    }

    fn leak(&self, bytes: usize) -> Response<Body> {
        let mut leaked = self.leaked.lock().unwrap_or_else(PoisonError::into_inner);
        leaked.push(vec![1; bytes]);
        json_answer(&json!({ "leaked": leaked.iter().map(Vec::len).sum::<usize>() }))
    }

    fn sign(&self, headers: &mut HeaderMap) {
        let mut put = |name, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        put("worker-app", self.identity.app.clone());
        put("worker-generation", self.identity.generation.clone());
        put("worker-slot", self.identity.slot.clone());
        put("worker-pid", std::process::id().to_string());
        if let Some(seconds) = self.script.idle.announce {
            put("keep-alive", format!("timeout={seconds}"));
        }
    }
}

impl Plug {
    pub(crate) fn of(stream: &impl AsFd) -> io::Result<Self> {
        stream.as_fd().try_clone_to_owned().map(|descriptor| Self(Arc::new(descriptor)))
    }

    /// Makes the end of the connection a reset.
    fn pull(&self) -> Dropped {
        // A socket that cannot linger is gone already.
        let _ = socket2::SockRef::from(&*self.0).set_linger(Some(Duration::ZERO));
        Dropped
    }
}

async fn once(request: Request<Incoming>, query: &Query, world: &World) -> Answer {
    let Some(ledger) = &world.ledger else {
        return Ok(text(StatusCode::NOT_IMPLEMENTED, "this worker has no ledger\n"));
    };
    let id = query.value("id").unwrap_or_default();
    ledger.note(id).expect("the ledger can be written");
    let body = request.into_body().collect().await.map_err(|_| Dropped)?.to_bytes();
    tokio::time::sleep(query.millis("ms", 0)).await;
    if query.value("then") == Some("drop") {
        return Err(Dropped);
    }
    Ok(json_answer(&json!({ "id": id, "bytes": body.len() })))
}

fn headers(request: &Request<Incoming>) -> Response<Body> {
    let fields: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    json_answer(&json!({
        "method": request.method().as_str(),
        "target": request.uri().to_string(),
        "version": format!("{:?}", request.version()),
        "headers": fields,
    }))
}

fn echo(request: Request<Incoming>) -> Response<Body> {
    let mut response = Response::new(());
    for name in [CONTENT_LENGTH, CONTENT_TYPE] {
        if let Some(value) = request.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response.map(|()| request.into_body().map_err(io::Error::other).boxed())
}

async fn sink(mut body: Incoming) -> Answer {
    let mut checker = Checker::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Dropped)?.into_data() {
            checker.take(&data);
        }
    }
    Ok(json_answer(&json!({ "bytes": checker.bytes, "intact": checker.intact })))
}

fn stream(bytes: u64) -> Response<Body> {
    Response::new(Pattern::new(bytes).map_err(|never| match never {}).boxed())
}

fn events(count: u64, every: Duration) -> Response<Body> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(every);
        for number in 0..count {
            ticks.tick().await;
            if sender.send(Bytes::from(format!("id: {number}\ndata: tick {number}\n\n"))).await.is_err() {
                break;
            }
        }
    });
    let mut response = Response::new(body::channel(receiver));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// `lines=N`: as many numbered lines to each standard stream; `then=exit`: and ends at once with code 3.
async fn burst(query: &Query, world: &World) -> Answer {
    let pid = std::process::id();
    for number in 0..query.number("lines", 1) {
        println!("out {pid} {number}");
        eprintln!("err {pid} {number}");
    }
    if query.value("then") == Some("exit") {
        return world.crash(3).await;
    }
    Ok(text(StatusCode::OK, "said\n"))
}

fn upgrade(request: Request<Incoming>) -> Response<Body> {
    let Some(accept) = websocket::accept(&request) else {
        return text(StatusCode::BAD_REQUEST, "not a WebSocket request\n");
    };
    tokio::spawn(websocket::serve(request));
    let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert("sec-websocket-accept", HeaderValue::try_from(accept).expect("an accept key is base64"));
    response
}

fn closing(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(body::whole(text));
    *response.status_mut() = status;
    response
}

fn json_answer(value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(body::whole(format!("{value}\n")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
