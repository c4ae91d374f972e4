//! A fake push service as a program of its own, for stories and benchmarks.

use fakes::push_service::{self, Browser};
use fakes::{Authority, Mode};
use std::error::Error;
use std::sync::Arc;

const HELP: &str = "fake-push-service: a fake of the push services behind browsers. It reaches no browser.

  --listen ADDR:PORT    where to listen, loopback only      [127.0.0.1:0]
  --control ADDR:PORT   where the control page listens      [none]
  --write-ca FILE       write the test authority's certificate
  --key PUBLICKEY       bind every subscription to this VAPID key (base64url)  [any]
  --text TEXT           refuse messages without this text
  --open on|off         open messages with the browser's keys [on]
  --streams N           concurrent streams a connection     [100]
  --rate N              answer at most N requests a second
  --latency-ms N        answer each request so much later
  --record N            requests kept for the log           [1000]";

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(std::env::args().skip(1)))
}

async fn run(mut args: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut options = push_service::Options::new(Arc::new(Authority::generate()?));
    let browser = Browser::generate();
    let (mut mode, mut write_ca) = (Mode::Ok, None);
    options.browser = Some(browser.clone());
    while let Some(flag) = args.next() {
        if flag == "--help" || flag == "-h" {
            println!("{HELP}");
            return Ok(());
        }
        let value = args.next().ok_or_else(|| format!("{flag} needs a value; see --help"))?;
        match flag.as_str() {
            "--listen" => options.listen = value.parse()?,
            "--control" => options.control = Some(value.parse()?),
            "--write-ca" => write_ca = Some(value),
            "--key" => options.key = Some(value),
            "--text" => options.text = Some(value),
            "--open" => options.browser = (value != "off").then(|| browser.clone()),
            "--streams" => options.streams = value.parse()?,
            "--rate" => mode = Mode::Rate { per_second: value.parse()? },
            "--latency-ms" => mode = Mode::Slow { latency_ms: value.parse()? },
            "--record" => options.record = value.parse()?,
            _ => return Err(format!("{flag} is not a flag of fake-push-service; see --help").into()),
        }
    }
    let fake = push_service::start(options).await?;
    fake.set_mode(mode);
    println!("This is a fake push service: nothing that it accepts reaches a browser.");
    println!("It listens at https://{}", fake.addr);
    if let Some(control) = fake.control {
        println!("Its control page is http://{control}/_fake/log (also /_fake/stats, POST /_fake/mode)");
    }
    println!("\nSubscriptions with it, with any word in the place of ANY:\n");
    println!("endpoint = {}\np256dh = {}\nauth = {}", fake.endpoint("ANY"), browser.p256dh(), browser.auth());
    println!(
        "\nCarillon's settings for it:\n\n[channels.webpush]\nsubject = \"mailto:operations@example.org\"\nallow_private_endpoints = true"
    );
    if let Some(file) = write_ca {
        std::fs::write(&file, fake.ca_pem())?;
        println!("ca_file = \"{file}\"");
    }
    std::future::pending::<()>().await;
    Ok(())
}
