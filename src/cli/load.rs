//! The configuration in effect: flags over environment over file over defaults, and from which
//! of them each value comes.

use super::arguments::Source;
use super::{descriptors, environment};
use clap::ArgMatches;
use clap::parser::ValueSource;
use ringway::config::{
    AccessLog, Certificate, Config, Diagnostics, FILE_BYTES_MAX, Protocol, Runtime, StateFile,
    TextFormat, WrittenKeys, text_of,
};
use ringway::sys::file;
use ringway::sys::rlimit::{Resource, limit};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind::InvalidData};
use std::path::{Path, PathBuf};

/// A configuration and the origin of its values.
#[derive(Debug, Default)]
pub(super) struct Effective {
    pub(super) config: Config,
    pub(super) config_file: Option<PathBuf>,
    /// The default of `max_connections`.
    pub(super) connections_when_unset: usize,
    written: WrittenKeys,
    given: BTreeMap<String, Origin>,
    /// The environment variables of keys.
    variables: BTreeMap<String, String>,
}

/// The key that follows from the limit of open files.
const MAX_CONNECTIONS: &str = "runtime.max_connections";

/// The default path of the configuration file.
pub(super) const DEFAULT_FILE: &str = "/etc/ringway/ringway.toml";

/// The arguments that stand for a file.
const OF_ADDRESSES: [&str; 6] =
    ["listen", "backend", "algorithm", "protocol", "tls_cert", "tls_key"];

/// Set by systemd (systemd.exec(5), StateDirectory=).
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// The origin of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Flag,
    Environment,
    File,
    /// It follows from the limit of open files.
    Limit,
    Default,
}

impl Origin {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Limit => "open-file limit",
            Self::Default => "default",
        }
    }
}

impl Effective {
    /// A configuration without flags or variables.
    pub(super) fn of(config: Config, written: WrittenKeys) -> Self {
        Self { config, written, ..Self::default() }
    }

    /// Sets `max_connections` to what the limit of open files allows, unless it is configured.
    pub(super) fn follow_limit(&mut self) {
        // A limit that cannot be read is ignored.
        let (_, files) = limit(Resource::OpenFiles).unwrap_or((u64::MAX, u64::MAX));
        self.take_unset_connections(descriptors::fitting(&self.config, files));
    }

    /// The same with a given default.
    pub(super) fn take_unset_connections(&mut self, count: usize) {
        self.connections_when_unset = count;
        let is_other = self.config.runtime.max_connections != count;
        if self.set_connections().is_none() && is_other {
            self.config.runtime.max_connections = count;
            self.given.insert(MAX_CONNECTIONS.to_owned(), Origin::Limit);
        }
    }

    /// The configured number of connections.
    pub(super) fn set_connections(&self) -> Option<usize> {
        let is_set = !matches!(self.origin(MAX_CONNECTIONS), Origin::Limit | Origin::Default);
        is_set.then_some(self.config.runtime.max_connections)
    }

    /// The variable of the environment that the value under a key path is from.
    pub(super) fn variable(&self, key_path: &str) -> Option<&str> {
        self.variables.get(key_path).map(String::as_str)
    }

    /// The origin of the value under a key path as of [`WrittenKeys`].
    pub(super) fn origin(&self, key_path: &str) -> Origin {
        match self.given.get(key_path) {
            Some(origin) => *origin,
            None if self.written.contains(key_path) => Origin::File,
            None => Origin::Default,
        }
    }
}

