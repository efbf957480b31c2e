//! Counters of one shard. The shard is their only writer, so counting is a load and a store.

use super::CloseReason;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($variant:ident $name:literal $help:literal;)*) => {
        /// A counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter {
            $(#[doc = $help] $variant,)*
        }

        impl Counter {
            /// Every counter.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name of the metric.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HELP text of the metric, a sentence.
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

counters! {
    ConnectionsAccepted "ringway_connections_accepted_total" "Client connections that became sessions.";
    ConnectionsClosed "ringway_connections_closed_total" "Client connections that were closed.";
    ConnectionsHandedOver "ringway_connections_handed_over_total" "Accepted connections that were handed over to a less loaded shard.";
    ClientLimitRejections "ringway_client_limit_rejections_total" "Connections closed because their client had reached its limit.";
    TlsHandshakes "ringway_tls_handshakes_total" "TLS handshakes of clients that were completed.";
    TlsResumptions "ringway_tls_resumptions_total" "TLS handshakes of clients that resumed an earlier session.";
    TlsHandshakeFailures "ringway_tls_handshake_failures_total" "TLS handshakes of clients that failed.";
    Http2Connections "ringway_http2_connections_total" "Connections of clients that began to speak HTTP/2.";
    Http2StreamResets "ringway_http2_stream_resets_total" "Streams of HTTP/2 that clients reset.";
    Http2FloodDrains "ringway_http2_flood_drains_total" "Connections of HTTP/2 that were drained at three quarters of a limit of the section http2.";
    AcceptFailures "ringway_accept_failures_total" "Failed accepts, and failed receives of UDP listeners, for want of descriptors or memory.";
    Requests "ringway_requests_total" "Requests that were sent to a pool.";
    Responses1xx "ringway_responses_1xx_total" "Interim and switching answers to clients.";
    Responses2xx "ringway_responses_2xx_total" "Successful answers to clients.";
    Responses3xx "ringway_responses_3xx_total" "Redirections to clients.";
    Responses4xx "ringway_responses_4xx_total" "Client error answers to clients.";
    Responses5xx "ringway_responses_5xx_total" "Server error answers to clients.";
    ClientBytesReceived "ringway_client_received_bytes_total" "Bytes received from clients.";
    ClientBytesSent "ringway_client_sent_bytes_total" "Bytes sent to clients.";
    UpstreamBytesReceived "ringway_upstream_received_bytes_total" "Bytes received from backends.";
    UpstreamBytesSent "ringway_upstream_sent_bytes_total" "Bytes sent to backends.";
    FlowsOpened "ringway_flows_opened_total" "Flows of datagrams that began.";
    ClientDatagramsReceived "ringway_client_received_datagrams_total" "Datagrams received from clients.";
    ClientDatagramsSent "ringway_client_sent_datagrams_total" "Datagrams sent to clients.";
    UpstreamDatagramsReceived "ringway_upstream_received_datagrams_total" "Datagrams received from backends.";
    UpstreamDatagramsSent "ringway_upstream_sent_datagrams_total" "Datagrams sent to backends.";
    DatagramsTruncated "ringway_datagrams_truncated_total" "Datagrams dropped because they were longer than the longest packet.";
    DatagramsTooLong "ringway_datagrams_too_long_total" "Datagrams dropped because they are too long to be sent on, a PROXY protocol header included.";
    DatagramsUnsent "ringway_datagrams_unsent_total" "Datagrams dropped because the kernel could not send them at that moment.";
    DatagramsUnserved "ringway_datagrams_unserved_total" "Datagrams of clients dropped because no backend was available for a flow.";
    DatagramsCrowdedOut "ringway_datagrams_crowded_out_total" "Datagrams dropped because more flows were to begin at once than a shard has time for.";
    FlowLimitRejections "ringway_flow_limit_rejections_total" "Datagrams dropped because their client, or the listener, had reached its limit of flows.";
    UpstreamConnects "ringway_upstream_connects_total" "Connection attempts to backends.";
    UpstreamConnectFailures "ringway_upstream_connect_failures_total" "Failed connection attempts to backends.";
    UpstreamNoLocalPort "ringway_upstream_no_local_port_total" "Connection attempts for which no local port was free for the backend's address.";
    UpstreamNoSource "ringway_upstream_no_source_total" "Connection attempts that could not come from the configured source.";
    UpstreamTlsHandshakes "ringway_upstream_tls_handshakes_total" "TLS handshakes with backends that were completed.";
    UpstreamTlsResumptions "ringway_upstream_tls_resumptions_total" "TLS handshakes with backends that resumed an earlier session.";
    UpstreamReuses "ringway_upstream_reuses_total" "Exchanges on a reused idle connection.";
    Retries "ringway_retries_total" "Exchanges that were retried.";
    RetriesDenied "ringway_retries_denied_total" "Exchanges that were not retried because the retry budget of their pool was used up.";
    TrailersDropped "ringway_trailers_dropped_total" "Trailer sections of HTTP/2 that were not forwarded, because HTTP/1.1 has no place for them behind a body with a Content-Length.";
    LateCompletions "ringway_late_completions_total" "Completions of operations whose owner was closed.";
    ReceiveRingEmpty "ringway_receive_ring_empty_total" "Receives for which no buffer was free.";
    AccessLogDropped "ringway_access_log_dropped_total" "Exchanges that were not recorded because the queue of the access log was full.";
    ShardPanics "ringway_shard_panics_total" "Panics of a shard.";
}

/// The counters of one shard, on cache lines of their own.
#[repr(align(128))]
pub struct Counters {
    values: [AtomicU64; Counter::ALL.len()],
    closes: [AtomicU64; CloseReason::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            values: [const { AtomicU64::new(0) }; Counter::ALL.len()],
            closes: [const { AtomicU64::new(0) }; CloseReason::ALL.len()],
        }
    }
}

impl Counters {
    /// Adds to a counter. Only the shard that owns the counters may call this.
    pub fn add(&self, counter: Counter, count: u64) {
        bump(&self.values[counter as usize], count);
    }

    /// Counts a session that ended.
    pub fn add_close(&self, reason: CloseReason) {
        bump(&self.closes[reason as usize], 1);
    }

    /// The value of a counter.
    pub fn read(&self, counter: Counter) -> u64 {
        self.values[counter as usize].load(Ordering::Relaxed)
    }

    /// Sessions that ended for a reason.
    pub fn read_closes(&self, reason: CloseReason) -> u64 {
        self.closes[reason as usize].load(Ordering::Relaxed)
    }
}

fn bump(cell: &AtomicU64, count: u64) {
    cell.store(cell.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_what_they_are() {
        let mut names: Vec<_> = Counter::ALL.iter().map(|counter| counter.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Counter::ALL.len());
        assert!(names.iter().all(|name| name.starts_with("ringway_") && name.ends_with("_total")));
        assert!(Counter::ALL.iter().all(|counter| counter.help().ends_with('.')));
    }

    #[test]
    fn counts_what_is_added() {
        let counters = Counters::default();
        counters.add(Counter::Requests, 2);
        counters.add(Counter::Requests, 3);
        counters.add_close(CloseReason::ClientIdle);
        assert_eq!(counters.read(Counter::Requests), 5);
        assert_eq!(counters.read_closes(CloseReason::ClientIdle), 1);
    }
}
