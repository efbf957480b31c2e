//! Events and time of clients that speak HTTP/2: what their connections leave for the exchanges of
//! their streams.

use super::traffic::Traffic;
use crate::client::Arrived;
use crate::engine::{Engine, Slice};
use crate::local::{How, Signal};
use crate::stats::CloseReason;
use crate::table::{ClientId, ExchangeId, Port};

impl<E: Engine> Traffic<E> {
    /// Reads frames of a client.
    pub(super) fn http2_content(&mut self, id: ClientId, slice: Slice) {
        let mut rest = slice;
        loop {
            let (client, local) = (self.sides.clients.at(id), &mut self.sides.local);
            match client.read_http2(&mut rest, local) {
                None => break,
                Some(Arrived::Request(arrival)) => self.begin_exchange(arrival),
                Some(Arrived::Body(exchange, stream, part)) => {
                    self.stream_body(Port { connection: id, stream }, exchange, part);
                }
                Some(Arrived::Refused(exchange, refusal)) => {
                    self.exchanges.at(exchange).refuse_rest(refusal, &mut self.sides);
                }
                Some(Arrived::Ended(exchange, how, reason)) => {
                    self.exchanges.at(exchange).end_with_client(how, reason, &mut self.sides);
                }
            }
            self.work_off();
        }
        self.engine().release(slice.buffer);
    }

    fn stream_body(&mut self, port: Port<ClientId>, exchange: ExchangeId, part: Slice) {
        self.exchanges.at(exchange).request_bytes(part, &mut self.sides);
        let (client, local) = (self.sides.clients.at(port.connection), &mut self.sides.local);
        client.give_credit(port.stream, local);
    }

    /// Gives the next part of a stream's request body to its exchange, if its backend keeps up.
    pub(super) fn serve_stream(&mut self, port: Port<ClientId>) {
        let client = self.sides.clients.at(port.connection);
        let Some(exchange) = client.exchange_of(port.stream) else { return };
        if !self.exchanges.at(exchange).takes_body(&mut self.sides) {
            return;
        }
        let (client, local) = (self.sides.clients.at(port.connection), &mut self.sides.local);
        match client.next_part(port.stream, local) {
            Some(part) => {
                local.work.push(Signal::Serve(port));
                self.stream_body(port, exchange, part);
            }
            None => client.give_credit(port.stream, local),
        }
    }

    /// Bytes were sent to the client: the exchanges whose streams had some of them go on.
    pub(super) fn streams_sent(&mut self, id: ClientId) {
        while let Some(exchange) = self.sides.clients.at(id).next_progressed() {
            self.exchanges.at(exchange).client_sent(&mut self.sides);
            self.work_off();
        }
    }

    /// The timer of the connection has fired.
    pub(super) fn streams_late(&mut self, id: ClientId) {
        let (client, local) = (self.sides.clients.at(id), &mut self.sides.local);
        for exchange in client.late_streams(local) {
            if self.exchanges.get(exchange).is_some() {
                self.exchanges.at(exchange).expired(&mut self.sides);
            }
            self.work_off();
        }
    }

    /// Ends the exchanges of all streams, and the connection.
    pub(super) fn end_streams(&mut self, id: ClientId, how: How, reason: CloseReason) {
        for exchange in self.sides.clients.at(id).exchanges_of_streams() {
            self.exchanges.at(exchange).end_with_client(how, reason, &mut self.sides);
        }
        let (client, local) = (self.sides.clients.at(id), &mut self.sides.local);
        client.end_http2(how, reason, local);
    }
}
