//! What is asked on the admin socket, carried out.
//!
//! An order that changes what runs becomes a [`Change`] and goes the way of a reload. In a list of our own the change is
//! written down first; a file that somebody else writes is never touched.

use super::Supervisor;
use super::outcome::Reply;
use super::reload::{Change, Source};
use super::site::{Site, Supervised};
use crate::config::list;
use crate::control::words::{Environment, Order, Reached, Refusal, RefusalKind};
use crate::control::{Call, Scope};
use crate::id::AppName;
use crate::sys::spawn::Signal;

/// The signals that may be sent, by their names without `SIG`.
const SIGNALS: [(&str, Signal); 6] = [
    ("TERM", Signal::Term),
    ("INT", Signal::Int),
    ("QUIT", Signal::Quit),
    ("HUP", Signal::Hup),
    ("USR1", Signal::Usr1),
    ("USR2", Signal::Usr2),
];

impl Supervisor {
    pub(super) fn take_order(&mut self, call: Call) {
        match call {
            Call::Status { reply } => drop(reply.send(self.status())),
            Call::Order { order, scope, reply } => self.order(order, scope, reply),
            Call::Add { list, order, reply } => self.add(&list, order, reply),
            Call::Renew { apps, variables, order, reply } => self.renew(&apps, &variables, order, reply),
            Call::Scale { apps, scaling, reply } => self.scale(&apps, scaling, reply),
            Call::Signal { apps, signal, reply } => drop(reply.send(self.signal_workers(&apps, &signal))),
            Call::Reset { apps, reply } => drop(reply.send(self.forgive(&apps))),
            Call::Env { app, reply } => drop(reply.send(self.environment(&app))),
            Call::Divert { apps, diversion, reply } => self.divert(&apps, &diversion, reply),
            Call::Diff { profile, reply } => drop(reply.send(self.diff(profile.as_deref()))),
            Call::Report { deploy, reply } => self.reloads.deploys.ask(deploy, reply),
            Call::Info { app, reply } => drop(reply.send(self.info(&app))),
            Call::Flush { apps, reply } => self.flush(&apps, reply),
            Call::Metrics { reply } => self.scrape(reply),
            Call::Logs { query, reply } => drop(reply.send(self.logs(query))),
            Call::Upgrade { program, reply } => self.upgrade(program, Some(reply)),
            Call::Kill { reply } => {
                let _ = reply.send(());
                self.stop();
            }
        }
    }

