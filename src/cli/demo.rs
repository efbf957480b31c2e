//! `ringway demo`: three small origins in this process, and the balancer before them.

use super::Failure;
use super::arguments::Demo;
use super::serve::serve;
use ringway::balance::Algorithm;
use ringway::config::{Backend, Config, Shards};
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Weight and latency of each origin.
const ORIGINS: [(&str, u32, u64); 3] = [("apple", 3, 5), ("banana", 1, 20), ("cherry", 1, 80)];

/// Serves until the process is told to end.
pub(crate) fn demo(arguments: &Demo, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let addresses = start_origins()?;
    let backends = addresses.iter().zip(ORIGINS);
    let backends = backends.map(|(address, (_, weight, _))| Backend { address: *address, weight });
    let mut config = Config::quick(&[arguments.listen], backends.collect(), Algorithm::PowerOfTwo);
    config.runtime.shards = Shards::Count(1);
    let url = format!("http://{}/", arguments.listen);
    writeln!(out, "Three origins, and Ringway before them. Try, in another terminal:\n")?;
    writeln!(out, "  curl {url}")?;
    writeln!(out, "  for i in $(seq 20); do curl -s {url} | head -1; done | sort | uniq -c")?;
    writeln!(out, "  curl -v -H 'Host: a' -H 'Host: b' {url}    # refused: two hosts\n")?;
    for (address, (name, weight, latency)) in addresses.iter().zip(ORIGINS) {
        writeln!(out, "  {name:<7} http://{address}/  weight {weight}, answers after {latency} ms")?;
    }
    writeln!(out, "\nThe same by hand: ringway run --listen {} \\", arguments.listen)?;
    let flags = addresses.iter().zip(ORIGINS);
    let flags: Vec<String> = flags.map(|(a, (_, w, _))| format!("--backend '{a}*{w}'")).collect();
    writeln!(out, "    {}\nEnd with Ctrl-C.\n", flags.join(" "))?;
    serve(&config, out)
}

/// Starts the origins on a thread of their own; their ports come from the kernel.
fn start_origins() -> Result<Vec<SocketAddr>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listeners: Vec<TcpListener> = runtime.block_on(async {
        let mut listeners = Vec::new();
        for _ in ORIGINS {
            listeners.push(TcpListener::bind("127.0.0.1:0").await?);
        }
        Ok::<_, std::io::Error>(listeners)
    })?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    std::thread::Builder::new().name("demo-origins".to_owned()).spawn(move || {
        runtime.block_on(async {
            for (listener, (name, _, latency)) in listeners.into_iter().zip(ORIGINS) {
                tokio::spawn(origin(listener, name, Duration::from_millis(latency)));
            }
            std::future::pending::<()>().await;
        });
    })?;
    Ok(addresses)
}

async fn origin(listener: TcpListener, name: &'static str, latency: Duration) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            // A client that goes away in the middle is no news.
            let _ = answer_all(stream, name, latency).await;
        });
    }
}

/// Answers each request with who answers and what was asked. Bodies are not expected.
async fn answer_all(stream: TcpStream, name: &str, latency: Duration) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    loop {
        let mut head = String::new();
        loop {
            match lines.next_line().await? {
                None => return Ok(()),
                Some(line) if line.is_empty() => break,
                Some(line) => head.extend(["    ", &line, "\n"]),
            }
        }
        tokio::time::sleep(latency).await;
        let body = format!("{name}\n  was asked:\n{head}");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        write.write_all(answer.as_bytes()).await?;
    }
}
