//! A fake mail relay as a program of its own, for stories and benchmarks.

use fakes::{Mode, relay};
use std::error::Error;

const HELP: &str = "fake-relay: a fake mail relay. It delivers nothing.

  --listen ADDR:PORT      where to listen, loopback only    [127.0.0.1:0]
  --control ADDR:PORT     where the control page listens    [none]
  --tls off|starttls|on   when TLS begins (on: at once)     [off]
  --write-ca FILE         write the test authority's certificate
  --login USER:PASSWORD   take mail only after this login
  --rate N                take at most N mails a second
  --latency-ms N          answer each mail so much later
  --record N              mails kept for the log            [1000]";

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(std::env::args().skip(1)))
}

async fn run(mut args: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut options = relay::Options::default();
    let (mut mode, mut write_ca) = (Mode::Ok, None);
    while let Some(flag) = args.next() {
        if flag == "--help" || flag == "-h" {
            println!("{HELP}");
            return Ok(());
        }
        let value = args.next().ok_or_else(|| format!("{flag} needs a value; see --help"))?;
        match flag.as_str() {
            "--listen" => options.listen = value.parse()?,
            "--control" => options.control = Some(value.parse()?),
            "--tls" => {
                options.tls = match value.as_str() {
                    "on" | "implicit" => relay::Tls::Implicit,
                    "starttls" => relay::Tls::Starttls,
                    "off" | "none" => relay::Tls::None,
                    _ => return Err("--tls is off, starttls or on".into()),
                }
            }
            "--write-ca" => write_ca = Some(value),
            "--login" => {
                let (user, password) = value.split_once(':').ok_or("--login is USER:PASSWORD")?;
                options.login = Some((user.to_owned(), password.to_owned()));
            }
            "--rate" => mode = Mode::Rate { per_second: value.parse()? },
            "--latency-ms" => mode = Mode::Slow { latency_ms: value.parse()? },
            "--record" => options.record = value.parse()?,
            _ => return Err(format!("{flag} is not a flag of fake-relay; see --help").into()),
        }
    }
    let (tls, login) = (options.tls, options.login.clone());
    let fake = relay::start(options).await?;
    fake.set_mode(mode);
    println!("This is a fake mail relay: nothing that it accepts reaches a mailbox.");
    println!("It listens at {}", fake.addr);
    if let Some(control) = fake.control {
        println!("Its control page is http://{control}/_fake/log (also /_fake/stats, POST /_fake/mode)");
    }
    let word = match tls {
        relay::Tls::None => "none",
        relay::Tls::Starttls => "starttls",
        relay::Tls::Implicit => "implicit",
    };
    println!("\nCarillon's settings for it:\n\n[channels.email]");
    println!("host = \"{}\"\nport = {}\ntls = \"{word}\"\nfrom = \"Carillon <carillon@example.com>\"", fake.addr.ip(), fake.addr.port());
    if let Some((user, _)) = login {
        println!("username = \"{user}\"\npassword_file = \"FILE\"");
    }
    if let (Some(file), Some(pem)) = (write_ca, fake.ca_pem()) {
        std::fs::write(&file, pem)?;
        println!("ca_file = \"{file}\"");
    }
    std::future::pending::<()>().await;
    Ok(())
}
