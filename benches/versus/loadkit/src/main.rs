//! loadkit: the origin server of the comparison, and the load that stock generators do not make.
//!
//!     loadkit origin     PORT|PATH[,PORT|PATH...]                     a cheap HTTP/1.1 server, one thread
//!     loadkit idle       ADDRESS plain|tls|h2 COUNT                    keep-alive connections, one GET each, held until stdin closes
//!     loadkit handshakes ADDRESS full|resumed CONNECTIONS SECONDS     TLS 1.3 connections, one GET each
//!     loadkit bulk       ADDRESS plain|tls down|up BYTES CONNECTIONS TRANSFERS
//!     loadkit websocket  ADDRESS plain|tls CONNECTIONS SECONDS SIZE   echo, one message in flight per connection
//!     loadkit steady     ADDRESS plain|tls RATE SECONDS THREADS       constant rate, latency from the intended time of sending
//!     loadkit loop       ADDRESS plain|tls CONNECTIONS SECONDS keep|close   one request after the other, every second one an order;
//!                                                                     0 SECONDS: until stdin closes
//!
//! Only loopback addresses are accepted. Every load is bounded in time or number and prints one JSON line: what succeeded
//! (`count`), what `failed`, and times in seconds.

mod bulk;
mod closed_loop;
mod connection;
mod handshakes;
mod http;
mod idle;
mod origin;
mod report;
mod steady;
mod websocket;

use std::error::Error;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use connection::Target;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let command = Command { words: &words };
    match command.word(0)? {
        "origin" => runtime.block_on(origin::run(command.word(1)?)),
        "idle" => {
            let target = if command.word(2)? == "h2" { Target::http2(command.address()?) } else { command.target()? };
            runtime.block_on(idle::run(target, command.number(3)?))
        }
        "handshakes" => {
            let (address, resumed) = (command.address()?, command.choice(2, ["full", "resumed"])?);
            runtime.block_on(handshakes::run(address, resumed, command.number(3)?, command.seconds(4)?))
        }
        "bulk" => {
            let (up, bytes) = (command.choice(3, ["down", "up"])?, command.number(4)?);
            runtime.block_on(bulk::run(command.target()?, up, bytes, command.number(5)?, command.number(6)?))
        }
        "websocket" => {
            let (connections, size) = (command.number(3)?, command.number(5)?);
            runtime.block_on(websocket::run(command.target()?, connections, command.seconds(4)?, size))
        }
        "steady" => steady::run(command.target()?, command.number(3)?, command.seconds(4)?, command.number(5)?),
        "loop" => {
            let close = command.choice(5, ["keep", "close"])?;
            runtime.block_on(closed_loop::run(command.target()?, command.number(3)?, command.seconds(4)?, close))
        }
        other => Err(format!("no command {other}; they are listed at the head of src/main.rs").into()),
    }
}

/// The words of the command line, read by their place.
struct Command<'a> {
    words: &'a [String],
}

impl<'a> Command<'a> {
    fn word(&self, place: usize) -> Result<&'a str> {
        self.words.get(place).map(String::as_str).ok_or_else(|| format!("word {} is missing", place + 1).into())
    }

    fn number<N: FromStr>(&self, place: usize) -> Result<N> {
        let word = self.word(place)?;
        word.parse().map_err(|_| format!("{word} is no number that fits").into())
    }

    fn seconds(&self, place: usize) -> Result<Duration> {
        let seconds: f64 = self.number(place)?;
        if (0.0..=600.0).contains(&seconds) {
            Ok(Duration::from_secs_f64(seconds))
        } else {
            Err("0 to 600 seconds".into())
        }
    }

    /// Is the word the second of the two?
    fn choice(&self, place: usize, choices: [&str; 2]) -> Result<bool> {
        let word = self.word(place)?;
        let place = choices.iter().position(|choice| *choice == word);
        place
            .map(|place| place == 1)
            .ok_or_else(|| format!("{word} is neither {} nor {}", choices[0], choices[1]).into())
    }

    fn address(&self) -> Result<SocketAddr> {
        let address: SocketAddr = self.number(1)?;
        if address.ip().is_loopback() { Ok(address) } else { Err("only loopback addresses".into()) }
    }

    fn target(&self) -> Result<Target> {
        Ok(Target::new(self.address()?, self.choice(2, ["plain", "tls"])?))
    }
}
