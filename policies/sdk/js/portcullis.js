// What stands between your rules and the gate.
//
// A guest that lets an exception out, or answers in another shape than the
// contract's, is stopped without a word. This module turns both into policy
// errors, which the gate's log and `portcullis policy test` show in words. It
// also lets rules leave out what is empty: lists, and fields that are optional.
//
// As in `wit/`, but for this: names are in camelCase; an enum is a text; a
// variant is `{ tag, val }`, as in `{ tag: "allowed", val: { … } }`; times are
// numbers; `settings` and `attributes` are objects. `seed` is a BigInt.

import { answers } from "./shapes.js";

/** Why the rules cannot decide. Throw one from anywhere in them. */
export class PolicyError extends Error {
  /**
   * @param {string} code a stable word for machines, such as `settings-missing`
   * @param {string} message one sentence for the operator
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * Makes a policy of five functions. `describe` and `refuse` must be there; a
 * policy without `reactivate` lets nobody back in by a reset, one without
 * `notify` sends nothing, one without `validateSettings` takes any.
 */
export function definePolicy({
  describe,
  validateSettings = () => [],
  refuse,
  reactivate = () => ({ verdict: { tag: "refused" }, language: "en" }),
  notify = () => ({ messages: [] }),
}) {
  const asked = (name, rule) => guarded(name, rule, request);
  return {
    about: {
      describe: guarded("describe", describe),
      validateSettings: guarded("validateSettings", validateSettings, Object.fromEntries),
    },
    refusal: { decide: asked("refuse", refuse) },
    reactivation: { decide: asked("reactivate", reactivate) },
    notification: { compose: asked("notify", notify) },
  };
}

function guarded(name, rule, read = (given) => given) {
  return (given) => {
    try {
      return answers[name](rule(read(given)), name);
    } catch (thrown) {
      // An error's `payload` is what the contract's error is read from.
      throw Object.assign(new Error("declined"), { payload: policyError(name, thrown) });
    }
  };
}

function policyError(name, thrown) {
  if (thrown instanceof PolicyError) {
    return { code: String(thrown.code), message: thrown.message };
  }
  const at = /^[^\n]*?[\w./]+:\d+:\d+/.exec(thrown?.stack ?? "")?.[0];
  return { code: "exception", message: `${name}: ${thrown}${at ? `, at ${at}` : ""}` };
}

function request(given) {
  const { context, suspension, issuedAt } = given;
  return {
    ...given,
    context: {
      ...context,
      now: Number(context.now),
      attributes: Object.fromEntries(context.attributes),
      settings: Object.fromEntries(context.settings),
    },
    suspension: suspension && {
      ...suspension,
      since: Number(suspension.since),
      until: number(suspension.until),
    },
    issuedAt: number(issuedAt),
  };
}

function number(time) {
  return time === undefined || time === null ? undefined : Number(time);
}

// A clock and chance would stand still at what they were when the policy was
// built, so rules that ask for them are told instead.
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) {
      Date.now();
    }
    super(...parts);
  }
  static now() {
    throw new PolicyError("no-clock", "a policy has no clock; use context.now, in seconds");
  }
};
Math.random = () => {
  throw new PolicyError("no-chance", "a policy has no randomness; use context.seed");
};
