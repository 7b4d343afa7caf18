//! How the picture looks: apps and workers on the left, the chosen app's figures on the right, the latest lines below.
//!
//! Draws what it is given into a frame of any size and decides nothing. Fits 80 columns and 24 lines.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Sparkline};

use super::super::age::{age, size};
use super::super::paint::{Tone, plain};
use super::super::status::rows::percent;
use super::picture::{History, Picture};
use crate::control::words::{App, LogLine, LogStream, Worker};

/// Columns of the list of apps.
const LIST_WIDTH: u16 = 40;

/// What the keys do.
const KEYS: &str = " q quit  up/down app  r reload  R restart  +/- scale  d/u drain  l all/one ";

pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture) {
    let lines = (frame.area().height / 3).clamp(3, 14);
    let rows = [Constraint::Length(1), Constraint::Min(6), Constraint::Length(lines), Constraint::Length(1)];
    let [head, middle, log, foot] = Layout::vertical(rows).areas(frame.area());
    let [list, charts] = Layout::horizontal([Constraint::Length(LIST_WIDTH), Constraint::Min(10)]).areas(middle);
    frame.render_widget(Paragraph::new(headline(picture)).style(Style::new().add_modifier(Modifier::REVERSED)), head);
    apps(frame, list, picture);
    figures(frame, charts, picture);
    latest(frame, log, picture);
    let foot_text = if picture.message.is_empty() { KEYS } else { &picture.message };
    frame.render_widget(Paragraph::new(foot_text).style(Style::new().add_modifier(Modifier::REVERSED)), foot);
}

fn headline(picture: &Picture) -> String {
    let Some(status) = &picture.status else { return " portreeve".to_owned() };
    let workers: usize = status.apps.iter().map(|app| app.workers.len()).sum();
    let (apps, up) = (status.apps.len(), age(status.uptime_seconds));
    format!(" portreeve {}  pid {}  up {up}  {apps} apps  {workers} workers", status.version, status.pid)
}

fn apps(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let mut lines = Vec::new();
    let mut chosen_at = 0;
    for (index, app) in picture.apps().iter().enumerate() {
        if index == picture.chosen {
            chosen_at = lines.len();
        }
        lines.push(app_line(app, index == picture.chosen));
        lines.extend(app.workers.iter().map(worker_line));
    }
    // The chosen app is in sight, with as many of its workers as there is room for.
    let room = usize::from(area.height.saturating_sub(2));
    let shown = picture.app().map_or(1, |app| 1 + app.workers.len());
    let skip = (chosen_at + shown).saturating_sub(room).min(chosen_at);
    let scroll = (u16::try_from(skip).unwrap_or(u16::MAX), 0);
    frame.render_widget(Paragraph::new(lines).scroll(scroll).block(Block::bordered().title(" apps ")), area);
}

fn app_line(app: &App, is_chosen: bool) -> Line<'static> {
    let generation = app.generation.map_or_else(String::new, |generation| format!("  generation {generation}"));
    let mark = if is_chosen { "> " } else { "  " };
    let name = Style::new().add_modifier(if is_chosen { Modifier::BOLD } else { Modifier::empty() });
    Line::from(vec![
        Span::styled(format!("{mark}{} ", app.name), name),
        Span::styled(app.state.clone(), Style::new().fg(colour(&app.state))),
        Span::raw(generation),
    ])
}

fn worker_line(worker: &Worker) -> Line<'static> {
    let place = format!("{}.{}", worker.generation, worker.slot);
    let memory = worker.usage.memory.bytes.map_or_else(|| "-".to_owned(), size);
    Line::from(vec![
        Span::raw(format!("    {place:<6} ")),
        Span::styled(format!("{:<9} ", worker.state), Style::new().fg(colour(&worker.state))),
        Span::raw(format!("{:>6}/s {memory:>7}", rate(worker.load.req_per_second))),
    ])
}

fn colour(state: &str) -> Color {
    match Tone::of_state(state) {
        Tone::Good => Color::Green,
        Tone::Bad => Color::Red,
        Tone::Faint => Color::DarkGray,
        Tone::Underway => Color::Yellow,
        Tone::Plain | Tone::Strong => Color::Reset,
    }
}

fn figures(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let title = picture.app().map_or_else(|| " figures ".to_owned(), |app| format!(" {} ", app.name));
    let block = Block::bordered().title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let history = picture.app().and_then(|app| picture.histories.get(&app.name)).cloned().unwrap_or_default();
    let charts = [
        chart(&history, "requests/s", Color::Cyan, |h| {
            h.rates.iter().map(|rates| (rates.requests, rate(rates.requests))).collect()
        }),
        chart(&history, "p50", Color::Green, |h| h.rates.iter().map(|rates| latency(rates.p50)).collect()),
        chart(&history, "p99", Color::Yellow, |h| h.rates.iter().map(|rates| latency(rates.p99)).collect()),
        chart(&history, "errors", Color::Red, |h| {
            h.rates.iter().map(|rates| (rates.errors, format!("{:.1} %", rates.errors * 100.0))).collect()
        }),
    ];
    let rows = Layout::vertical([Constraint::Fill(1); 5]).split(inner);
    for (chart, row) in charts.into_iter().zip(rows.iter()) {
        chart.draw(frame, *row);
    }
    let needs = [cpu(&history), memory(&history)];
    let places = Layout::horizontal([Constraint::Fill(1); 2]).spacing(1).split(rows[4]);
    for (chart, place) in needs.into_iter().zip(places.iter()) {
        chart.draw(frame, *place);
    }
}

