//! Policies are compiled beside the gate, once: a start compiles nothing that was
//! compiled before, what is kept is believed only as it was written, and a compiler
//! that fails changes nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use portcullis::policy::compiler::{Compilations, Compiler, Program};
use portcullis::policy::{CompileLimits, HostLimits, PolicyHost};
use portcullis_core::policy::Settings;
use portcullis_tests::browser::Browser;
use portcullis_tests::client::{Answer, Ask};
use portcullis_tests::gate::{Gate, Plan, tenant};
use portcullis_tests::guests;
use portcullis_tests::origin::Origin;
use portcullis_tests::patience::eventually;
use portcullis_tests::program::binary;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const POLICY: &str = "/api/v1/tenants/acme/policy";

/// A gate of two tenants with one policy, and a suspended bob at the first.
async fn stage() -> (Gate, Origin, Browser) {
    let origin = Origin::start().await;
    let tenants = tenant("acme", origin.address) + &tenant("globex", origin.address);
    let gate = Plan::new(&tenants).start();
    let bob = Browser::signed_in(gate.data, "acme.localhost", "bob").await;
    gate.admin().of("acme").suspend("bob", &json!({})).await;
    (gate, origin, bob)
}

/// How modules became code since the start: compiled, in vain, kept from before.
async fn compilations(gate: &Gate) -> [u64; 3] {
    let metrics = gate.admin().ask(Method::GET, "/metrics", None).await.text();
    ["made", "failed", "kept"].map(|outcome| {
        let name = format!("portcullis_policy_compilations_total{{outcome=\"{outcome}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.expect("the metric").parse().unwrap()
    })
}

async fn is_refused_by_the_policy(gate: &Gate, bob: &Browser) {
    let ask = Ask::get("/me")
        .host("acme.localhost")
        .cookie(&bob.cookies())
        .header("accept", "text/html");
    let answer = ask.send(gate.data).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("Your account is suspended"));
}

fn folder(gate: &Gate) -> PathBuf {
    gate.plan().folder().join("state/compiled")
}

/// What is kept, without the key.
fn artefacts(gate: &Gate) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(gate)).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "compiled"))
        .collect()
}

fn body(module: &[u8]) -> Value {
    json!({"module": STANDARD.encode(module), "settings": {}})
}

#[tokio::test]
async fn a_second_start_compiles_nothing_and_tenants_share_what_was_compiled() {
    let (mut gate, _origin, bob) = stage().await;
    assert_eq!(compilations(&gate).await, [1, 0, 0]);
    let kept = artefacts(&gate);
    assert_eq!(kept.len(), 1);
    assert_eq!(
        kept[0].metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    let written = fs::read(&kept[0]).unwrap();

    gate.restart();
    assert_eq!(compilations(&gate).await, [0, 0, 1]);
    is_refused_by_the_policy(&gate, &bob).await;
    assert_eq!(fs::read(&kept[0]).unwrap(), written);

    // What is put is kept as well, for the start after a crash.
    let put = gate
        .admin()
        .ask(Method::PUT, POLICY, Some(&body(&guests::hostile())))
        .await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(compilations(&gate).await, [1, 0, 1]);
    gate.kill_9();
    gate.start_again();
    assert_eq!(compilations(&gate).await, [0, 0, 2]);
}

#[tokio::test]
async fn what_is_kept_and_damaged_is_compiled_anew() {
    let (mut gate, _origin, bob) = stage().await;
    let file = artefacts(&gate).remove(0);
    let whole = fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let damaged = [
        whole[..whole.len() / 2].to_vec(),
        Vec::new(),
        flipped(0),
        flipped(whole.len() / 2),
        flipped(whole.len() - 1),
        // Code as the engine takes it, that nobody has sealed.
        whole[32..].to_vec(),
    ];
    for (number, bytes) in damaged.iter().enumerate() {
        gate.kill_9();
        fs::write(&file, bytes).unwrap();
        gate.start_again();
        assert_eq!(compilations(&gate).await, [1, 0, 0], "damage {number}");
        assert!(gate.log().contains("a compiled policy is damaged"));
        is_refused_by_the_policy(&gate, &bob).await;
        assert_eq!(artefacts(&gate), std::slice::from_ref(&file));
    }
    gate.restart();
    assert_eq!(compilations(&gate).await, [0, 0, 1]);
}

#[tokio::test]
async fn code_for_another_engine_is_left_alone_and_under_a_false_name_not_believed() {
    let (mut gate, _origin, bob) = stage().await;
    let file = artefacts(&gate).remove(0);
    let name = file.file_name().unwrap().to_str().unwrap();
    let (module, _engine) = name.split_once('-').unwrap();
    let other = file.with_file_name(format!("{module}-{}.compiled", "0".repeat(64)));
    gate.kill_9();
    fs::rename(&file, &other).unwrap();
    gate.start_again();
    assert_eq!(compilations(&gate).await, [1, 0, 0]);
    assert_eq!(artefacts(&gate).len(), 2);

    // Another module's code in its place.
    let put = gate
        .admin()
        .ask(Method::PUT, POLICY, Some(&body(&guests::hostile())))
        .await;
    assert_eq!(put.status, 200, "{}", put.text());
    let hostile = artefacts(&gate)
        .into_iter()
        .find(|path| path != &file && path != &other)
        .unwrap();
    gate.admin()
        .done(
            Method::POST,
            &format!("{POLICY}/rollback"),
            Some(&json!({})),
        )
        .await;
    gate.kill_9();
    fs::copy(&hostile, &file).unwrap();
    gate.start_again();
    assert_eq!(compilations(&gate).await[0], 1);
    is_refused_by_the_policy(&gate, &bob).await;
}

/// The gate's compiler, while it runs: by its parent and its name for itself.
fn compiler_of(gate: &Gate) -> Option<u32> {
    fs::read_dir("/proc").unwrap().find_map(|entry| {
        let process: u32 = entry.unwrap().file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // `number (name) state parent …`
        let parent = status.rsplit_once(')')?.1.split_whitespace().nth(1)?;
        let command = fs::read_to_string(format!("/proc/{process}/cmdline")).ok()?;
        let compiles = command.contains("compile-policy");
        (compiles && parent == gate.process().to_string()).then_some(process)
    })
}

/// What is put takes a compiler seconds. Its process is stopped where it is when it
/// has stepped back, so that it does not end before it is looked at.
async fn compiler_at_work(gate: &Gate) -> (u32, JoinHandle<Answer>) {
    let slow = body(&guests::hard_to_compile(200, 8000));
    let admin = gate.admin();
    let putting = tokio::spawn(async move { admin.ask(Method::PUT, POLICY, Some(&slow)).await });
    let mut compiler = None;
    eventually("a compiler that gives way", || {
        compiler = compiler_of(gate).filter(|compiler| {
            let score = fs::read_to_string(format!("/proc/{compiler}/oom_score_adj")).unwrap();
            let gates = niceness(gate.process());
            score.trim() == "1000" && niceness(*compiler) == (gates + 10).min(19)
        });
        compiler.is_some()
    })
    .await;
    let compiler = compiler.unwrap();
    signal(compiler, "STOP");
    (compiler, putting)
}

fn niceness(process: u32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields = status.rsplit_once(')').unwrap().1;
    fields.split_whitespace().nth(16).unwrap().parse().unwrap()
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &process.to_string()])
        .status();
    assert!(sent.unwrap().success(), "the signal was not sent");
}

