//! Recognises a text that is no TOML: the configuration of another program, or one with typographic
//! quotes.

use std::ops::Range;

/// Lines that are read: the beginning is enough.
const LINES_MAX: usize = 200;

/// The recognised kind of text, and the remedy.
#[derive(Debug)]
pub(in crate::config) struct Guess {
    /// The place by which it was recognised.
    pub(in crate::config) span: Range<usize>,
    pub(in crate::config) message: String,
    pub(in crate::config) help: &'static str,
}

const SEE: &str = "Ringway reads TOML: begin with config/ringway.toml, the annotated reference, \
                   and try the result with `ringway check FILE`";

const JSON: &str = "JSON";
const SEE_JSON: &str = "files are TOML, as config/ringway.toml, the annotated reference; the admin \
                        API takes JSON too, with `Content-Type: application/json`";

/// The kind of a text whose first error is at `wrong`; none if it looks like TOML with errors.
pub(in crate::config) fn guess(text: &str, wrong: usize) -> Option<Guess> {
    if let Some(guess) = quotes(text, wrong).or_else(|| line_ends(text)) {
        return Some(guess);
    }
    let kinds: [fn(&str) -> Option<&'static str>; 5] = [json, haproxy, nginx, yaml, braces];
    let lines = lines(text).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<(usize, &str)> = lines.take(LINES_MAX).collect();
    // A line that is valid TOML, and so speaks against the recognised kind.
    if lines.iter().any(|(_, line)| is_toml(line)) {
        return None;
    }
    let found = kinds.iter().find_map(|kind| {
        let first = lines.iter().find_map(|(at, line)| Some((*at, *line, kind(line)?)));
        first.map(|(at, line, what)| (at..at + line.len(), what))
    });
    let (span, what) = found?;
    let what = if what == YAML { yaml_of(text) } else { what };
    let help = if what == JSON { SEE_JSON } else { SEE };
    Some(Guess { span, message: format!("this looks like {what}"), help })
}

/// The lines without the blanks around them, each with its place.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = text.as_ptr() as usize;
    text.lines().map(str::trim).map(move |line| (line.as_ptr() as usize - start, line))
}

/// Lines that all end as on the oldest Macs.
fn line_ends(text: &str) -> Option<Guess> {
    let at = text.find('\r').filter(|_| !text.contains('\n'))?;
    Some(Guess {
        span: at..at + 1,
        message: "lines end with CR alone".to_owned(),
        help: "end them with LF or CRLF, as `tr '\\r' '\\n' <OLD >NEW` does",
    })
}

/// A typographic quote on the line that is wrong.
fn quotes(text: &str, wrong: usize) -> Option<Guess> {
    let line_start = text.get(..wrong)?.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next()?;
    let line = line.split('#').next()?;
    let (at, quote) = line.char_indices().find(|(_, c)| "“”„‟‘’‚«»".contains(*c))?;
    let start = line_start + at;
    Some(Guess {
        span: start..start + quote.len_utf8(),
        message: format!("`{quote}` is a typographic quote"),
        help: "write \" instead, here and wherever else it is; word processors and web pages \
               change quotes",
    })
}

/// `[table]` or `key = value`.
fn is_toml(line: &str) -> bool {
    let is_key = |key: &str| {
        !key.is_empty()
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    let is_value = |value: &str| {
        value.starts_with(['"', '\'', '[', '{', '-'])
            || value.starts_with(|c: char| c.is_ascii_digit())
            || value.starts_with("true")
            || value.starts_with("false")
    };
    let header = line.strip_prefix('[').and_then(|rest| rest.split(']').next());
    header.is_some_and(|header| is_key(header.trim_start_matches('[')))
        || line
            .split_once('=')
            .is_some_and(|(key, value)| is_key(key.trim()) && is_value(value.trim()))
}

fn json(line: &str) -> Option<&'static str> {
    let within = line.strip_prefix('{')?.trim_start();
    (within.is_empty() || within.starts_with(['"', '}'])).then_some(JSON)
}

