//! The sections of the process and of all listeners: `[runtime]` to `[access_log]`.

use super::{PrintedSection, count, duration, number, optional_path, path_text, text, texts};
use crate::config::choices::Choice;
use crate::config::model::{AccessLog, Admin, Body, Config, ErrorAnswer, Http, Runtime, Timeouts};
use crate::config::units::print_size;
use crate::config::values::print_shards;
use toml::Value;

pub(super) fn sections(config: &Config) -> Vec<PrintedSection> {
    let mut sections = vec![
        runtime_section(&config.runtime),
        timeouts_section(&config.timeouts),
        admin_section(&config.admin),
        http_section(&config.http),
    ];
    let answers = config.error_answers.iter().enumerate();
    sections.extend(answers.map(|(index, answer)| error_answer_section(index, answer)));
    sections.extend(config.access_log.as_ref().map(access_log_section));
    sections
}

fn runtime_section(runtime: &Runtime) -> PrintedSection {
    PrintedSection::table(
        "runtime",
        vec![
            ("shards", text(print_shards(&runtime.shards))),
            ("buffer_size", text(print_size(runtime.buffer_size as u64))),
            ("buffers_per_shard", count(runtime.buffers_per_shard)),
            ("ring_entries", number(runtime.ring_entries)),
            ("max_connections", count(runtime.max_connections)),
            ("max_connections_per_client", count(runtime.max_connections_per_client)),
            ("backlog", number(runtime.backlog)),
            ("state_file", text(&runtime.state_file)),
            ("dns_servers", texts(&runtime.dns_servers)),
            ("log_format", text(runtime.log_format)),
        ],
    )
}

fn timeouts_section(timeouts: &Timeouts) -> PrintedSection {
    let values = [
        ("connect", timeouts.connect),
        ("request_head", timeouts.request_head),
        ("idle", timeouts.idle),
        ("between_bytes", timeouts.between_bytes),
        ("tunnel", timeouts.tunnel),
        ("drain", timeouts.drain),
        ("lame_duck", timeouts.lame_duck),
        ("linger", timeouts.linger),
    ];
    let printed = values.map(|(key, timeout)| (key, duration(timeout)));
    PrintedSection::table("timeouts", printed.to_vec())
}

fn http_section(http: &Http) -> PrintedSection {
    PrintedSection::table(
        "http",
        vec![
            ("underscore_names", text(http.underscore_names.word())),
            ("via", text(&http.via)),
            ("trusted_proxies", texts(&http.trusted_proxies)),
            ("upgrade_protocols", texts(&http.upgrade_protocols)),
            ("connect", text(http.connect)),
            ("half_close", text(http.half_close)),
            ("head_bytes_max", text(print_size(http.head_bytes_max as u64))),
            ("request_body_max", text(print_size(http.request_body_max))),
        ],
    )
}

fn admin_section(admin: &Admin) -> PrintedSection {
    let uids = admin.allow_uids.iter().map(|uid| number(*uid)).collect();
    let listen = admin.listen.map(|address| address.to_string()).unwrap_or_default();
    PrintedSection::table(
        "admin",
        vec![
            ("socket", optional_path(admin.socket.as_ref())),
            ("allow_uids", Value::Array(uids)),
            ("listen", text(listen)),
        ],
    )
}

fn error_answer_section(index: usize, answer: &ErrorAnswer) -> PrintedSection {
    let body = match &answer.body {
        Body::Text(body) => ("body", text(body)),
        Body::File { path, .. } => ("file", path_text(path)),
    };
    let status = ("status", Value::Integer(answer.status.into()));
    let content_type = ("content_type", text(&answer.content_type));
    PrintedSection::element("error_answer", index, vec![status, content_type, body])
}

fn access_log_section(log: &AccessLog) -> PrintedSection {
    let values =
        vec![("path", text(&log.path)), ("format", text(log.format)), ("queue", count(log.queue))];
    PrintedSection::table("access_log", values)
}
