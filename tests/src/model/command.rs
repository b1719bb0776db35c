//! What is tried, as proptest draws it and makes it smaller.

use std::ops::Range;

use proptest::option;
use proptest::prelude::{Just, Strategy, any};
use proptest::{collection, prop_oneof, sample};

use super::caller::Caller;
use super::hold::{Kind, Second};
use super::many::{Listed, Many, list, many};

/// People in one run.
pub const PEOPLE: usize = 2;
const COMMANDS: Range<usize> = 1..16;

pub const REASONS: [&str; 2] = ["violatedTrust", "longLeave"];

/// Names that somebody may have besides the id.
const NAMES: usize = 2;
/// How often somebody is deleted.
const DELETION: u32 = 2;

const HOUR: Second = 60 * 60;

#[derive(Clone, Debug)]
pub enum Command {
    /// A call that changes somebody.
    Change(Change),
    /// A call that changes many.
    Many(Many),
    /// The last call that carried an idempotency key, once more; where it has a list,
    /// with this one.
    Again(Vec<Listed>),
    /// By the user's id, or by a name that it had.
    LogIn(usize, bool),
    Crash(Crash),
    /// An orderly stop and a start.
    Restart,
    /// The clock is set forwards or back.
    Step(i64),
    /// Waits until all that time has brought about is on record.
    Settle,
}

#[derive(Clone, Debug)]
pub enum Crash {
    Idle,
    /// While it does something: that many microseconds after it was asked for.
    Amid(Change, u64),
    AmidMany(Many, u64),
}

#[derive(Clone, Debug)]
pub struct Change {
    pub by: Caller,
    pub who: usize,
    /// Calls the user by a name that it has, where there is one.
    pub by_name: bool,
    pub deed: Deed,
    pub dry_run: bool,
    /// Carries an idempotency key.
    pub keyed: bool,
    pub precondition: Precondition,
}

/// `If-Match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    None,
    Fresh,
    Stale,
}

#[derive(Clone, Debug)]
pub enum Deed {
    Suspend(Terms),
    Restore {
        hold: Option<&'static str>,
        restore_api_keys: Option<bool>,
    },
    EndSessions,
    /// Circularo's `PUT {"status": …}`.
    Circularo {
        suspended: bool,
    },
    ReachFive {
        allow_password_reset: bool,
    },
    ReachFiveUnsuspend,
    /// Gives the user another name, or takes it away.
    Name(Option<usize>),
    Delete,
}

/// The fields of a suspension, each of which may be left out.
#[derive(Clone, Debug)]
pub struct Terms {
    pub hold: Option<&'static str>,
    pub kind: Option<Kind>,
    pub read_only: bool,
    pub reason: Option<&'static str>,
    pub ticket: Option<&'static str>,
    pub starts_at: Option<When>,
    pub ends_at: Option<When>,
    pub disable_api_keys: Option<bool>,
    pub revoke_sessions: Option<bool>,
}

/// A time as a call says it.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// A duration.
    In(Second),
    /// A time, by its distance to the beginning of the run.
    At(i64),
}

pub fn commands() -> impl Strategy<Value = Vec<Command>> {
    collection::vec(command(), COMMANDS)
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        42 => change().prop_map(Command::Change),
        20 => many().prop_map(Command::Many),
        7 => list().prop_map(Command::Again),
        16 => (who(), any::<bool>()).prop_map(|(who, by_name)| Command::LogIn(who, by_name)),
        22 => step().prop_map(Command::Step),
        7 => Just(Command::Settle),
        2 => prop_oneof![
            2 => Just(Command::Restart),
            1 => Just(Command::Crash(Crash::Idle)),
            2 => (change(), 0..6_000_u64)
                .prop_map(|(change, after)| Command::Crash(Crash::Amid(change, after))),
            2 => (many(), 0..12_000_u64)
                .prop_map(|(many, after)| Command::Crash(Crash::AmidMany(many, after))),
        ],
    ]
}

fn who() -> impl Strategy<Value = usize> {
    0..PEOPLE
}

pub fn caller() -> impl Strategy<Value = Caller> {
    prop_oneof![
        4 => Just(Caller::Root),
        2 => Just(Caller::Boss),
        3 => Just(Caller::Support),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let precondition = prop_oneof![
        8 => Just(Precondition::None),
        2 => Just(Precondition::Fresh),
        1 => Just(Precondition::Stale),
    ];
    let whom = (caller(), who(), any::<bool>());
    (whom, deed(), rarely(), any::<bool>(), precondition).prop_map(
        |((by, who, by_name), deed, dry_run, keyed, precondition)| Change {
            by,
            who,
            by_name,
            deed,
            dry_run,
            keyed,
            precondition,
        },
    )
}

pub fn rarely() -> impl Strategy<Value = bool> {
    prop_oneof![9 => Just(false), 1 => Just(true)]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        18 => suspension_or_restore(),
        1 => Just(Deed::EndSessions),
        2 => any::<bool>().prop_map(|suspended| Deed::Circularo { suspended }),
        1 => any::<bool>()
            .prop_map(|allow_password_reset| Deed::ReachFive { allow_password_reset }),
        1 => Just(Deed::ReachFiveUnsuspend),
        2 => option::weighted(0.8, 0..NAMES).prop_map(Deed::Name),
        DELETION => Just(Deed::Delete),
    ]
}

pub fn suspension_or_restore() -> impl Strategy<Value = Deed> {
    let restore = (option::of(hold_name()), option::of(any::<bool>()));
    prop_oneof![
        2 => terms().prop_map(Deed::Suspend),
        1 => restore.prop_map(|(hold, restore_api_keys)| Deed::Restore { hold, restore_api_keys }),
    ]
}

fn terms() -> impl Strategy<Value = Terms> {
    let kinds = sample::select(vec![Kind::Temporary, Kind::Permanent]);
    let words = (
        option::of(hold_name()),
        option::of(kinds),
        prop_oneof![3 => Just(false), 1 => Just(true)],
        option::weighted(0.2, sample::select(REASONS.to_vec())),
        option::weighted(0.2, sample::select(vec!["T-1", "T-2"])),
    );
    let flags = || option::weighted(0.4, any::<bool>());
    let times = (
        option::weighted(0.25, when()),
        option::weighted(0.4, when()),
    );
    (words, times, flags(), flags()).prop_map(
        |(words, times, disable_api_keys, revoke_sessions)| {
            let (hold, kind, read_only, reason, ticket) = words;
            Terms {
                hold,
                kind,
                read_only,
                reason,
                ticket,
                starts_at: times.0,
                ends_at: times.1,
                disable_api_keys,
                revoke_sessions,
            }
        },
    )
}

fn hold_name() -> impl Strategy<Value = &'static str> {
    sample::select(vec!["admin", "hr", "legal"])
}

/// Of a grain as coarse as the steps', so that the clock often stands on the very
/// second of a beginning or an end.
fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        3 => (0..4_u64).prop_map(|halves| When::In(halves * HOUR / 2)),
        2 => (-2..6_i64).prop_map(|halves| When::At(halves * 1_800)),
    ]
}

fn step() -> impl Strategy<Value = i64> {
    let second = prop_oneof![6 => Just(0), 1 => Just(-1), 1 => Just(1)];
    let halves = prop_oneof![3 => 1..4_i64, 1 => -3..0_i64];
    (halves, second).prop_map(|(halves, second)| halves * 1_800 + second)
}
