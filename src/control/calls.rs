//! What is asked on the admin socket, and how an answer is written.
//!
//! A request becomes a [`Call`] on a channel, and its reply becomes a response; nothing is decided here. Invariant: an order
//! that takes something away names its apps: that none was said never means all of them.

use std::convert::Infallible;
use std::path::PathBuf;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::lines::{self, Body};
use super::scaling::{BadScaling, Scaling};
use super::scope::Scope;
use super::words::{
    Diff, Diversion, Environment, Flushed, Info, LogEntry, LogQuery, Order, Reached, Refusal, RefusalKind, Reloaded,
    Report, Status,
};
use crate::id::{AppName, Slot};

/// No list of apps is larger.
const MAX_BODY: usize = 1 << 20;

/// What a caller wants. The answer goes into `reply`; a dropped one tells the caller that the supervisor is gone.
#[derive(Debug)]
pub enum Call {
    Status {
        reply: oneshot::Sender<Status>,
    },
    /// No apps, which only a reload may say: all of them.
    Order {
        order: Order,
        scope: Scope,
        reply: Reply<Reloaded>,
    },
    /// `list`: a configuration as TOML, of which the apps count. They are started, reloaded or restarted.
    Add {
        list: String,
        order: Order,
        reply: Reply<Reloaded>,
    },
    /// `variables`: a table of TOML that becomes what these apps inherit; they are reloaded or restarted.
    Renew {
        apps: Vec<AppName>,
        variables: String,
        order: Order,
        reply: Reply<Reloaded>,
    },
    Scale {
        apps: Vec<AppName>,
        scaling: Scaling,
        reply: Reply<Reloaded>,
    },
    Signal {
        apps: Vec<AppName>,
        signal: String,
        reply: Reply<Reached>,
    },
    Reset {
        apps: Vec<AppName>,
        reply: Reply<Reached>,
    },
    Env {
        app: AppName,
        reply: Reply<Environment>,
    },
    Divert {
        apps: Vec<AppName>,
        diversion: Diversion,
        reply: Reply<Reached>,
    },
    /// What a reload under this profile would change.
    Diff {
        profile: Option<String>,
        reply: Reply<Diff>,
    },
    /// What came of a change, once that is known.
    Report {
        deploy: u64,
        reply: Reply<Report>,
    },
    /// All there is to say of one app.
    Info {
        app: AppName,
        reply: Reply<Info>,
    },
    /// Empty the log files of these apps.
    Flush {
        apps: Vec<AppName>,
        reply: Reply<Flushed>,
    },
    /// Become another program, by default the one at our own path; answered when that is about to happen.
    Upgrade {
        program: Option<PathBuf>,
        reply: Reply<()>,
    },
    Kill {
        reply: oneshot::Sender<()>,
    },
    /// What all metrics say, as text.
    Metrics {
        reply: oneshot::Sender<String>,
    },
    /// The answer ends by being dropped; whoever asked ends it by closing their side.
    Logs {
        query: LogQuery,
        reply: Reply<mpsc::Receiver<LogEntry>>,
    },
}

type Reply<T> = oneshot::Sender<Result<T, Refusal>>;
type Answer = Response<Body>;

/// Passes one request on, and answers it.
pub(super) async fn answer(request: Request<Incoming>, calls: mpsc::Sender<Call>) -> Result<Answer, Infallible> {
    Ok(carry_out(request, &calls).await.unwrap_or_else(|refusal| refuse(&refusal)))
}

