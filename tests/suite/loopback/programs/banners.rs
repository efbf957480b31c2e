//! Servers that speak first: SSH and SMTP.

use super::*;

/// What a server says to a client that says nothing.
fn first_line(ringway: &Ringway) -> String {
    let mut stream = ringway.connect();
    String::from_utf8(read_until(&mut stream, b"\r\n")).expect("text")
}

#[test]
fn a_server_of_ssh_greets_and_shows_its_key() {
    let Some([sshd, keygen, keyscan]) = programs(["sshd", "ssh-keygen", "ssh-keyscan"]) else {
        return;
    };
    let (place, address) = (Place::new(), free_address());
    place.run(&keygen, &["-q", "-t", "ed25519", "-N", "", "-f", "key"]);
    let public = std::fs::read_to_string(place.file("key.pub")).expect("made");
    let mut command = place.command(&sshd);
    let key = place.file("key");
    command.args(["-D", "-e", "-f", "/dev/null", "-o", "PidFile=none", "-h"]).arg(key);
    command.args(["-o", &format!("ListenAddress={address}")]);
    let sshd = Daemon::start(place, address, &mut command);
    let ringway = Ringway::with_config(&forwarding("tcp", &[sshd.address], ""));
    assert!(first_line(&ringway).starts_with("SSH-2.0-"));
    let port = ringway.address.port().to_string();
    let (_, shown) =
        output(Command::new(&keyscan).args(["-t", "ed25519", "-p", &port, "127.0.0.1"]));
    let key = public.split(' ').nth(1).expect("a key");
    assert!(shown.contains(key), "{shown}: {}", sshd.place.log());
}

#[test]
fn a_server_of_smtp_greets_and_takes_a_mail() {
    let Some([msmtpd, curl]) = programs(["msmtpd", "curl"]) else { return };
    let (place, address) = (Place::new(), free_address());
    let mail = place.file("mail");
    let mut command = place.command(&msmtpd);
    command.arg(format!("--interface={}", address.ip())).arg(format!("--port={}", address.port()));
    command.arg(format!("--command=cat >{} #", mail.display()));
    let msmtpd = Daemon::start(place, address, &mut command);
    let ringway = Ringway::with_config(&forwarding("tcp", &[msmtpd.address], ""));
    assert!(first_line(&ringway).starts_with("220 "));
    let text = msmtpd.place.0.write("text", "Subject: hello\r\n\r\nover a balancer\r\n");
    let url = format!("smtp://{}/client.test", ringway.address);
    let mut command = Command::new(&curl);
    command.args(["-sS", "--noproxy", "*", "--max-time", "60", "--mail-from", "a@client.test"]);
    let (has_succeeded, said) =
        output(command.args(["--mail-rcpt", "b@server.test", "-T"]).arg(text).arg(url));
    assert!(has_succeeded, "{said}");
    await_that("the mail is delivered", || {
        let text = std::fs::read_to_string(&mail).unwrap_or_default();
        text.contains("Subject: hello") && text.contains("over a balancer")
    });
}