fn cpu(history: &History) -> Chart {
    chart(history, "cpu", Color::Blue, |h| h.cpu.iter().map(|share| (*share, percent(*share))).collect())
}

/// Against what the workers may need, where they may not need whatever they like.
fn memory(history: &History) -> Chart {
    let chart = chart(history, "memory", Color::Magenta, |h| {
        h.memory.iter().map(|bytes| (*bytes as f64, size(*bytes))).collect()
    });
    match history.memory_limit {
        Some(limit) => Chart { title: format!("{}/{}", chart.title, size(limit)), top: Some(limit as f64), ..chart },
        None => chart,
    }
}

/// One figure over time.
struct Chart {
    title: String,
    colour: Color,
    values: Vec<f64>,
    /// What reaches to the top; `None`: the highest value in sight.
    top: Option<f64>,
}

/// `read` gives each value with how it is told.
fn chart(history: &History, name: &str, colour: Color, read: impl Fn(&History) -> Vec<(f64, String)>) -> Chart {
    let values = read(history);
    let title = values.last().map_or_else(String::new, |(_, told)| told.clone());
    let values = values.into_iter().map(|(value, _)| value).collect();
    Chart { title: format!("{name} {title}"), colour, values, top: None }
}

impl Chart {
    fn draw(self, frame: &mut Frame<'_>, area: Rect) {
        let [title, bars] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
        frame.render_widget(Paragraph::new(self.title).style(Style::new().fg(self.colour)), title);
        let wide = usize::from(bars.width);
        let latest = &self.values[self.values.len().saturating_sub(wide)..];
        let highest = latest.iter().copied().fold(self.top.unwrap_or(0.0), f64::max);
        // Whole numbers are drawn: as thousandths of the highest value in sight.
        #[allow(clippy::cast_sign_loss, reason = "no figure is negative")]
        let thousandths = |value: &f64| if highest > 0.0 { (value / highest * 1000.0) as u64 } else { 0 };
        let scaled: Vec<u64> = latest.iter().map(thousandths).collect();
        frame.render_widget(Sparkline::default().data(&scaled).max(1000).style(Style::new().fg(self.colour)), bars);
    }
}

fn latest(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let room = usize::from(area.height.saturating_sub(2));
    let mut lines: Vec<_> = picture.latest_lines().take(room).map(log_line).collect();
    lines.reverse();
    let title = match picture.app().filter(|_| picture.only_chosen) {
        Some(app) => format!(" lines of {} ", app.name),
        None => " lines ".to_owned(),
    };
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title)), area);
}

fn log_line(line: &LogLine) -> Line<'static> {
    let worker = match (line.generation, line.slot) {
        (Some(generation), Some(slot)) => format!("{} {generation}.{slot} ", line.app),
        _ => format!("{} ", line.app),
    };
    let text = match line.stream {
        LogStream::Stdout => Style::new(),
        LogStream::Stderr => Style::new().fg(Color::Red),
    };
    Line::from(vec![Span::styled(worker, Style::new().fg(Color::Cyan)), Span::styled(plain(&line.line), text)])
}

fn rate(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

fn latency(seconds: Option<f64>) -> (f64, String) {
    let told = match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 0.01 => format!("{:.1} ms", seconds * 1000.0),
        Some(seconds) if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        Some(seconds) => format!("{seconds:.1} s"),
    };
    (seconds.unwrap_or(0.0), told)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::picture::Look;
    use super::super::picture::tests::{line, status};
    use super::*;

    fn picture() -> Picture {
        let (mut picture, begin) = (Picture::default(), Instant::now());
        let workers = [("api", 1, "serving"), ("web", 7, "quiescing"), ("web", 8, "serving"), ("web", 8, "probing")];
        let mut limited = status(&workers);
        for worker in limited.apps.iter_mut().flat_map(|app| &mut app.workers) {
            (worker.usage.memory.soft, worker.usage.cpu.percent) = (Some(100 << 20), Some(12.5));
        }
        for second in 0..60_u64 {
            let all = second * second;
            let metrics = format!(
                "portreeve_requests_total{{app=\"web\",code_class=\"2xx\"}} {all}\n\
                 portreeve_request_seconds_bucket{{app=\"web\",le=\"0.1\"}} {all}\n\
                 portreeve_request_seconds_bucket{{app=\"web\",le=\"+Inf\"}} {all}\n",
            );
            let at = begin + Duration::from_secs(second);
            picture.look(Look { at, status: limited.clone(), metrics });
        }
        picture.choose(true);
        picture.hear(line("web", "GET /\t\u{1b}[32m200\u{1b}[0m"));
        picture
    }

    fn drawn(width: u16, height: u16, picture: &Picture) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, picture)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn it_fits_80_by_24() {
        insta::assert_snapshot!(drawn(80, 24, &picture()));
    }

    #[test]
    fn any_size_is_drawn() {
        for (width, height) in [(1, 1), (20, 5), (80, 10), (250, 80)] {
            drawn(width, height, &picture());
            drawn(width, height, &Picture::default());
        }
    }

    #[test]
    fn the_chosen_app_is_in_sight_however_many_there_are() {
        let names: Vec<_> = (0..40).map(|n| format!("app-{n:02}")).collect();
        let workers: Vec<_> = names.iter().map(|name| (name.as_str(), 1, "serving")).collect();
        let mut picture = Picture::default();
        picture.look(Look { at: Instant::now(), status: status(&workers), metrics: String::new() });
        for _ in 0..40 {
            let name = &picture.app().unwrap().name;
            assert!(drawn(80, 24, &picture).contains(&format!("> {name} ")), "{name}");
            picture.choose(true);
        }
    }
}