async fn carry_out(request: Request<Incoming>, calls: &mpsc::Sender<Call>) -> Result<Answer, Refusal> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let query = Query::read(request.uri().query().unwrap_or_default());
    let word = path.strip_prefix("/v1/").unwrap_or_default();
    if let Some(order) = Order::PLAIN.into_iter().find(|order| method == Method::POST && order.word() == word) {
        let scope = scope(order, request.uri().query().unwrap_or_default())?;
        return ask(calls, |reply| Call::Order { order, scope, reply }).await?.map(|reloaded| json(&reloaded));
    }
    match (method, word) {
        (Method::GET, "status") => ask(calls, |reply| Call::Status { reply }).await.map(|status| json(&status)),
        (Method::GET, "metrics") => ask(calls, |reply| Call::Metrics { reply }).await.map(|text| json(&text)),
        (Method::GET, "logs") => {
            let query = LogQuery::read(request.uri().query().unwrap_or_default());
            let query = query.map_err(|error| Refusal::new(RefusalKind::NotFound, error))?;
            ask(calls, |reply| Call::Logs { query, reply }).await?.map(lines::answer)
        }
        (Method::POST, "upgrade") => upgrade(request, calls).await,
        (Method::POST, "kill") => ask(calls, |reply| Call::Kill { reply }).await.map(|()| json(&())),
        (Method::POST, "add" | "renew") => edit(word, &query, request, calls).await,
        (Method::POST, "scale") => {
            let (apps, scaling) = (query.some_apps()?, query.scaling()?);
            ask(calls, |reply| Call::Scale { apps, scaling, reply }).await?.map(|reloaded| json(&reloaded))
        }
        (Method::POST, "signal") => {
            let (apps, signal) = (query.some_apps()?, query.one("signal")?.to_owned());
            ask(calls, |reply| Call::Signal { apps, signal, reply }).await?.map(|reached| json(&reached))
        }
        (Method::POST, "reset") => {
            let apps = query.some_apps()?;
            ask(calls, |reply| Call::Reset { apps, reply }).await?.map(|reached| json(&reached))
        }
        (Method::GET, "report") => report(&query, calls).await,
        (Method::POST, "drain" | "undrain" | "pause" | "resume" | "maintenance" | "open") => {
            divert(word, &query, request, calls).await
        }
        (Method::GET, "diff") => {
            let profile = query.one("env").ok().map(str::to_owned);
            ask(calls, |reply| Call::Diff { profile, reply }).await?.map(|diff| json(&diff))
        }
        (Method::GET, "env") => {
            let app = query.some_apps()?.swap_remove(0);
            ask(calls, |reply| Call::Env { app, reply }).await?.map(|environment| json(&environment))
        }
        (Method::GET, "info") => {
            let app = query.some_apps()?.swap_remove(0);
            ask(calls, |reply| Call::Info { app, reply }).await?.map(|info| json(&info))
        }
        (Method::POST, "flush") => {
            let apps = query.some_apps()?;
            ask(calls, |reply| Call::Flush { apps, reply }).await?.map(|flushed| json(&flushed))
        }
        (method, _) => Err(Refusal::new(RefusalKind::NotFound, format!("no such call: {method} {path}"))),
    }
}

/// What changes the list of apps, in the words of the body.
async fn edit(
    word: &str,
    query: &Query,
    request: Request<Incoming>,
    calls: &mpsc::Sender<Call>,
) -> Result<Answer, Refusal> {
    let order = query.addition()?;
    let reloaded = if word == "renew" {
        let (apps, variables) = (query.some_apps()?, text(request).await?);
        ask(calls, |reply| Call::Renew { apps, variables, order, reply }).await?
    } else {
        let list = text(request).await?;
        ask(calls, |reply| Call::Add { list, order, reply }).await?
    };
    reloaded.map(|reloaded| json(&reloaded))
}

async fn divert(
    word: &str,
    query: &Query,
    request: Request<Incoming>,
    calls: &mpsc::Sender<Call>,
) -> Result<Answer, Refusal> {
    let apps = query.some_apps()?;
    let diversion = query.diversion(word, request).await?;
    ask(calls, |reply| Call::Divert { apps, diversion, reply }).await?.map(|reached| json(&reached))
}

/// The body is the path of the program, if it is another one.
async fn upgrade(request: Request<Incoming>, calls: &mpsc::Sender<Call>) -> Result<Answer, Refusal> {
    let program = Some(text(request).await?).filter(|path| !path.is_empty()).map(PathBuf::from);
    ask(calls, |reply| Call::Upgrade { program, reply }).await?.map(|()| json(&()))
}

async fn report(query: &Query, calls: &mpsc::Sender<Call>) -> Result<Answer, Refusal> {
    let deploy = query.one("deploy")?;
    let no_number = |_| Refusal::new(RefusalKind::BadRequest, format!("`{deploy}` is not the number of a deploy"));
    let deploy = deploy.parse().map_err(no_number)?;
    ask(calls, |reply| Call::Report { deploy, reply }).await?.map(|report| json(&report))
}