/// The error of a configuration that cannot be loaded.
#[derive(Debug)]
pub(super) enum LoadError {
    /// The arguments contradict each other.
    Usage(String),
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file is not a configuration.
    Invalid(Diagnostics),
    /// The certificate that flags name cannot be served.
    Certificate(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Certificate(message) => f.write_str(message),
            Self::Unreadable(path, error) => {
                write!(f, "cannot read `{}`: {error}", path.display())
            }
            Self::Invalid(diagnostics) => {
                let count = diagnostics.problems.len() + diagnostics.more;
                let noun = if count == 1 { "error" } else { "errors" };
                write!(f, "{count} {noun} in the configuration\n\n{diagnostics}")
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// The place of the configuration by the arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// In a file.
    File(PathBuf),
    /// In the arguments themselves: addresses to listen on and backends.
    Addresses,
    /// Nowhere.
    Nothing,
}

/// Loads the configuration by the arguments.
pub(super) fn load(source: Source, matches: &ArgMatches) -> Result<Effective, LoadError> {
    if chosen(&source, matches)? == Chosen::Nothing {
        let message = format!(
            "nothing to run: give FILE, or --listen IP:PORT and --backend IP:PORT; without them \
             {DEFAULT_FILE} is looked for; for a first look try `ringway demo`"
        );
        return Err(LoadError::Usage(message));
    }
    load_or_default(source, matches)
}

/// Like [`load`]; without a file, a listener and a backend it has only defaults.
pub(super) fn load_or_default(
    source: Source,
    matches: &ArgMatches,
) -> Result<Effective, LoadError> {
    let mut effective = match chosen(&source, matches)? {
        Chosen::File(path) => {
            let (config, written) = read_config(&path, file::read)?;
            Effective { config_file: Some(path), ..Effective::of(config, written) }
        }
        Chosen::Addresses => from_flags(&source, matches)?,
        Chosen::Nothing => Effective::default(),
    };
    lay_over(&mut effective, source, matches);
    effective.follow_limit();
    Ok(effective)
}

/// The origin of an argument; [`Origin::Default`] if it was not given.
fn given(matches: &ArgMatches, id: &str) -> Origin {
    match matches.value_source(id) {
        Some(ValueSource::CommandLine) => Origin::Flag,
        Some(ValueSource::EnvVariable) => Origin::Environment,
        _ => Origin::Default,
    }
}

/// Chooses the place of the configuration. A file and single addresses exclude each other, but a
/// flag goes before the environment here too.
pub(super) fn chosen(source: &Source, matches: &ArgMatches) -> Result<Chosen, LoadError> {
    let (file, file_origin) = match (&source.file, &source.config, given(matches, "config")) {
        (Some(_), Some(_), Origin::Flag) => {
            let message = "the file is given twice: leave --config or FILE out";
            return Err(LoadError::Usage(message.to_owned()));
        }
        (Some(file), _, _) => (file, Origin::Flag),
        (None, Some(file), origin) => (file, origin),
        (None, None, _) if !source.listen.is_empty() || !source.backend.is_empty() => {
            return Ok(Chosen::Addresses);
        }
        (None, None, _) => {
            let file = Path::new(DEFAULT_FILE);
            let is_there = file.exists();
            return Ok(if is_there { Chosen::File(file.to_owned()) } else { Chosen::Nothing });
        }
    };
    let origins = OF_ADDRESSES.map(|id| (id, given(matches, id)));
    if file_origin == Origin::Environment && origins.iter().any(|(_, at)| *at == Origin::Flag) {
        return Ok(Chosen::Addresses);
    }
    let path = file.display();
    match origins.iter().find(|(_, origin)| *origin != Origin::Default) {
        None => Ok(Chosen::File(file.clone())),
        Some((id, Origin::Environment)) => Err(LoadError::Usage(format!(
            "{} cannot be used with the file {path}: unset it, or write it into the file",
            environment::variable(id)
        ))),
        Some((id, _)) => Err(LoadError::Usage(format!(
            "{} cannot be used with the file {path}: write it into the file",
            flag(id)
        ))),
    }
}

/// The flag of an argument.
fn flag(id: &str) -> String {
    format!("--{}", id.replace('_', "-"))
}

fn from_flags(source: &Source, matches: &ArgMatches) -> Result<Effective, LoadError> {
    let algorithm = source.algorithm.unwrap_or_default();
    let protocol = source.protocol.unwrap_or_default();
    let config = Config::quick_of_entries(&source.listen, &source.backend, algorithm, protocol)
        .map_err(|message| LoadError::Usage(format!("{}: {message}", given_addresses(matches))))?;
    let mut effective = Effective { config, ..Effective::default() };
    if let Some(certificate) = certificate(source, protocol)? {
        effective.config.certificates.push(certificate);
        for (key, id) in [("chain", "tls_cert"), ("key", "tls_key")] {
            effective.given.insert(format!("certificate[0].{key}"), given(matches, id));
        }
    }
    for index in 0..source.listen.len() {
        for (key, id) in [("address", "listen"), ("protocol", "protocol")] {
            effective.given.insert(format!("listener[{index}].{key}"), given(matches, id));
        }
    }
    for index in 0..source.backend.len() {
        for key in ["address", "weight"] {
            let key = format!("pool.default.backend[{index}].{key}");
            effective.given.insert(key, given(matches, "backend"));
        }
    }
    effective.given.insert("pool.default.algorithm".to_owned(), given(matches, "algorithm"));
    Ok(effective)
}

/// The certificate by the flags, which HTTPS needs and nothing else has.
fn certificate(source: &Source, protocol: Protocol) -> Result<Option<Certificate>, LoadError> {
    let usage = |message: &str| LoadError::Usage(message.to_owned());
    let chain = match (&source.tls_cert, &source.tls_key, protocol) {
        (Some(chain), _, Protocol::Https) => chain,
        (None, _, Protocol::Https) => {
            return Err(usage(
                "--protocol https needs a certificate: give --tls-cert FILE and --tls-key FILE; \
                 `ringway cert self-signed localhost` makes both for a first look",
            ));
        }
        (Some(_), _, _) | (None, Some(_), _) => {
            return Err(usage("--tls-cert and --tls-key need --protocol https"));
        }
        (None, None, _) => return Ok(None),
    };
    let [chain, key] = [chain, source.tls_key.as_ref().unwrap_or(chain)]
        .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    let load = |path: &Path| file::read_regular(path, FILE_BYTES_MAX);
    Certificate::load(chain, key, &load).map(Some).map_err(LoadError::Certificate)
}

/// The flags or variables that give the addresses.
fn given_addresses(matches: &ArgMatches) -> String {
    let names = ["listen", "backend"].map(|id| match given(matches, id) {
        Origin::Environment => environment::variable(id),
        _ => flag(id),
    });
    names.join(" and ")
}

/// The arguments that override a configuration, with the keys that they set.
struct Overlay<'a> {
    matches: &'a ArgMatches,
    given_keys: &'a mut BTreeMap<String, Origin>,
    variables: &'a mut BTreeMap<String, String>,
}

impl Overlay<'_> {
    /// Sets the `target` under `key` if the argument was given, and records its origin.
    fn set<T>(&mut self, id: &str, key: &str, target: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *target = value;
            self.note(id, key);
        }
    }

    fn note(&mut self, id: &str, key: &str) {
        let origin = given(self.matches, id);
        self.given_keys.insert(key.to_owned(), origin);
        if origin == Origin::Environment {
            self.variables.insert(key.to_owned(), environment::variable(id));
        }
    }
}

