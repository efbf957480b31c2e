//! The reasons for refusing a message.

macro_rules! refusals {
    ($($variant:ident $status:literal $text:literal;)*) => {
        /// Why a message is not taken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Refusal {
            $(#[doc = $text] $variant,)*
        }

        impl Refusal {
            /// The status of the answer to a request that is refused for this reason. A response
            /// that is refused for it is answered with 502 in any case.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// For the log.
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

refusals! {
    MalformedStartLine 400 "the first line is not of the form that RFC 9112 gives it";
    TooManyLineEnds 400 "there are too many line ends before the request";
    UnsupportedVersion 505 "the version is neither HTTP/1.0 nor HTTP/1.1";
    MalformedMethod 400 "the method is not a token, or is longer than 32 bytes";
    MalformedTarget 400 "the request target has a byte that it may not have, or is of no known form";
    DotSegmentInTarget 400 "the path has a dot segment: it could be routed as one path and served as another";
    TargetTooLong 414 "the request target is too long";
    WrongScheme 421 "the request target is of a scheme that is not served here";
    TraceNotAllowed 405 "TRACE is not allowed: its answer shows what other hops added";
    ConnectNotAllowed 501 "CONNECT is not allowed here";
    BareLineFeed 400 "a line ends without carriage return";
    MalformedField 400 "a field line has a byte that it may not have, or is folded";
    UnderscoreInName 400 "a field name has an underscore";
    HeadTooLarge 431 "the head is too large";
    TooManyFields 431 "there are too many fields";
    MissingHost 400 "there is no Host field";
    SeveralHosts 400 "there are several Host fields";
    MalformedHost 400 "the Host field is not a host with an optional port";
    HostDisagreesWithTarget 400 "the target's authority is not that of the Host field";
    MalformedContentLength 400 "Content-Length is not a decimal number below 2^63";
    SeveralContentLengths 400 "there are several Content-Length fields";
    LengthWithTransferEncoding 400 "there are both Content-Length and Transfer-Encoding";
    TransferEncodingInHttp10 400 "Transfer-Encoding does not exist in HTTP/1.0";
    UnknownTransferEncoding 400 "Transfer-Encoding is not exactly `chunked`";
    EssentialFieldInConnection 400 "Connection names a field that the message cannot lose";
    UnknownExpectation 417 "Expect is not 100-continue";
    MalformedStatus 400 "the status is not a number of 100 to 999";
    MalformedChunk 400 "a chunk's size line or end is malformed";
    ChunkTooLarge 400 "a chunk's size is beyond 2^63";
    ChunkLineTooLong 400 "a chunk's size line is too long";
    MalformedTrailer 400 "a trailer field is malformed, or may not be in a trailer section";
    TrailersTooLarge 431 "the trailer section is too large";
}
