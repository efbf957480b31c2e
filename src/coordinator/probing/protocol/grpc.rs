//! grpc.health.v1.Health/Check over HTTP/2, with prior knowledge or over TLS. Does not: keep
//! connections, watch.

use super::deadline::Deadline;
use super::driving::{Companions, drive};
use super::failure::{ProbeFailure, ProbeStage, shown};
use super::grpc_message::{ServingStatus, decode_response, encode_request};
use super::http::AGENT;
use super::tls::{Asked, Keys, Tls, Trusted};
use crate::config::{PROBE_ANSWER_BYTES_MAX, PoolTls, TlsProbe};
use crate::limits::HEAD_BYTES_MAX;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

const METHOD_PATH: &str = "/grpc.health.v1.Health/Check";
const GRPC: &str = "application/grpc";

/// The window that every HTTP/2 connection begins with: no frame is spent on changing it.
const WINDOW_BYTES: u32 = 65_535;

/// What the codes of `grpc-status` are called, in their order.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Whether a service is being served.
pub(super) struct GrpcQuestion {
    message: Bytes,
    /// The name in place of the backend's address.
    authority: Option<String>,
    tls: Option<Tls>,
}

impl GrpcQuestion {
    /// The error has the remedy if the probe cannot be made.
    pub(super) fn new(
        service: &str,
        own: Option<&TlsProbe>,
        pool: Option<&PoolTls>,
        trusted: &mut Trusted,
    ) -> Result<Self, String> {
        let of_pool = || pool.and_then(|pool| pool.sni.clone());
        let authority = own.map_or_else(of_pool, |own| own.sni.clone());
        let tls = Tls::new(Keys { own, pool }, None, Some(b"h2"), trusted)?;
        Ok(Self { message: encode_request(service).into(), authority, tls })
    }

    /// Probes a backend over `stream`.
    pub(super) async fn ask(
        &self,
        stream: TcpStream,
        backend: &Asked,
        deadline: Deadline,
    ) -> Result<(), ProbeFailure> {
        let address = backend.address;
        let Some(tls) = &self.tls else {
            return deadline.bound(ProbeStage::Answering, self.exchange(stream, address)).await;
        };
        let connecting = tls.connect(stream, backend);
        let stream = deadline.bound(ProbeStage::Handshake, connecting).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(ProbeFailure::Tls("it does not offer HTTP/2 (ALPN h2)".to_owned()));
        }
        deadline.bound(ProbeStage::Answering, self.exchange(stream, address)).await
    }

    async fn exchange<T>(&self, stream: T, address: SocketAddr) -> Result<(), ProbeFailure>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let request = self.request_to(address)?;
        let companions = Companions::default();
        let (mut sender, connection) = http2::Builder::new(companions.adoption())
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| ProbeFailure::of_http(&error))?;
        let work = async move {
            let response = sender.send_request(request).await;
            judge(response.map_err(|error| ProbeFailure::of_http(&error))?).await
        };
        drive(companions.accompany(connection), work).await
    }

    fn request_to(&self, address: SocketAddr) -> Result<Request<Full<Bytes>>, ProbeFailure> {
        let uri = Uri::builder()
            .scheme(if self.tls.is_some() { "https" } else { "http" })
            .authority(self.authority.clone().unwrap_or_else(|| address.to_string()))
            .path_and_query(METHOD_PATH)
            .build()
            .map_err(|error| ProbeFailure::Unreachable(error.to_string()))?;
        let mut request = Request::new(Full::new(self.message.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let fields = request.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
        fields.insert(TE, HeaderValue::from_static("trailers"));
        fields.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        Ok(request)
    }
}

async fn judge(response: Response<Incoming>) -> Result<(), ProbeFailure> {
    let (head, mut body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(ProbeFailure::Status(head.status.as_u16()));
    }
    let kind = head.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if !kind.starts_with(GRPC.as_bytes()) {
        return Err(ProbeFailure::Malformed(format!("no gRPC but \"{}\"", shown(kind))));
    }
    // An answer without a message has its status in its head.
    let mut end = head.headers;
    let mut message = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| ProbeFailure::of_http(&error))?.into_data() {
            Ok(piece) if message.len() + piece.len() > PROBE_ANSWER_BYTES_MAX => {
                return Err(ProbeFailure::Malformed("a message without end".to_owned()));
            }
            Ok(piece) => message.extend_from_slice(&piece),
            Err(other) => end = other.into_trailers().unwrap_or_default(),
        }
    }
    judge_end(&end)?;
    judge_message(&message)
}

fn judge_end(fields: &HeaderMap) -> Result<(), ProbeFailure> {
    let Some(status) = fields.get("grpc-status") else {
        return Err(ProbeFailure::Malformed("no grpc-status".to_owned()));
    };
    if status == "0" {
        return Ok(());
    }
    let code = status.to_str().ok().and_then(|text| text.parse::<usize>().ok());
    let name = code.and_then(|code| CODES.get(code)).copied().unwrap_or("no known code");
    let status = shown(status.as_bytes());
    let message = fields.get("grpc-message").map(|text| format!(": {}", shown(text.as_bytes())));
    let message = message.unwrap_or_default();
    Err(ProbeFailure::NotServing(format!("grpc-status {status} ({name}){message}")))
}

fn judge_message(message: &[u8]) -> Result<(), ProbeFailure> {
    let what = match decode_response(message) {
        Ok(ServingStatus::Serving) => return Ok(()),
        Ok(ServingStatus::Unknown) => "UNKNOWN".to_owned(),
        Ok(ServingStatus::NotServing) => "NOT_SERVING".to_owned(),
        Ok(ServingStatus::ServiceUnknown) => "SERVICE_UNKNOWN".to_owned(),
        Ok(ServingStatus::Other(value)) => format!("status {value}"),
        Err(why) => return Err(ProbeFailure::Malformed(why.to_owned())),
    };
    Err(ProbeFailure::NotServing(what))
}
