//! What the commands may expect of whoever reads them: a person at a terminal, or
//! a script.

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Failure, Surroundings, print::visible};

/// Which of the three standard streams lead to a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Somebody can be asked: the questions are read, and the answers come from
    /// the same place.
    pub asks: bool,
    /// Somebody watches standard error, so that progress is worth showing.
    pub watched: bool,
    /// How many characters a line of standard output has; `None`: it is no
    /// terminal, and lines are as long as they are.
    pub width: Option<usize>,
}

impl Terminal {
    /// Of this process.
    pub fn of_process() -> Self {
        let watched = io::stderr().is_terminal();
        let told = || rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_col);
        let width = || width(told(), std::env::var_os("COLUMNS"));
        Self {
            asks: io::stdin().is_terminal() && watched,
            watched,
            width: io::stdout().is_terminal().then(width).flatten(),
        }
    }
}

/// `told`: the columns of the terminal, 0 where it does not say, as on a serial line;
/// then `COLUMNS` does. How many rows it has is of no concern.
fn width(told: u16, variable: Option<OsString>) -> Option<usize> {
    if told > 0 {
        return Some(told.into());
    }
    let columns = variable?.to_str()?.parse().ok()?;
    Some(columns).filter(|columns| *columns > 0)
}

/// Asks before what is not easily taken back.
///
/// # Errors
/// Where the answer is another than `expected`, or nobody is there to be asked.
pub(super) fn confirm(
    surroundings: &mut Surroundings<'_>,
    question: &str,
    expected: &[&str],
    what: &str,
) -> Result<(), Failure> {
    if !surroundings.terminal.asks {
        return Err(Failure::usage(format!(
            "{what}: this asks before it acts, and nobody can be asked here; add --yes"
        )));
    }
    write!(surroundings.err, "{question} ")?;
    surroundings.err.flush()?;
    let mut answer = String::new();
    surroundings.input.read_line(&mut answer)?;
    if expected.contains(&answer.trim()) {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{what}: not confirmed, nothing was changed; answer {}, or add --yes",
        visible(expected.first().copied().unwrap_or_default())
    )))
}

/// Refuses at once, before anything is called, where nobody could be asked.
pub(super) fn require_consent(surroundings: &Surroundings<'_>, what: &str) -> Result<(), Failure> {
    if surroundings.terminal.asks {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{what}: this asks before it acts, and nobody can be asked here; add --yes, or look first with --dry-run"
    )))
}

/// A bar on standard error where somebody watches it, and else nothing. `total` is
/// `None` where nobody knows how much there is.
pub(super) fn progress(watched: bool, what: &str, total: Option<u64>, unit: Unit) -> ProgressBar {
    if !watched {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let template = match (unit, total) {
        (Unit::Users, Some(_)) => "{msg} {wide_bar} {human_pos} of {human_len}, {eta} left",
        (Unit::Users, None) => "{spinner} {msg} {human_pos} so far, {elapsed}",
        (Unit::Bytes, _) => "{spinner} {msg} {bytes} so far, {elapsed}",
    };
    // A template that does not parse costs the look, not the work.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}

/// What a bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Users,
    Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_knows_its_width_and_else_the_variable_does() {
        let width = |told, variable: &str| width(told, Some(variable.into()));
        assert_eq!(width(80, "200"), Some(80));
        assert_eq!(width(0, "100"), Some(100));
        assert_eq!([width(0, "0"), width(0, "wide")], [None, None]);
        assert_eq!(super::width(0, None), None);
    }
}
