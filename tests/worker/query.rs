//! The query of a request: `name=value` pairs, taken as they are; what is missing or makes no sense has a default.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};

/// `name=value` pairs.
pub(crate) struct Query(String);

impl Query {
    pub(crate) fn of(request: &Request<Incoming>) -> Self {
        Self(request.uri().query().unwrap_or_default().to_owned())
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.split('&').filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == name).map(|pair| pair.1)
    }

    pub(crate) fn number(&self, name: &str, otherwise: u64) -> u64 {
        self.value(name).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
    }

    pub(crate) fn size(&self, name: &str, otherwise: usize) -> usize {
        self.value(name).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
    }

    pub(crate) fn millis(&self, name: &str, otherwise: u64) -> Duration {
        Duration::from_millis(self.number(name, otherwise))
    }

    pub(crate) fn status(&self, name: &str) -> StatusCode {
        let code = u16::try_from(self.number(name, 200)).unwrap_or(200);
        StatusCode::from_u16(code).unwrap_or(StatusCode::OK)
    }
}