fn haproxy(line: &str) -> Option<&'static str> {
    let mut words = line.split_whitespace();
    let is_section = match (words.next()?, words.next(), words.next()) {
        ("global" | "defaults", None, _) => true,
        ("frontend" | "backend" | "listen" | "userlist" | "resolvers", Some(name), rest) => {
            name != "{" && !name.ends_with(';') && rest.is_none_or(|rest| rest != "{")
        }
        _ => false,
    };
    is_section.then_some("an HAProxy configuration")
}

fn nginx(line: &str) -> Option<&'static str> {
    let first = line.split_whitespace().next()?;
    let is_block = ["http", "server", "upstream", "events", "location", "stream"].contains(&first)
        && line.ends_with('{');
    let is_directive = line.ends_with(';')
        && ["worker_processes", "listen", "server_name", "proxy_pass", "user", "include", "server"]
            .contains(&first);
    (is_block || is_directive).then_some("an nginx configuration")
}

const YAML: &str = "YAML";

fn yaml(line: &str) -> Option<&'static str> {
    let item = line.strip_prefix("- ").unwrap_or(line);
    let is_key = item.split_once(':').is_some_and(|(key, value)| {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte);
        !key.is_empty() && key.bytes().all(is_word) && (value.is_empty() || value.starts_with(' '))
    });
    (line == "---" || is_key).then_some(YAML)
}

/// The program of a YAML text.
fn yaml_of(text: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match () {
        () if has(&["static_resources:", "dynamic_resources:"]) => "an Envoy configuration (YAML)",
        () if has(&["entryPoints:", "routers:"]) => "a Traefik configuration (YAML)",
        () if has(&["apiVersion:"]) => "a Kubernetes manifest (YAML)",
        () => YAML,
    }
}

fn braces(line: &str) -> Option<&'static str> {
    let first = line.split_whitespace().next()?;
    let is_block = line.ends_with('{') && !line.contains('=');
    let is_directive = ["reverse_proxy", "file_server", "handle_path"].contains(&first);
    (is_block || is_directive).then_some("a Caddyfile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_others_are_known_by_their_first_lines() {
        for (text, what) in [
            ("global\n    maxconn 5\ndefaults\n    mode http\n", "an HAProxy"),
            ("# x\nfrontend web\n  bind :80\nbackend app\n  server a 10.0.0.1:80\n", "an HAProxy"),
            ("worker_processes auto;\nevents {}\nhttp {\n}\n", "an nginx"),
            ("upstream app {\n  server 10.0.0.1:80;\n}\nserver {\n  listen 80;\n}\n", "an nginx"),
            ("example.com {\n  reverse_proxy 10.0.0.1:80\n}\n", "a Caddyfile"),
            ("example.com\n\nreverse_proxy 10.0.0.1:80\n", "a Caddyfile"),
            ("entryPoints:\n  web:\n    address: \":80\"\n", "a Traefik"),
            ("static_resources:\n  listeners:\n  - name: a\n", "an Envoy"),
            ("apiVersion: v1\nkind: Service\n", "a Kubernetes"),
            ("---\nlisteners:\n  - web\n", "YAML"),
            ("{\n  \"listener\": []\n}\n", "JSON"),
            ("{ \"listener\": [] }", "JSON"),
        ] {
            let found = guess(text, 0).unwrap_or_else(|| panic!("{text}"));
            assert!(found.message.starts_with(&format!("this looks like {what}")), "{found:?}");
        }
        for toml in ["[runtime]\nshards =\n", "a b\n", "name = \"x\"\nfrontend web\n", "", "]"] {
            assert!(guess(toml, 0).is_none(), "{toml}");
        }
    }

    #[test]
    fn a_typographic_quote_is_named_where_it_is() {
        let text = "[[listener]]\nname = “web”\n";
        let found = guess(text, 20).expect("it has some");
        assert_eq!(&text[found.span], "“");
        assert!(guess("a = \"“\"\nb =\n", 11).is_none(), "on another line, and right there");
    }
}
