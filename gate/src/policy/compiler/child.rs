//! The compiler's process, from the gate's side: started, fed, listened to, and ended
//! when it takes too long.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::artefact::Artefact;
use super::{ASK, CompilerError, Order, Pace};
use crate::policy::limits::{ARTEFACT_BYTES_MAX, COMPILE_NICENESS, COMPILE_THREADS_MAX};

/// What is heard of a compiler's last words; the first of them say the most.
const WORDS_BYTES_MAX: u64 = 2048;

/// What compiles: an executable, and what it is called with before the order itself.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

impl Program {
    /// The gate's own executable. Where the system has a name for what runs now, by
    /// that: an update may have put another in its place on the disk.
    pub fn own() -> Self {
        let running = Path::new("/proc/self/exe");
        let path = if running.exists() {
            running.to_owned()
        } else {
            std::env::current_exe().unwrap_or_else(|_| PathBuf::from("portcullis"))
        };
        Self::at(path, &[ASK])
    }

    /// Another executable that understands the same order.
    pub fn at(path: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        Self {
            path: path.into(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        }
    }

    /// Has a module compiled. It blocks until the compiler is gone.
    pub(super) fn compile(
        &self,
        wasm: &[u8],
        order: &Order,
        pace: Pace,
        deadline: Duration,
    ) -> Result<Artefact, CompilerError> {
        let mut running = self.start(order, pace).map_err(CompilerError::Start)?;
        let heard = running.talk(wasm, deadline).map_err(CompilerError::Start)?;
        if heard.late {
            return Err(CompilerError::Late {
                seconds: deadline.as_secs_f32(),
            });
        }
        if heard.made.len() > ARTEFACT_BYTES_MAX {
            return Err(CompilerError::TooMuchCode {
                max: ARTEFACT_BYTES_MAX,
            });
        }
        if heard.status.success() {
            Ok(Artefact::made(heard.made))
        } else {
            Err(why(heard.status, heard.words, order))
        }
    }

    fn start(&self, order: &Order, pace: Pace) -> io::Result<Running> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(COMPILE_THREADS_MAX);
        let niceness = match pace {
            Pace::AtOnce => 0,
            Pace::Beside => COMPILE_NICENESS,
        };
        let child = Command::new(&self.path)
            .arg0("portcullis")
            .args(&self.arguments)
            .args(["--engine", &order.engine])
            .args(["--memory-bytes", &order.memory_bytes_max.to_string()])
            .args(["--cpu-seconds", &order.cpu_seconds_max.to_string()])
            .args(["--niceness", &niceness.to_string()])
            // No secret of the gate's, and nothing that changes what comes out.
            .env_clear()
            .env("RAYON_NUM_THREADS", threads.to_string())
            // The allocator takes memory as it is used and not by the gigabyte, which
            // would count against the limit.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Running(child))
    }
}

/// Gone when this is: whoever stops listening ends it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Where it has ended already, both say so.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Heard {
    status: ExitStatus,
    late: bool,
    made: Vec<u8>,
    words: String,
}

impl Running {
    fn talk(&mut self, wasm: &[u8], deadline: Duration) -> io::Result<Heard> {
        let started = Instant::now();
        let gone = || io::Error::other("it has no standard streams");
        let input = self.0.stdin.take().ok_or_else(gone)?;
        let output = self.0.stdout.take().ok_or_else(gone)?;
        let errors = self.0.stderr.take().ok_or_else(gone)?;
        thread::scope(|scope| {
            let (ended, ends) = mpsc::channel();
            let also_ended = ended.clone();
            let listening = || {
                spawn(scope, move || feed(input, wasm))?;
                let made = spawn(scope, move || {
                    let made = take(output);
                    drop(ended);
                    made
                })?;
                let words = spawn(scope, move || {
                    let words = hear(errors);
                    drop(also_ended);
                    words
                })?;
                Ok((made, words))
            };
            let threads: io::Result<_> = listening();
            let late = loop {
                let left = deadline.saturating_sub(started.elapsed());
                match ends.recv_timeout(left) {
                    // Both streams are at their end, as when a process is at its own.
                    Err(mpsc::RecvTimeoutError::Disconnected) => break false,
                    Err(mpsc::RecvTimeoutError::Timeout) => break true,
                    Ok(()) => {}
                }
            };
            if late || threads.is_err() {
                self.0.kill()?;
            }
            let status = self.0.wait()?;
            let (made, words) = threads?;
            Ok(Heard {
                status,
                late,
                made: made.join().unwrap_or_default(),
                words: words.join().unwrap_or_default(),
            })
        })
    }
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    thread::Builder::new()
        .name("policy-compiler".to_owned())
        .spawn_scoped(scope, work)
}

/// A compiler that ends before it has read all says why in another place.
fn feed(mut input: ChildStdin, wasm: &[u8]) {
    let _ = input.write_all(wasm);
}