/// What an order is about, which says so if it takes something away.
fn scope(order: Order, query: &str) -> Result<Scope, Refusal> {
    let scope = Scope::parse(query).map_err(|error| Refusal::new(RefusalKind::BadRequest, error))?;
    if scope.apps.is_empty() && order != Order::Reload { Err(missing("app")) } else { Ok(scope) }
}

/// `key=value` pairs. Nothing that is said here needs escapes.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(text: &str) -> Self {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    fn apps(&self) -> Result<Vec<AppName>, Refusal> {
        let names = self.0.iter().filter(|(key, _)| key == "app").map(|(_, name)| name);
        names
            .map(|name| name.parse().map_err(|error| Refusal::new(RefusalKind::UnknownApp, format!("{name}: {error}"))))
            .collect()
    }

    fn some_apps(&self) -> Result<Vec<AppName>, Refusal> {
        Some(self.apps()?).filter(|apps| !apps.is_empty()).ok_or_else(|| missing("app"))
    }

    /// What is to become of what is added; without a word it is started.
    fn addition(&self) -> Result<Order, Refusal> {
        let Ok(word) = self.one("order") else { return Ok(Order::Start) };
        let known = [Order::Start, Order::Reload, Order::Restart].into_iter().find(|order| order.word() == word);
        known.ok_or_else(|| Refusal::new(RefusalKind::BadRequest, format!("what is added cannot be told to {word}")))
    }

    /// What is to become of requests; the body is the page of a maintenance.
    async fn diversion(&self, word: &str, request: Request<Incoming>) -> Result<Diversion, Refusal> {
        let slots = self.0.iter().filter(|(key, _)| key == "slot").map(|(_, slot)| slot.parse().map(Slot));
        let bad = |_| Refusal::new(RefusalKind::BadRequest, "a slot is a number");
        let slots: Vec<Slot> = slots.collect::<Result<_, _>>().map_err(bad)?;
        Ok(match word {
            "drain" => Diversion::Drain(slots),
            "undrain" => Diversion::Undrain(slots),
            "pause" => Diversion::Pause,
            "resume" => Diversion::Resume,
            "open" => Diversion::Open,
            _ => Diversion::Maintenance(Some(text(request).await?).filter(|page| !page.is_empty())),
        })
    }

    fn scaling(&self) -> Result<Scaling, Refusal> {
        // In an address a plus is a space to some, and said otherwise.
        let text = self.one("workers")?.replace("%2B", "+");
        text.parse().map_err(|error: BadScaling| Refusal::new(RefusalKind::BadRequest, error.to_string()))
    }

    fn one(&self, key: &str) -> Result<&str, Refusal> {
        let found = self.0.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str()).ok_or_else(|| missing(key))
    }
}

fn missing(key: &str) -> Refusal {
    Refusal::new(RefusalKind::BadRequest, format!("which one? add ?{key}=... to the path"))
}

async fn text(request: Request<Incoming>) -> Result<String, Refusal> {
    let bad = |why: String| Refusal::new(RefusalKind::BadRequest, format!("the body: {why}"));
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await.map_err(|error| bad(error.to_string()))?;
    String::from_utf8(body.to_bytes().into()).map_err(|error| bad(error.to_string()))
}

async fn ask<T>(calls: &mpsc::Sender<Call>, call: impl FnOnce(oneshot::Sender<T>) -> Call) -> Result<T, Refusal> {
    let gone = || Refusal::new(RefusalKind::Stopping, "the supervisor is stopping");
    let (reply, answer) = oneshot::channel();
    calls.send(call(reply)).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())
}

fn json(value: &impl Serialize) -> Answer {
    let mut text = serde_json::to_vec_pretty(value).expect("the words have string keys only and always serialise");
    text.push(b'\n');
    let mut response = Response::new(Body::Left(Full::new(text.into())));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn refuse(refusal: &Refusal) -> Answer {
    let mut response = json(refusal);
    *response.status_mut() = match refusal.kind {
        RefusalKind::InvalidConfig => StatusCode::UNPROCESSABLE_ENTITY,
        RefusalKind::UnknownApp | RefusalKind::NotFound => StatusCode::NOT_FOUND,
        RefusalKind::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        RefusalKind::Conflict => StatusCode::CONFLICT,
        RefusalKind::BadRequest => StatusCode::BAD_REQUEST,
        RefusalKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    response
}