    fn order(&mut self, order: Order, scope: Scope, reply: Reply) {
        match self.source(order, &scope.apps) {
            Ok(source) => self.change(Change { order, scope, source }, Some(reply)),
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
    }

    /// Where the settings for an order come from; in a list of ours, with the order in it.
    fn source(&self, order: Order, apps: &[AppName]) -> Result<Source, Refusal> {
        if order == Order::Reload {
            return Ok(Source::File);
        }
        self.require_known(apps)?;
        if let Order::Rollback | Order::Promote = order {
            return Ok(Source::InForce);
        }
        if !self.roster.is_list() {
            return match order {
                Order::Delete => Err(self.not_ours("take out")),
                Order::Stop => Ok(Source::InForce),
                _ => Ok(Source::File),
            };
        }
        let text = self.list()?;
        let edited = match order {
            Order::Start | Order::Restart => list::with_enabled(&text, apps, true),
            Order::Stop => list::with_enabled(&text, apps, false),
            Order::Delete => list::without(&text, apps),
            Order::Reload | Order::Rollback | Order::Promote | Order::Scale => Ok(text),
        };
        edited.map(Source::List).map_err(|error| self.bad_list(&error))
    }

    fn add(&mut self, addition: &str, order: Order, reply: Reply) {
        let edited = if self.roster.is_list() {
            let with_apps = |text: String| list::with_apps(&text, addition).map_err(|error| self.bad_list(&error));
            self.list().and_then(with_apps)
        } else {
            Err(self.not_ours("add"))
        };
        match edited {
            Ok((text, apps)) => {
                let scope = Scope::apps(&apps);
                self.change(Change { order, scope, source: Source::List(text) }, Some(reply));
            }
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
    }

    fn renew(&mut self, apps: &[AppName], variables: &str, order: Order, reply: Reply) {
        match self.renewed(apps, variables, order) {
            Ok(text) => {
                self.change(Change { order, scope: Scope::apps(apps), source: Source::List(text) }, Some(reply));
            }
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
    }

    /// The list with these variables as what the apps inherit.
    fn renewed(&self, apps: &[AppName], variables: &str, order: Order) -> Result<String, Refusal> {
        self.require_known(apps)?;
        if !self.roster.is_list() {
            let path = self.config.path.display();
            let error = format!(
                "this portreeve serves {path}, which it does not edit: its apps have the variables that stand there in \
                 `env` and `env_file`, which each reload reads anew"
            );
            return Err(Refusal::new(RefusalKind::Conflict, error));
        }
        let text = list::with_inherited(&self.list()?, apps, variables).map_err(|error| self.bad_list(&error))?;
        if order == Order::Restart {
            return list::with_enabled(&text, apps, true).map_err(|error| self.bad_list(&error));
        }
        Ok(text)
    }

    pub(super) fn list(&self) -> Result<String, Refusal> {
        let path = &self.config.path;
        std::fs::read_to_string(path)
            .map_err(|error| Refusal::new(RefusalKind::Internal, format!("{}: {error}", path.display())))
    }

    pub(super) fn bad_list(&self, error: &list::Error) -> Refusal {
        Refusal::new(RefusalKind::InvalidConfig, format!("{}: {error}", self.config.path.display()))
    }

    fn not_ours(&self, what: &str) -> Refusal {
        let path = self.config.path.display();
        let error = format!("this portreeve serves {path}, which it does not edit: {what} the app there, then reload");
        Refusal::new(RefusalKind::Conflict, error)
    }

    pub(super) fn require_known(&self, apps: &[AppName]) -> Result<(), Refusal> {
        let Some(unknown) = apps.iter().find(|app| !self.config.apps.contains_key(*app)) else { return Ok(()) };
        let known: Vec<_> = self.config.apps.keys().map(AppName::as_str).collect();
        let error = format!("no app `{unknown}`; there is: {}", known.join(", "));
        Err(Refusal::new(RefusalKind::UnknownApp, error))
    }

    fn signal_workers(&self, apps: &[AppName], name: &str) -> Result<Reached, Refusal> {
        let plain = name.to_ascii_uppercase();
        let plain = plain.strip_prefix("SIG").unwrap_or(&plain);
        let Some((_, signal)) = SIGNALS.iter().find(|(known, _)| *known == plain) else {
            let known: Vec<_> = SIGNALS.iter().map(|(name, _)| format!("SIG{name}")).collect();
            let error = format!("{name} cannot be sent; there is {}", known.join(", "));
            return Err(Refusal::new(RefusalKind::BadRequest, error));
        };
        self.require_known(apps)?;
        let sites = apps.iter().filter_map(|app| self.supervised_app(app));
        let workers: Vec<_> = sites.flat_map(|site| site.workers.values()).collect();
        for worker in &workers {
            worker.process.tell(*signal);
        }
        Ok(Reached { workers: workers.len() })
    }

    fn forgive(&mut self, apps: &[AppName]) -> Result<Reached, Refusal> {
        self.require_known(apps)?;
        let mut workers = 0;
        for app in apps {
            if let Some(Site::Supervised(site)) = self.sites.get_mut(app) {
                workers += site.forgive();
            }
        }
        Ok(Reached { workers })
    }

    /// As the newest of its workers found it.
    fn environment(&self, app: &AppName) -> Result<Environment, Refusal> {
        self.require_known(std::slice::from_ref(app))?;
        let newest = self.supervised_app(app).and_then(|site| site.workers.values().next_back());
        let no_worker = || Refusal::new(RefusalKind::BadRequest, format!("no worker of {app} runs that could tell"));
        let pid = newest.ok_or_else(no_worker)?.process.pid();
        let bytes = std::fs::read(format!("/proc/{pid}/environ"));
        let bytes = bytes.map_err(|error| Refusal::new(RefusalKind::Internal, format!("worker {pid}: {error}")))?;
        let pairs = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let variables =
            pairs.filter_map(|pair| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())));
        Ok(Environment { app: app.clone(), variables: variables.collect() })
    }

    fn supervised_app(&self, app: &AppName) -> Option<&Supervised> {
        match self.sites.get(app) {
            Some(Site::Supervised(site)) => Some(site),
            _ => None,
        }
    }
}
