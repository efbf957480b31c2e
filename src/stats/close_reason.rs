//! Why a session ended: one table.

/// The party at fault for the end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No party: the session was complete.
    None,
    /// The client.
    Client,
    /// A backend.
    Backend,
    /// Ringway, or its configured limits.
    Ringway,
    /// The operator ordered it.
    Operator,
}

macro_rules! close_reasons {
    ($($variant:ident $label:literal $fault:ident $text:literal;)*) => {
        /// Why a session ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum CloseReason {
            $(#[doc = $text] $variant,)*
        }

        impl CloseReason {
            /// Every close reason.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The value of the metric's label.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            /// The party at fault.
            pub fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }

            /// A sentence for the log.
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

impl CloseReason {
    /// True if TLS with a backend failed.
    pub fn is_of_backend_tls(self) -> bool {
        self.label().starts_with("backend_tls_")
    }
}

close_reasons! {
    ClientClosed "client_closed" None "The client closed its connection.";
    KeepAliveEnded "keep_alive_ended" None "The last answer was sent.";
    TunnelEnded "tunnel_ended" None "Both sides of a tunnel ended.";
    ClientReset "client_reset" Client "The client reset its connection.";
    ClientIdle "client_idle" None "The client sent no further request in time.";
    HeadTimeout "head_timeout" Client "The client did not send a complete request head, or PROXY protocol header, in time.";
    BodyTimeout "body_timeout" Client "The client stopped sending its request body.";
    ClientStalled "client_stalled" Client "The client stopped reading its answer.";
    DeadlineExceeded "deadline_exceeded" Client "The deadline that the client gave its call was over.";
    MalformedProxyHeader "malformed_proxy_header" Client "The PROXY protocol header was malformed, or came from an address that is not trusted.";
    NotTls "not_tls" Client "The client did not begin with a TLS handshake.";
    UnknownServerName "unknown_server_name" Client "The client asked for a server name that has no route, or for none.";
    CertificateAwaited "certificate_awaited" Ringway "The certificate for the server name was not fetched yet.";
    ChallengeAnswered "challenge_answered" None "The challenge of a certification authority (tls-alpn-01) was answered.";
    ClientCertificateMissing "client_certificate_missing" Client "The client showed no certificate, and had to.";
    ClientCertificateExpired "client_certificate_expired" Client "The client's certificate was no longer valid, or not yet.";
    ClientCertificateUnknownAuthority "client_certificate_unknown_authority" Client "The client's certificate was from no authority that is trusted.";
    ClientCertificateRevoked "client_certificate_revoked" Client "The client's certificate was revoked.";
    ClientCertificateInvalid "client_certificate_invalid" Client "The client's certificate was not accepted, or could not be looked up among those that were revoked.";
    TlsHandshakeFailed "tls_handshake_failed" Client "The TLS handshake failed.";
    TlsBroken "tls_broken" Client "The TLS session broke: a record was malformed, or the client sent an alert.";
    MalformedRequest "malformed_request" Client "The request broke the rules of HTTP/1.1 framing.";
    Http2Fault "http2_fault" Client "The client broke the rules of HTTP/2.";
    Http2SettingsTimeout "http2_settings_timeout" Client "The client of HTTP/2 did not acknowledge our settings in time.";
    Http2ResetFlood "http2_reset_flood" Client "Too many streams of HTTP/2 ended before their response was complete (`max_resets`).";
    Http2PingFlood "http2_ping_flood" Client "Too many PING frames of HTTP/2 (`max_pings`).";
    Http2SettingsFlood "http2_settings_flood" Client "Too many SETTINGS frames of HTTP/2 (`max_settings`).";
    Http2WindowUpdateFlood "http2_window_update_flood" Client "Too many small WINDOW_UPDATE frames of HTTP/2 (`max_window_updates`).";
    Http2EmptyFrameFlood "http2_empty_frame_flood" Client "Too many DATA frames of HTTP/2 without data (`max_empty_frames`).";
    Http2ContinuationFlood "http2_continuation_flood" Client "Too many CONTINUATION frames of HTTP/2 (`max_continuations`, or 8 behind one HEADERS frame).";
    Http2IgnoredFrameFlood "http2_ignored_frame_flood" Client "Too many frames of HTTP/2 without a meaning (`max_ignored_frames`).";
    Http2OversizedHeadFlood "http2_oversized_head_flood" Client "Too many heads of HTTP/2 beyond the limits (`max_oversized_heads`), or one far beyond them.";
    Http2UnreadAnswers "http2_unread_answers" Client "The client of HTTP/2 did not read the answers to its control frames.";
    RequestRefused "request_refused" Client "The request was beyond a limit or cannot be served.";
    BackendReset "backend_reset" Backend "The backend ended the connection before it answered.";
    BackendTimeout "backend_timeout" Backend "The backend did not answer in time.";
    BackendMalformed "backend_malformed" Backend "The backend's answer broke the rules of HTTP/1.1 framing.";
    BackendTruncated "backend_truncated" Backend "The backend's answer ended early.";
    BackendCancelled "backend_cancelled" Backend "The backend cancelled its answer (CANCEL of HTTP/2).";
    BackendOverloaded "backend_overloaded" Backend "The backend ended its answer because there is too much for it (ENHANCE_YOUR_CALM of HTTP/2).";
    BackendRefused "backend_refused" Backend "The backend did not process the request, and it could not be sent to another one (REFUSED_STREAM or GOAWAY of HTTP/2).";
    BackendUnreachable "backend_unreachable" Backend "The network reported that the backend of a flow cannot be reached.";
    BackendTlsExpired "backend_tls_expired" Backend "The certificate of the backend has expired.";
    BackendTlsNotYetValid "backend_tls_not_yet_valid" Backend "The certificate of the backend is not valid yet.";
    BackendTlsUnknownCa "backend_tls_unknown_ca" Backend "The certificate of the backend is from no authority that is trusted.";
    BackendTlsWrongName "backend_tls_wrong_name" Backend "The certificate of the backend is for other names.";
    BackendTlsBadCertificate "backend_tls_bad_certificate" Backend "The certificate of the backend is not accepted.";
    BackendTlsClientCertificate "backend_tls_client_certificate" Backend "The backend demands a client certificate, or does not accept the one that it was shown.";
    BackendTlsNothingInCommon "backend_tls_nothing_in_common" Backend "The backend supports no version, cipher suite or protocol of TLS that is offered.";
    BackendTlsAlert "backend_tls_alert" Backend "The backend ended TLS with an alert.";
    BackendTlsTimeout "backend_tls_timeout" Backend "The TLS handshake with the backend timed out.";
    BackendTlsFailed "backend_tls_failed" Backend "TLS with the backend failed: it closed the connection, or does not speak TLS.";
    NoBackend "no_backend" Backend "No backend accepted a connection.";
    BackendRefusesTunnels "backend_refuses_tunnels" Backend "The backend speaks HTTP/2 and does not accept extended CONNECT, which WebSockets need there.";
    BackendsFull "backends_full" Ringway "Each backend had as many connections as it may have.";
    BackendDown "backend_down" Backend "The health probe of the backend fails.";
    BackendGone "backend_gone" Operator "The backend was taken out, and its drain timeout is over.";
    ListenerRemoved "listener_removed" Operator "The listener was removed.";
    TunnelIdle "tunnel_idle" None "No byte went through the tunnel in time.";
    FlowAnswered "flow_answered" None "A flow had all the responses that were expected.";
    FlowIdle "flow_idle" None "No datagram of a flow came in time.";
    FlowMoved "flow_moved" None "The backend of a flow left service, and another one took the flow over.";
    FlowEvicted "flow_evicted" Ringway "The flow was idle for longest when there were too many.";
    OutOfBuffers "out_of_buffers" Ringway "The configured buffers were used up.";
    Drained "drained" Operator "The process drained.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique() {
        let mut labels: Vec<_> = CloseReason::ALL.iter().map(|reason| reason.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), CloseReason::ALL.len());
    }
}
