//! A fake of Google's push service as a program of its own, for stories and benchmarks.

use fakes::{Authority, Mode, google};
use std::error::Error;
use std::sync::Arc;

const HELP: &str = "fake-google: a fake of Google's push service (FCM). It reaches no device.

  --listen ADDR:PORT    where to listen, loopback only      [127.0.0.1:0]
  --control ADDR:PORT   where the control page listens      [none]
  --tls on|off          HTTPS, or clear HTTP/2              [on]
  --write-ca FILE       write the test authority's certificate
  --write-account FILE  write the service account that it knows
  --project NAME        the Firebase project                [fake-project]
  --text TEXT           refuse messages without this text
  --streams N           concurrent streams a connection     [1000]
  --rate N              answer at most N requests a second
  --latency-ms N        answer each request so much later
  --record N            requests kept for the log           [1000]";

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(std::env::args().skip(1)))
}

async fn run(mut args: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut options = google::Options::default();
    let (mut tls, mut mode, mut write_ca, mut write_account, mut project) = (true, Mode::Ok, None, None, "fake-project".to_owned());
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
            "--write-account" => write_account = Some(value),
            "--project" => project = value,
            "--text" => options.text = Some(value),
            "--streams" => options.streams = value.parse()?,
            "--rate" => mode = Mode::Rate { per_second: value.parse()? },
            "--latency-ms" => mode = Mode::Slow { latency_ms: value.parse()? },
            "--record" => options.record = value.parse()?,
            _ => return Err(format!("{flag} is not a flag of fake-google; see --help").into()),
        }
    }
    if tls {
        options.tls = Some(Arc::new(Authority::generate()?));
    }
    let fake = google::start(options, google::ServiceAccount::generate(&project)).await?;
    fake.set_mode(mode);
    println!("This is a fake of Google's push service: nothing that it accepts reaches a device.");
    println!("It listens at {}", fake.endpoint());
    if let Some(control) = fake.control {
        println!("Its control page is http://{control}/_fake/log (also /_fake/stats, POST /_fake/mode)");
    }
    println!("\nCarillon's settings for it:\n\n[channels.fcm]\nendpoint = \"{}\"", fake.endpoint());
    let account = write_account.as_deref().unwrap_or("FILE");
    if let Some(file) = &write_account {
        std::fs::write(file, fake.service_account())?;
    }
    println!("service_account_file = \"{account}\"");
    if let (Some(file), Some(pem)) = (write_ca, fake.ca_pem()) {
        std::fs::write(&file, pem)?;
        println!("ca_file = \"{file}\"");
    }
    std::future::pending::<()>().await;
    Ok(())
}
