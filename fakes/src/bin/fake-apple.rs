//! A fake of Apple's push service as a program of its own, for stories and benchmarks.

use fakes::{Authority, Mode, apple};
use std::error::Error;
use std::sync::Arc;

const KEY_ID: &str = "FAKEKEY001";
const TEAM_ID: &str = "FAKETEAM01";

const HELP: &str = "fake-apple: a fake of Apple's push service. It reaches no device.

  --listen ADDR:PORT    where to listen, loopback only      [127.0.0.1:0]
  --control ADDR:PORT   where the control page listens      [none]
  --tls on|off          HTTPS, or clear HTTP/2              [on]
  --write-ca FILE       write the test authority's certificate
  --write-key FILE      write a signing key (.p8) and take only provider tokens signed by it
  --topic NAME          take only this topic (repeatable)   [any]
  --text TEXT           refuse payloads without this text
  --streams N           concurrent streams a connection     [1000]
  --rate N              answer at most N requests a second
  --latency-ms N        answer each request so much later
  --record N            requests kept for the log           [1000]";

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(std::env::args().skip(1)))
}

async fn run(mut args: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut options = apple::Options::default();
    let (mut tls, mut mode, mut write_ca, mut write_key) = (true, Mode::Ok, None, None);
    while let Some(flag) = args.next() {
        if flag == "--help" || flag == "-h" {
            println!("{HELP}");
            return Ok(());
        }
        let value = args.next().ok_or_else(|| format!("{flag} needs a value; see --help"))?;
        match flag.as_str() {
            "--listen" => options.listen = value.parse()?,
            "--control" => options.control = Some(value.parse()?),
            "--tls" => tls = value != "off",
            "--write-ca" => write_ca = Some(value),
            "--write-key" => write_key = Some(value),
            "--topic" => options.topics.push(value),
            "--text" => options.text = Some(value),
            "--streams" => options.streams = value.parse()?,
            "--rate" => mode = Mode::Rate { per_second: value.parse()? },
            "--latency-ms" => mode = Mode::Slow { latency_ms: value.parse()? },
            "--record" => options.record = value.parse()?,
            _ => return Err(format!("{flag} is not a flag of fake-apple; see --help").into()),
        }
    }
    if tls {
        options.tls = Some(Arc::new(Authority::generate()?));
    }
    if let Some(file) = &write_key {
        let key = apple::Key::generate(KEY_ID, TEAM_ID);
        std::fs::write(file, key.pem())?;
        options.key = Some(key);
    }
    let topic = options.topics.first().cloned().unwrap_or_else(|| "com.example.carillon".to_owned());
    let fake = apple::start(options).await?;
    fake.set_mode(mode);
    println!("This is a fake of Apple's push service: nothing that it accepts reaches a device.");
    println!("It listens at {}", fake.endpoint());
    if let Some(control) = fake.control {
        println!("Its control page is http://{control}/_fake/log (also /_fake/stats, POST /_fake/mode)");
    }
    println!("\nCarillon's settings for it:\n\n[channels.apns]\nendpoint = \"{}\"", fake.endpoint());
    if let Some(file) = write_key {
        println!("key_file = \"{file}\"");
    }
    println!("key_id = \"{KEY_ID}\"\nteam_id = \"{TEAM_ID}\"\ntopic = \"{topic}\"");
    if let (Some(file), Some(pem)) = (write_ca, fake.ca_pem()) {
        std::fs::write(&file, pem)?;
        println!("ca_file = \"{file}\"");
    }
    std::future::pending::<()>().await;
    Ok(())
}
