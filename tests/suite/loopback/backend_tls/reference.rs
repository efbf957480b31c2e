//! OpenSSL's server as a backend, which many backends are built on.

use super::*;
use std::process::{Child, Command, Stdio};

/// A running `openssl s_server`.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// With the files of a certificate in `folder`, and more arguments.
    fn start(folder: &TempFolder, issued: &Issued, arguments: &[&str]) -> Self {
        folder.write("server.pem", &issued.chain);
        folder.write("server-key.pem", &issued.key);
        let child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key"])
            .args(["server-key.pem", "-naccept", "1000"])
            .args(arguments)
            .current_dir(&folder.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("openssl is installed");
        let mut lines =
            std::io::BufRead::lines(BufReader::new(child.stdout.take().expect("piped")));
        let port = lines.find_map(|line| {
            let line = line.expect("text");
            line.strip_prefix("ACCEPT ")?.rsplit_once(':')?.1.parse::<u16>().ok()
        });
        std::thread::spawn(move || lines.for_each(drop));
        let address = ([127, 0, 0, 1], port.expect("it says where it listens")).into();
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn openssl_is_a_backend_in_every_version_and_with_every_cipher() {
    let authority = Authority::new();
    let folder = TempFolder::new();
    folder.write("ca.pem", &authority.pem);
    let issued = authority.issue(&["shop.test"]);
    let ours = authority.issue(&["ringway.test"]);
    let files = [("ours.pem", &*format!("{}{}", ours.chain, ours.key))];
    let demanded = ["-www", "-Verify", "1", "-CAfile", "ca.pem", "-verify_return_error"];
    for (arguments, keys, expected) in [
        (&["-www"][..], "", 200),
        (&["-www", "-tls1_2"], "", 200),
        (&["-www", "-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], "", 200),
        (&["-www", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"], "", 200),
        (&["-www", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384"], "", 502),
        (&["-www", "-tls1_2"], "tls_min_version = \"1.3\"", 502),
        (&demanded, "client_certificate = \"ours.pem\"", 200),
        (&demanded, "", 502),
    ] {
        let server = Server::start(&folder, &issued, arguments);
        let keys = format!("{TRUSTING}\n{keys}");
        let operated = run(&authority, &files, &to("http", &[server.address], &keys));
        for _ in 0..2 {
            let (status, answer) = asked_of(&operated);
            assert_eq!(status, expected, "{arguments:?} {keys}: {answer}");
        }
    }
}
