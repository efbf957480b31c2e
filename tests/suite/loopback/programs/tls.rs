//! TLS that is forwarded unread: OpenSSL and curl, each with the server of the name it asks for.

use super::*;
use crate::loopback::https::{Authority, curl};

const NAMES: [&str; 2] = ["one.example", "two.example"];

#[test]
fn openssl_and_curl_reach_the_server_of_the_name_that_they_ask_for() {
    let Some([openssl, _]) = programs(["openssl", "curl"]) else { return };
    let authority = Authority::new();
    let servers = NAMES.map(|name| {
        let (place, address) = (Place::new(), free_address());
        let issued = authority.issue(&[name]);
        place.0.write("chain.pem", &issued.chain);
        place.0.write("key.pem", &issued.key);
        let mut command = place.command(&openssl);
        command.args(["s_server", "-www", "-cert", "chain.pem", "-key", "key.pem", "-accept"]);
        Daemon::start(place, address, command.arg(address.to_string()))
    });
    let mut text = String::from(
        "[[listener]]\nname = \"a\"\naddress = \"LISTEN\"\nprotocol = \"tls-passthrough\"\n\
         [runtime]\nshards = 1\n",
    );
    for (name, server) in NAMES.iter().zip(&servers) {
        let pool = name.split('.').next().expect("a label");
        text += &format!(
            "[[route]]\nlistener = \"a\"\nhost = \"{name}\"\npool = \"{pool}\"\n\
             [pool.{pool}]\nhealth = {{ protocol = \"none\" }}\n[[pool.{pool}.backend]]\n\
             address = \"{}\"\n",
            server.address
        );
    }
    let ringway = Ringway::with_config(&text);
    let root = servers[0].place.0.write("root.pem", &authority.pem);
    let root = root.to_str().expect("text");
    for name in NAMES {
        // Each server has a certificate for its own name alone.
        let at = ringway.address.to_string();
        let mut command = Command::new(&openssl);
        command.args(["s_client", "-connect", &at, "-servername", name, "-CAfile", root]);
        let (_, text) = output(command.args(["-verify_hostname", name, "-verify_return_error"]));
        assert!(text.contains("Verify return code: 0 (ok)"), "{name}: {text}");
        for version in ["1.2", "1.3"] {
            let arguments = ["--cacert", root, "--tls-max", version, "-w", "\n%{response_code}"];
            let said = curl(ringway.address, name, "/", &arguments);
            assert!(said.ends_with("\n200") && said.contains("s_server"), "{name}: {said}");
        }
    }
}