/// Applies the flags and the environment to the configuration.
pub(super) fn lay_over(effective: &mut Effective, source: Source, matches: &ArgMatches) {
    let Effective { config, given: given_keys, variables, .. } = effective;
    let mut over = Overlay { matches, given_keys, variables };
    lay_over_runtime(&mut over, &mut config.runtime, &source);
    let Source { access_log, admin, admin_listen, state_file, .. } = source;
    over.set("state_file", "runtime.state_file", &mut config.runtime.state_file, state_file);
    lay_over_state_directory(&mut over, &mut config.runtime);
    let socket = admin.map(|socket| socket.0);
    over.set("admin", "admin.socket", &mut config.admin.socket, socket);
    let listen = admin_listen.map(|address| address.0);
    over.set("admin_listen", "admin.listen", &mut config.admin.listen, listen);
    if let Some(path) = access_log {
        match &mut config.access_log {
            Some(log) => log.path = path,
            none => *none = Some(AccessLog::at(path)),
        }
        over.note("access_log", "access_log.path");
    }
}

/// Sets the default state file if systemd gives a directory for it (systemd.exec(5),
/// StateDirectory=).
fn lay_over_state_directory(over: &mut Overlay<'_>, runtime: &mut Runtime) {
    let Some(folders) = std::env::var_os(STATE_DIRECTORY) else { return };
    // There may be several, with colons in between.
    let first = std::env::split_paths(&folders).next().filter(|first| first.is_absolute());
    if let (Some(folder), StateFile::Given) = (first, &runtime.state_file) {
        runtime.state_file = StateFile::At(folder.join("state.json"));
        let key = "runtime.state_file".to_owned();
        over.given_keys.insert(key.clone(), Origin::Environment);
        over.variables.insert(key, STATE_DIRECTORY.to_owned());
    }
}

