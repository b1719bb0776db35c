//! `portcullis audit follow`: the stream of events, gone on with after a cut.

use std::time::Duration;

use clap::Args;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;

use crate::cli::client::{AdminApi, Call, Trouble};
use crate::cli::user::{Common, with_query};
use crate::cli::{Failure, Surroundings, words};

const WHAT: &str = "follow the audit";
/// How long to wait before coming back, where the gate does not say.
const WAIT: Duration = Duration::from_secs(2);
/// However often it failed.
const WAIT_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
#[command(mut_arg("tenant", |tenant| tenant.help(super::WHOSE)))]
pub(in crate::cli) struct Follow {
    /// Begin after this entry; 0 is the very beginning [default: what comes from now on]
    #[arg(long, value_name = "ENTRY")]
    after: Option<u64>,
    #[command(flatten)]
    common: Common,
}

/// Where the stream is.
struct Place {
    /// The last entry that was told.
    last: Option<String>,
    /// The gate answered once: what breaks off now is worth waiting for.
    opened: bool,
    /// What the gate asks to wait before coming back.
    hint: Duration,
    /// Grows while nothing comes.
    wait: Duration,
}

impl Follow {
    pub(super) fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let api = AdminApi::require(surroundings)?;
        let mut place = Place {
            last: self.after.map(|after| after.to_string()),
            opened: false,
            hint: WAIT,
            wait: WAIT,
        };
        loop {
            let why = match self.listen(&api, &mut place, surroundings) {
                Ok(()) => "the stream ended".to_owned(),
                Err(trouble) if place.opened && is_passing(&trouble) => {
                    Failure::from(trouble).to_string()
                }
                Err(trouble) => return Err(trouble.into()),
            };
            writeln!(
                surroundings.err,
                "{why}; coming back in {}",
                humantime::format_duration(place.wait)
            )?;
            pause(place.wait)?;
            place.wait = (place.wait * 2).min(WAIT_MAX);
        }
    }

    /// Until the stream ends.
    fn listen(
        &self,
        api: &AdminApi,
        place: &mut Place,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<(), Trouble> {
        let path = with_query("/api/v1/events", &[("tenant", self.common.tenant.clone())]);
        let header = place.last.as_deref().and_then(|last| {
            let value = HeaderValue::from_str(last).ok()?;
            Some((HeaderName::from_static("last-event-id"), value))
        });
        let call = Call {
            what: WHAT,
            method: Method::GET,
            path: &path,
            header,
            body: None,
        };
        let mut id = None;
        api.lines(&call, |line| {
            place.opened = true;
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "retry" => {
                    if let Ok(millis) = value.parse() {
                        place.hint = Duration::from_millis(millis);
                        place.wait = place.hint;
                    }
                }
                "id" => id = Some(value.to_owned()),
                "data" => {
                    self.tell(value, surroundings)?;
                    // Told, and not only heard: else it would be lost with the pipe.
                    place.last = id.take().or_else(|| place.last.take());
                    place.wait = place.hint;
                }
                _ => {}
            }
            Ok(())
        })
    }

    fn tell(&self, data: &str, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        if self.common.json {
            writeln!(surroundings.out, "{data}")?;
        } else if let Ok(entry) = serde_json::from_str::<Value>(data) {
            writeln!(surroundings.out, "{}", words::entry(&entry))?;
        }
        Ok(surroundings.out.flush()?)
    }
}

/// Whether it may be over in a moment.
fn is_passing(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Unreachable(_) | Trouble::BrokenOff(_) => true,
        Trouble::Refused(status, _) => {
            status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
        }
        Trouble::Ours(_) => false,
    }
}

fn pause(wait: Duration) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Failure::failed(format!("cannot wait: {error}; start it again")))?;
    runtime.block_on(async { tokio::time::sleep(wait).await });
    Ok(())
}
