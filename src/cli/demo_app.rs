//! The demo's worker: a small web app that says which worker answers, and ends as a well-behaved app does.
//!
//! An ordinary program to the supervisor: it knows `PORT` and SIGTERM and nothing else of portreeve.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::Code;

/// Time between two events of the stream.
const TICK: Duration = Duration::from_secs(1);

type Body = BoxBody<Bytes, Infallible>;

/// Serves until SIGTERM or SIGINT, then finishes what is in flight.
pub(super) fn serve() -> anyhow::Result<Code> {
    let port = std::env::var("PORT").context("PORT is not set; portreeve sets it for its workers")?;
    let port = port.parse().context("PORT is no port number")?;
    super::block_on(accept(port))??;
    Ok(Code::Done)
}

async fn accept(port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (ending, end) = watch::channel(false);
    let connections = TaskTracker::new();
    println!("demo app listens on {}", listener.local_addr()?);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                connections.spawn(converse(stream, end.clone()));
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    drop(listener);
    ending.send_replace(true);
    connections.close();
    connections.wait().await;
    println!("demo app has finished");
    Ok(())
}

async fn converse(stream: TcpStream, mut end: watch::Receiver<bool>) {
    let answered = end.clone();
    let service = service_fn(move |request| {
        let end = answered.clone();
        async move { Ok::<_, Infallible>(answer(&request, end)) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        result = &mut connection => return drop(result),
        () = ended(&mut end) => connection.as_mut().graceful_shutdown(),
    }
    // Whatever a client does now, the worker is on its way out.
    let _ = connection.await;
}

/// Waits until the app is asked to end.
async fn ended(end: &mut watch::Receiver<bool>) {
    // Without a sender the app has ended already.
    let _ = end.wait_for(|end| *end).await;
}

fn answer(request: &Request<Incoming>, end: watch::Receiver<bool>) -> Response<Body> {
    match request.uri().path() {
        "/" => text("text/html; charset=utf-8", page()),
        "/id" => text("text/plain", format!("{}\n", identity())),
        "/health" => text("text/plain", "fine\n".to_owned()),
        "/events" => events(end),
        _ => {
            let mut response = text("text/plain", "there is /, /id, /health and /events\n".to_owned());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

fn events(end: watch::Receiver<bool>) -> Response<Body> {
    let (sender, body) = Channel::new(1);
    // Ends with its client, or with the app.
    tokio::spawn(tick(sender, end));
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

async fn tick(mut sender: Sender<Bytes, Infallible>, mut end: watch::Receiver<bool>) {
    let mut clock = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            () = ended(&mut end) => return,
            _ = clock.tick() => {
                let event = format!("data: {}\n\n", identity());
                if sender.send_data(event.into()).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn text(kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn identity() -> String {
    let variable = |name| std::env::var(name).unwrap_or_else(|_| "?".to_owned());
    format!(
        "generation {} slot {} pid {}",
        variable("PORTREEVE_GENERATION"),
        variable("PORTREEVE_SLOT"),
        std::process::id()
    )
}

fn page() -> String {
    format!(
        "<!doctype html><meta charset=utf-8><title>portreeve demo</title>\
         <style>body{{font:18px/1.6 system-ui,sans-serif;max-width:34em;margin:4em auto;padding:0 1em;color:#223}}\
         b{{color:#0a5}}code{{background:#eef;padding:.1em .3em;border-radius:4px}}</style>\
         <h1>portreeve</h1><p>This page was made by <b>{}</b>.</p>\
         <p>Reload it a few times: two workers take turns. Run <code>portreeve reload</code> meanwhile: \
         the generation changes and no request is lost.</p>",
        identity()
    )
}