#[tokio::test]
async fn a_compiler_that_is_killed_leaves_the_old_policy_in_force() {
    let (gate, _origin, bob) = stage().await;
    let (compiler, putting) = compiler_at_work(&gate).await;
    is_refused_by_the_policy(&gate, &bob).await;
    signal(compiler, "KILL");
    let answer = putting.await.unwrap();
    assert_eq!(answer.status, 422, "{}", answer.text());
    let told = answer.text();
    assert!(told.contains("module: sha256:"), "{told}");
    let ended = "the compiler ended (signal: 9 (SIGKILL))";
    assert!(told.contains(ended), "{told}");
    assert_eq!(compilations(&gate).await, [1, 1, 0]);
    let now = gate.admin().done(Method::GET, POLICY, None).await;
    assert_eq!(now["generation"], 0);
    is_refused_by_the_policy(&gate, &bob).await;
    assert_eq!(compiler_of(&gate), None);
}

#[tokio::test]
async fn a_gate_that_dies_takes_its_compiler_along() {
    let (mut gate, _origin, _bob) = stage().await;
    let (compiler, putting) = compiler_at_work(&gate).await;
    gate.kill_9();
    putting.abort();
    let process = format!("/proc/{compiler}/stat");
    eventually("the compiler's end", || {
        // Gone, or dead and not yet collected by whoever took it over.
        fs::read_to_string(&process).map_or(true, |status| status.contains(") Z "))
    })
    .await;
}

/// A host whose compiler has such limits; nothing is served here.
fn host(store: &Path, compile: CompileLimits) -> PolicyHost {
    let limits = HostLimits {
        compile,
        ..HostLimits::default()
    };
    let program = Program::at(binary(), &["compile-policy"]);
    PolicyHost::with_compiler(limits, Compiler::apart(program, store)).unwrap()
}

fn usual() -> CompileLimits {
    HostLimits::default().compile
}

#[test]
fn a_module_that_takes_too_much_to_compile_is_refused_by_what_it_takes() {
    let store = tempfile::tempdir().unwrap();
    let table = [
        (
            CompileLimits {
                memory_bytes_max: 128 << 20,
                ..usual()
            },
            // One large function: all of it is in memory at once.
            guests::hard_to_compile(1, 1_000_000),
            "takes more than 128 MiB of memory",
        ),
        (
            CompileLimits {
                cpu_seconds_max: 1,
                ..usual()
            },
            guests::hard_to_compile(400, 8000),
            "takes more than 1 s of processor time",
        ),
        (
            CompileLimits {
                deadline: Duration::from_millis(300),
                ..usual()
            },
            guests::hard_to_compile(400, 8000),
            "takes longer than 0.3 s",
        ),
    ];
    for (limits, module, expected) in table {
        let host = host(store.path(), limits);
        let error = host.load_module(&module, Settings::default()).unwrap_err();
        let told = error.to_string();
        assert!(told.starts_with("module: sha256:"), "{told}");
        assert!(told.contains(expected), "{told}");
        let failed = Compilations {
            failed: 1,
            ..Compilations::default()
        };
        assert_eq!(host.compilations(), failed);
    }
    // Within the limits that a gate has, the hostile policy itself is no burden.
    let host = host(store.path(), usual());
    host.load_module(&guests::hostile(), Settings::default())
        .unwrap();
}

