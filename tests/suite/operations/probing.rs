//! Probes whose files are not what they should be.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, await_that};
use crate::loopback::load::{Operated, OriginProcess, signed};

#[test]
fn a_file_without_certificates_is_refused() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let operated = Operated::start(&config(&[origin.address], "", QUICK));
    let file = operated.file.with_file_name("ca.pem");
    std::fs::write(file, "hello").expect("written");
    let over_tls = format!("{QUICK}protocol = \"https\"\nca_file = \"ca.pem\"\n");
    operated.rewrite(&config(&[origin.address], "", &over_tls));
    let (status, text) = operated.verb(&["reload"]);
    assert!(status == 1 && text.contains("ca.pem has no certificate"), "{text}");
}

#[test]
fn a_probe_that_cannot_be_made_leaves_the_one_before_until_it_can() {
    let origin = OriginProcess::start();
    let plain = config(&[origin.address], "", QUICK);
    let mut roots = None;
    let operated = Operated::start_with(&plain, |folder, command| {
        let file = roots.insert(folder.join("roots.pem"));
        std::fs::write(&*file, "hello").expect("written");
        command.env("SSL_CERT_FILE", file);
    });
    operated.await_standing(origin.address, "serving");
    let over_tls = config(&[origin.address], "", &format!("{QUICK}protocol = \"https\"\n"));
    operated.rewrite(&over_tls);
    operated.done(&["reload"]);
    let told = || operated.done(&["events"]).matches("no trusted certificates").count();
    await_that("it is told", || told() == 1);
    operated.done(&["reload"]);
    await_that("who reloads is told anew", || told() == 2);
    origin.kill();
    operated.await_standing(origin.address, "down");
    origin.restart();
    operated.await_standing(origin.address, "serving");
    let identity = rcgen::generate_simple_self_signed(["shop.test".to_owned()]);
    let pem = identity.expect("a certificate").cert.pem();
    std::fs::write(roots.expect("it was prepared"), pem).expect("written");
    // The origin speaks no TLS.
    operated.await_standing(origin.address, "down");
    assert_eq!(told(), 2, "once for each time that somebody might have mended it");
}