fn lay_over_runtime(over: &mut Overlay<'_>, runtime: &mut Runtime, source: &Source) {
    over.set("shards", "runtime.shards", &mut runtime.shards, source.shards.clone());
    let size = &mut runtime.buffer_size;
    over.set("buffer_size", "runtime.buffer_size", size, source.buffer_size);
    let buffers = &mut runtime.buffers_per_shard;
    over.set("buffers_per_shard", "runtime.buffers_per_shard", buffers, source.buffers_per_shard);
    let entries = &mut runtime.ring_entries;
    over.set("ring_entries", "runtime.ring_entries", entries, source.ring_entries);
    let most = &mut runtime.max_connections;
    over.set("max_connections", MAX_CONNECTIONS, most, source.max_connections);
    let format = &mut runtime.log_format;
    over.set("log_format", "runtime.log_format", format, source.log_format);
}

/// A function that reads the configuration file: [`file::read`] before the process serves, because
/// then it may be a pipe, as of `<(…)`; [`file::read_regular`] afterwards.
pub(super) type ReadFile = fn(&Path, usize) -> io::Result<Vec<u8>>;

/// True for `-`, which means standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The configuration in a file, and the keys that it has.
pub(super) fn read_config(path: &Path, read: ReadFile) -> Result<(Config, WrittenKeys), LoadError> {
    let unreadable = |error| LoadError::Unreadable(path.to_owned(), error);
    let bytes = read(path, FILE_BYTES_MAX).map_err(unreadable)?;
    let text = text_of(bytes).map_err(|why| unreadable(io::Error::new(InvalidData, why)))?;
    let folder = folder_of(Some(path));
    let name = if is_stdin(path) { "<stdin>".to_owned() } else { path.display().to_string() };
    let (mut config, written) =
        Config::parse_as(TextFormat::Toml, &text, &name, &|file| read_named(folder, file))
            .map_err(LoadError::Invalid)?;
    resolve_paths(&mut config, folder);
    Ok((config, written))
}

/// The folder of the files that a configuration names: that of its own file, if it has one.
pub(super) fn folder_of(config: Option<&Path>) -> &Path {
    let parent = config.and_then(Path::parent).filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Reads a file that a configuration names.
pub(super) fn read_named(folder: &Path, file: &Path) -> io::Result<Vec<u8>> {
    file::read_regular(&folder.join(file), FILE_BYTES_MAX)
}

/// Makes the paths absolute, so that the output of `config dump` is valid in any folder.
pub(super) fn resolve_paths(config: &mut Config, folder: &Path) {
    config.resolve_paths(&std::path::absolute(folder).unwrap_or(folder.to_owned()));
}
