//! The metrics that Prometheus expects of every process, under the names of its client libraries,
//! and metrics of configurations.

use super::text::Text;
use crate::coordinator::reload::Loaded;
use crate::sys::clock;
use crate::sys::rlimit::{Resource, limit};
use std::fs;
use std::os::unix::fs::MetadataExt;

pub(super) fn process(text: &mut Text, loaded: &Loaded) {
    let name = "process_cpu_seconds_total";
    text.family(name, "counter", "CPU time of the process, user and system.");
    text.sample(name, &[], clock::process_cpu().as_secs_f64());
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let threads = status_field(&status, "Threads:");
    let bytes = |field: &str| status_field(&status, field).map(|kib| kib * 1024.0);
    let began = Some(loaded.began_ms as f64 / 1e3);
    let max_fds = limit(Resource::OpenFiles).ok().map(|(soft, _)| soft as f64);
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory in RAM.", bytes("VmRSS:")),
        ("process_virtual_memory_bytes", "Address space.", bytes("VmSize:")),
        ("process_open_fds", "Open descriptors.", open_descriptors()),
        ("process_max_fds", "Descriptors that may be open.", max_fds),
        ("process_threads", "Threads.", threads),
        ("process_start_time_seconds", "When it began, seconds since 1970.", began),
    ] {
        if let Some(value) = value {
            text.family(name, "gauge", help);
            text.sample(name, &[], value);
        }
    }
}

/// A number of /proc/self/status.
fn status_field(status: &str, field: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn open_descriptors() -> Option<f64> {
    // Linux 6.2 and later have the number as a size; to list a million of them takes long.
    match fs::metadata("/proc/self/fd").ok()?.size() {
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64),
        count => Some(count as f64),
    }
}

pub(super) fn configuration(text: &mut Text, loaded: &Loaded) {
    let name = "ringway_config_info";
    text.family(name, "gauge", "The digest of the configuration in force; the value is always 1.");
    text.sample(name, &[("digest", &loaded.digest.to_string())], 1);
    let succeeded = loaded.loaded_ms as f64 / 1e3;
    for (name, help, value) in [
        (
            "ringway_config_version",
            "Configurations loaded since the start, which is the first.",
            loaded.version as f64,
        ),
        (
            "ringway_config_last_reload_successful",
            "1 unless the newest configuration was refused.",
            f64::from(u8::from(!loaded.last_refused)),
        ),
        (
            "ringway_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was loaded, seconds since 1970.",
            succeeded,
        ),
    ] {
        text.family(name, "gauge", help);
        text.sample(name, &[], value);
    }
    let name = "ringway_config_reloads_total";
    text.family(name, "counter", "Reloads by result.");
    text.sample(name, &[("result", "success")], loaded.version - 1);
    text.sample(name, &[("result", "refused")], loaded.refused);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_this_process() {
        let status = fs::read_to_string("/proc/self/status").expect("it is there");
        assert!(status_field(&status, "VmRSS:").is_some_and(|kib| kib > 100.0), "{status}");
        assert!(status_field(&status, "Threads:").is_some_and(|count| count >= 1.0));
        assert_eq!(status_field(&status, "Nothing:"), None);
        assert!(open_descriptors().is_some_and(|count| count >= 3.0));
        assert!(clock::process_cpu() > std::time::Duration::ZERO);
    }
}
