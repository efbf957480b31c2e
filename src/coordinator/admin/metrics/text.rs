//! The text format of Prometheus (exposition format 0.0.4).

use std::fmt::Write;

/// The media type of the format.
pub(in crate::coordinator::admin) const MEDIA_TYPE: &str =
    "text/plain; version=0.0.4; charset=utf-8";

/// A text that grows by families of metrics.
#[derive(Default)]
pub(in crate::coordinator::admin) struct Text(pub(super) String);

impl Text {
    pub(in crate::coordinator::admin) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(in crate::coordinator::admin) fn sample(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escaped(text));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