/// A gate that starts beside many others may lose its compiler to a lack of memory.
#[test]
fn a_compiler_that_ends_by_itself_at_a_start_is_asked_once_more() {
    let store = tempfile::tempdir().unwrap();
    let loaded = |ends: usize| {
        let asked = store.path().join("asked");
        drop(fs::remove_file(&asked));
        let script = format!(
            "echo >> {asked}; [ $(wc -l < {asked}) -gt {ends} ] || kill -9 $$; \
             exec {gate} compile-policy \"$@\"",
            asked = asked.display(),
            gate = binary().display(),
        );
        let program = Program::at("/bin/sh", &["-c", &script, "sh"]);
        let compiler = Compiler::apart(program, store.path());
        let host = PolicyHost::with_compiler(HostLimits::default(), compiler).unwrap();
        let loaded = host.load_module(&guests::hostile(), Settings::default());
        loaded.map(|_| ()).map_err(|error| error.to_string())
    };
    let twice = loaded(2).unwrap_err();
    assert!(twice.contains("the compiler ended (signal: 9"), "{twice}");
    assert_eq!(loaded(1), Ok(()));
}

#[test]
fn what_the_engine_does_not_take_is_told_as_it_is_by_a_compiler_in_the_process() {
    let store = tempfile::tempdir().unwrap();
    let here = PolicyHost::new(HostLimits::default()).unwrap();
    let apart = host(store.path(), usual());
    let table = guests::with_table_of(10_000_000);
    let said = |host: &PolicyHost| {
        let error = host.load_module(&table, Settings::default());
        error.unwrap_err().to_string()
    };
    assert_eq!(said(&here), said(&apart));
    assert!(said(&apart).contains("10000000"));
}

#[tokio::test]
async fn a_folder_that_others_may_use_is_not_believed_and_the_gate_starts() {
    let (mut gate, _origin, bob) = stage().await;
    let folder = folder(&gate);
    gate.kill_9();
    fs::set_permissions(&folder, Permissions::from_mode(0o770)).unwrap();
    gate.start_again();
    let log = gate.log();
    assert!(log.contains("compiled policies are not kept"), "{log}");
    assert!(log.contains("state/compiled: others than"), "{log}");
    assert!(
        log.contains("remove it, and the gate makes it anew"),
        "{log}"
    );
    assert_eq!(compilations(&gate).await, [1, 0, 0]);
    is_refused_by_the_policy(&gate, &bob).await;

    // As it was told.
    gate.kill_9();
    fs::remove_dir_all(&folder).unwrap();
    gate.start_again();
    assert_eq!(compilations(&gate).await, [1, 0, 0]);
    assert_eq!(artefacts(&gate).len(), 1);
}

#[tokio::test]
async fn where_nothing_can_be_kept_the_gate_starts_and_says_so() {
    let (mut gate, _origin, bob) = stage().await;
    let folder = folder(&gate);
    gate.kill_9();
    fs::remove_dir_all(&folder).unwrap();
    File::create(&folder).unwrap();
    gate.start_again();
    assert!(gate.log().contains("compiled policies are not kept"));
    assert_eq!(compilations(&gate).await, [1, 0, 0]);
    is_refused_by_the_policy(&gate, &bob).await;

    // It goes away while the gate runs, as a disk may.
    gate.kill_9();
    fs::remove_file(&folder).unwrap();
    gate.start_again();
    fs::remove_dir_all(&folder).unwrap();
    let put = gate
        .admin()
        .ask(Method::PUT, POLICY, Some(&body(&guests::hostile())))
        .await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert!(gate.log().contains("a compiled policy is not kept"));
}

#[tokio::test]
async fn what_cannot_be_written_whole_is_not_left_behind_in_part() {
    let (gate, _origin, _bob) = stage().await;
    let before = artefacts(&gate);
    // What is written must not be there, and is.
    let module = guests::hostile();
    let name = before[0].file_name().unwrap().to_str().unwrap();
    let engine = name.split_once('-').unwrap().1;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &module);
    let digest: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let draft = folder(&gate)
        .join(format!("{digest}-{engine}"))
        .with_extension("partial");
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&draft)
        .unwrap();
    let put = gate
        .admin()
        .ask(Method::PUT, POLICY, Some(&body(&module)))
        .await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert!(gate.log().contains("a compiled policy is not kept"));
    assert_eq!(artefacts(&gate), before);
    assert!(!draft.exists());
}