/// One byte more than may be, at most: then it is too much, and nobody listens any
/// more. What breaks off here shows in the compiler's end.
fn take(output: ChildStdout) -> Vec<u8> {
    let mut made = Vec::new();
    let _ = output
        .take(ARTEFACT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut made);
    made
}

/// The first words; what follows is heard to its end, so that nobody waits for it.
fn hear(mut errors: ChildStderr) -> String {
    let mut words = Vec::new();
    let _ = (&mut errors).take(WORDS_BYTES_MAX).read_to_end(&mut words);
    let _ = io::copy(&mut errors, &mut io::sink());
    let words = String::from_utf8_lossy(&words);
    let one_line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    one_line.chars().filter(|c| !c.is_control()).collect()
}

/// Exit code 1 is the compiler's own word on the module; whatever else ended it is
/// told by how it ended.
fn why(status: ExitStatus, words: String, order: &Order) -> CompilerError {
    // As Rust's allocator, the system, and the engine put it, and what is said where
    // there is none for the stack of a thread.
    const NO_MEMORY: [&str; 4] = [
        "memory allocation of",
        "Cannot allocate memory",
        "out of memory",
        "ThreadPoolBuildError",
    ];
    let signal = |signal: Signal| status.signal() == Some(signal.as_raw());
    if signal(Signal::XCPU) {
        return CompilerError::Time {
            seconds: order.cpu_seconds_max,
        };
    }
    if NO_MEMORY.iter().any(|told| words.contains(told)) {
        return CompilerError::Memory {
            max: order.memory_bytes_max,
        };
    }
    if status.code() == Some(1) {
        return CompilerError::Refused(words);
    }
    CompilerError::Ended { status, words }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn order() -> Order {
        Order {
            engine: "e".to_owned(),
            memory_bytes_max: 7 << 20,
            cpu_seconds_max: 5,
        }
    }

    /// What the gate makes of a compiler that does what `script` says.
    fn told(script: &str, deadline: Duration) -> Result<Vec<u8>, String> {
        let made = Program::at("/bin/sh", &["-c", script]).compile(
            b"wasm",
            &order(),
            Pace::Beside,
            deadline,
        );
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[0; 32]);
        made.map(|artefact| artefact.sealed(&key, "").1.to_vec())
            .map_err(|error| error.to_string())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_a_compiler_gives_out_is_taken_when_it_has_ended_well() {
        assert_eq!(told("cat", LONG), Ok(b"wasm".to_vec()));
    }

    #[test]
    fn each_end_has_words_of_its_own() {
        let table = [
            (
                "cat; echo 'function 3 is too large' >&2; exit 1",
                "the component cannot be compiled: function 3 is too large",
            ),
            (
                "kill -9 $$",
                "the compiler ended (signal: 9 (SIGKILL)) and said \"\"",
            ),
            (
                "echo \"thread panicked\n at x\" >&2; exit 101",
                "the compiler ended (exit status: 101) and said \"thread panicked at x\"",
            ),
            ("kill -XCPU $$", "takes more than 5 s of processor time"),
            (
                "echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$",
                "takes more than 7 MiB of memory",
            ),
        ];
        for (script, expected) in table {
            let error = told(script, LONG).unwrap_err();
            assert!(error.contains(expected), "{script}: {error}");
        }
    }

    #[test]
    fn one_that_does_not_end_is_ended() {
        // It reads nothing, says nothing, and closes nothing.
        let error = told("exec sleep 1000", Duration::from_millis(100)).unwrap_err();
        assert!(error.contains("takes longer than 0.1 s"), "{error}");
    }

    #[test]
    fn one_that_talks_on_and_on_holds_nobody_up() {
        let error = told("exec cat /dev/zero", LONG).unwrap_err();
        assert!(error.contains("bytes of code"), "{error}");
        let error = told("head -c 1000000 /dev/zero >&2; exit 4", LONG).unwrap_err();
        assert!(error.contains("exit status: 4"), "{error}");
    }

    #[test]
    fn it_knows_nothing_of_the_gates_environment() {
        let seen = String::from_utf8(told("env", LONG).unwrap()).unwrap();
        // What a shell sets by itself.
        let own = ["PWD=", "_=", "SHLVL=", "OLDPWD=", "RAYON_NUM_", "MIMALLOC_"];
        for line in seen.lines() {
            assert!(own.iter().any(|name| line.starts_with(name)), "{line}");
        }
    }

    #[test]
    fn an_executable_that_is_not_there_is_told() {
        let made =
            Program::at("/nowhere/portcullis", &[]).compile(b"", &order(), Pace::AtOnce, LONG);
        let error = made.err().unwrap().to_string();
        assert!(error.contains("cannot be started"), "{error}");
    }
}
