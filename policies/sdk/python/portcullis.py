"""What stands between your rules and the gate.

A guest that lets an exception out, or answers in another shape than the contract's,
is stopped without a word. This module turns both into policy errors, which the
gate's log and `portcullis policy test` show in words. It also lets rules leave out
what is empty: lists, and fields that are optional.

As in `wit/`, with the names that componentize-py gives them (`wit_world.exports`),
but for this: `settings` and `attributes` are dicts, and a dict may be given wherever
the contract has pairs.
"""

import dataclasses
import datetime
import random
import time
import typing

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import about, notification, reactivation, refusal, types


class PolicyError(Exception):
    """Why the rules cannot decide. Raise one from anywhere in them.

    `code` is a stable word for machines, such as `settings-missing`; `message` is one
    sentence for the operator.
    """

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


def define_policy(*, describe, refuse, validate_settings=None, reactivate=None, notify=None):
    """Makes a policy of five functions: the classes that the gate looks for.

    A policy without `reactivate` lets nobody back in by a reset, one without `notify`
    sends nothing, one without `validate_settings` takes any.
    """
    no_reset = reactivation.ReactivationDecision(
        verdict=reactivation.Verdict_Refused(), language="en"
    )
    no_message = notification.NotificationDecision()
    describe = _guarded("describe", describe, about.Description)
    refuse = _guarded("refuse", refuse, refusal.RefusalDecision, _readable)
    validate_settings = _guarded(
        "validate_settings",
        validate_settings or (lambda settings: []),
        typing.List[about.Problem],
        dict,
    )
    reactivate = _guarded(
        "reactivate",
        reactivate or (lambda request: no_reset),
        reactivation.ReactivationDecision,
        _readable,
    )
    notify = _guarded(
        "notify",
        notify or (lambda request: no_message),
        notification.NotificationDecision,
        _readable,
    )

    class About(exports.About):
        def describe(self):
            return describe()

        def validate_settings(self, settings):
            return validate_settings(settings)

    class Refusal(exports.Refusal):
        def decide(self, request):
            return refuse(request)

    class Reactivation(exports.Reactivation):
        def decide(self, request):
            return reactivate(request)

    class Notification(exports.Notification):
        def compose(self, request):
            return notify(request)

    return About, Refusal, Reactivation, Notification


def _guarded(name, rule, answer, read=lambda given: given):
    def ask(*given):
        try:
            return _checked(rule(*map(read, given)), answer, name)
        except PolicyError as error:
            raise Err(types.PolicyError(str(error.code), str(error))) from None
        # `exit()` is no way out of a policy either.
        except BaseException as error:
            words = f"{name}: {type(error).__name__}: {error}{_place(error)}"
            raise Err(types.PolicyError("exception", words)) from None

    return ask


def _place(error):
    last = error.__traceback__
    while last and last.tb_next:
        last = last.tb_next
    return f", at {last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last else ""


def _readable(request):
    request.context.settings = dict(request.context.settings)
    request.context.attributes = dict(request.context.attributes)
    return request


def _checked(value, hint, path):
    """Gives the value back as the contract wants it, or raises what is wrong."""
    if dataclasses.is_dataclass(hint):
        if type(value) is not hint:
            raise _wrong(path, value, hint.__name__)
        for name, part in _PARTS[hint].items():
            setattr(value, name, _checked(getattr(value, name), part, f"{path}.{name}"))
        return value
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union and type(None) in parts:
        return None if value is None else _checked(value, parts[0], path)
    if origin is typing.Union:
        if type(value) not in parts:
            raise _wrong(path, value, " or ".join(part.__name__ for part in parts))
        return _checked(value, type(value), path)
    if origin is list:
        items = list(value.items()) if isinstance(value, dict) else value
        if not isinstance(items, (list, tuple)):
            raise _wrong(path, value, "a list")
        return [_checked(item, parts[0], f"{path}[{n}]") for n, item in enumerate(items)]
    if origin is tuple:
        if not isinstance(value, tuple) or len(value) != len(parts):
            raise _wrong(path, value, f"a tuple of {len(parts)}")
        return tuple(_checked(item, part, path) for item, part in zip(value, parts))
    # `True` is an int to Python, and no status.
    if type(value) is not hint:
        raise _wrong(path, value, hint.__name__)
    if hint is int and not 0 <= value <= _MOST.get(path.rpartition(".")[2], 0xFFFFFFFF):
        raise _wrong(path, value, "a number that fits")
    return value


# What the contract has as a `u16`; its other numbers in answers are `u32`.
_MOST = {"status": 0xFFFF}


def _wrong(path, value, wanted):
    return TypeError(f"{path} is {value!r}; give {wanted}")


def _ease(answer):
    """Lets whoever makes one of these leave out what is empty."""
    absent = {
        name: list if typing.get_origin(hint) is list else type(None)
        for name, hint in _PARTS[answer].items()
        if typing.get_origin(hint) is list or type(None) in typing.get_args(hint)
    }
    names, plain = list(_PARTS[answer]), answer.__init__

    def make(self, *parts, **named):
        named = dict(zip(names, parts), **named)
        plain(self, **{name: empty() for name, empty in absent.items()} | named)

    answer.__init__ = make


def _refused(code, words):
    def refuse(*_, **__):
        raise PolicyError(code, words)

    return refuse


# A clock would stop the policy without a word, and chance repeat itself from when it
# was built. Rules that ask for them through these modules are told instead; names
# that were taken out of a module before this one was imported are not caught.
_no_clock = _refused("no-clock", "a policy has no clock; use context.now, in seconds")
_no_chance = _refused("no-chance", "a policy has no randomness; use context.seed")


class _DateTime(datetime.datetime):
    now = today = utcnow = staticmethod(_no_clock)


datetime.datetime = _DateTime
for _name in ("time", "time_ns", "monotonic", "perf_counter"):
    setattr(time, _name, _no_clock)
for _name in random.__all__:
    if _name[0].islower():
        setattr(random, _name, _no_chance)

# Types are looked into here, once, when the module is built, and not in each call.
_PARTS = {
    kind: typing.get_type_hints(kind)
    for module in (about, notification, reactivation, refusal, types)
    for kind in vars(module).values()
    if dataclasses.is_dataclass(kind)
}
for _answer in (
    about.Description,
    about.Setting,
    refusal.RefusalDecision,
    reactivation.ReactivationDecision,
    reactivation.Terms,
    notification.NotificationDecision,
    notification.InlineTemplate,
    notification.Message,
    notification.Reset,
    types.Action,
):
    _ease(_answer)
