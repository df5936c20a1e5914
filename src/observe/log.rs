//! The log: lines for people or JSON for collectors, always on stderr, because stdout belongs to machine output. It is
//! started once, by the command line.

use crate::config::observe::{LogFormat, Observe};
use crate::observe::redact;
use crate::record::CallRecord;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// The environment variable with the filter, for example `info,trunkline::room=debug`.
pub const FILTER_VARIABLE: &str = "RUST_LOG";

/// What is logged if nobody says otherwise.
const STANDARD_FILTER: &str = "info";

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("{FILTER_VARIABLE} is no log filter: {0}; write for example `info,trunkline::room=debug`")]
    Filter(#[from] ParseError),
    /// Somebody started one before.
    #[error("the log is already started: {0}")]
    Started(#[from] TryInitError),
}

/// Keeps the log's writer alive; dropping it writes what is left.
#[must_use = "the log ends when this is dropped"]
pub struct LogGuard {
    _writer: tracing_appender::non_blocking::WorkerGuard,
}

/// Starts the log of this process and sets whether it hides numbers. Lines are written by a thread of their own: a
/// reader of stderr that stands still costs lines, never calls.
///
/// # Errors
/// An unreadable filter in the environment, or a log that was started before.
pub fn start(section: &Observe) -> Result<LogGuard, LogError> {
    redact::set(section.into());
    let filter = filter(std::env::var(FILTER_VARIABLE).ok().as_deref())?;
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    subscriber(section.log, filter, writer).try_init()?;
    Ok(LogGuard { _writer: guard })
}

/// One line for a call that is over: what an operator greps for.
pub fn call_finished(record: &CallRecord) {
    let end = record.termination.as_ref();
    tracing::info!(
        call = %record.call_id,
        trunk = record.trunk.as_deref().unwrap_or("none"),
        // A field named `target` would hide the module's name in JSON lines.
        to_target = record.target.as_deref().unwrap_or("none"),
        caller = record.caller.as_deref().map(|number| tracing::field::display(redact::number(number))),
        called = record.called.as_deref().map(|number| tracing::field::display(redact::number(number))),
        answered_ms = record.answered_ms,
        duration_ms = record.duration_ms,
        ended_by = record.ended_by.as_deref(),
        reason = end.map(|end| end.cause.entry().code),
        text = end.map(|end| tracing::field::display(end.text())),
        "call finished"
    );
}

fn filter(wanted: Option<&str>) -> Result<EnvFilter, ParseError> {
    match wanted.map(str::trim) {
        None | Some("") => EnvFilter::try_new(STANDARD_FILTER),
        Some(wanted) => EnvFilter::try_new(wanted),
    }
}

/// The subscriber itself, to any writer.
fn subscriber<W>(format: LogFormat, filter: EnvFilter, writer: W) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => {
            let colours =
                std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
            Box::new(lines.with_ansi(colours).finish())
        }
        LogFormat::Json => Box::new(lines.json().flatten_event(true).with_current_span(false).finish()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Cause, Termination};
    use crate::record::{CallId, CallState};
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, wanted: &str) -> String {
        logged(format, wanted, || {
            tracing::info!(call = "tl00-0123456789abcdef", caller = %redact::number("+15550100123"), "call placed");
            tracing::debug!("particulars");
        })
    }

    fn logged(format: LogFormat, wanted: &str, act: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = subscriber(format, filter(Some(wanted)).unwrap(), move || writer.clone());
        tracing::subscriber::with_default(subscriber, act);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_are_one_object_each_with_the_fields_at_the_top() {
        let text = written(LogFormat::Json, "info");
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "call placed");
        assert_eq!(line["call"], "tl00-0123456789abcdef");
        assert_eq!(line["caller"], "+15*******23");
    }

    #[test]
    fn a_finished_call_is_one_line_with_its_reason_and_without_its_numbers() {
        let record = CallRecord {
            call_id: CallId::new(0, "0123456789abcdef01234567"),
            pbx_call_id: "1@192.0.2.1".to_owned(),
            cloud_call_id: None,
            started: std::time::UNIX_EPOCH,
            state: CallState::Ended,
            trunk: Some("pbx".to_owned()),
            target: None,
            fallback: None,
            caller: Some("+15550100123".to_owned()),
            called: None,
            correlation: std::collections::BTreeMap::new(),
            answered_ms: None,
            duration_ms: Some(4),
            ended_by: Some("gateway".to_owned()),
            termination: Some(Termination::new(Cause::NoRoute)),
            daily: None,
            media: Default::default(),
            decisions: vec![],
            timeline: vec![],
        };
        let text = logged(LogFormat::Json, "info", || call_finished(&record));
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(
            (&line["reason"], &line["to_target"], &line["duration_ms"]),
            (&"no_route".into(), &"none".into(), &4.into())
        );
        assert_eq!(line["caller"], "+15*******23");
        assert!(line.get("answered_ms").is_none(), "what is not known is left out: {line}");
    }

    #[test]
    fn text_lines_are_for_people_and_the_filter_holds() {
        let text = written(LogFormat::Text, "info");
        assert!(text.contains("call placed") && !text.contains("particulars"), "{text}");
        assert!(written(LogFormat::Text, "debug").contains("particulars"));
    }

    #[test]
    fn an_empty_filter_means_the_standard_one_and_nonsense_is_refused() {
        assert_eq!(filter(Some(" ")).unwrap().to_string(), STANDARD_FILTER);
        assert!(filter(Some("trunkline=loud")).is_err());
    }
}
