// What the rules may answer, as `wit/` has it: each shape takes a value and
// gives it back whole, or throws what is wrong with it and where.

class Misshapen extends TypeError {}

function wrong(path, value, wanted) {
  // JSON knows neither what is missing nor a BigInt.
  const found = value === undefined ? "missing" : typeof value === "bigint" ? `${value}n` : JSON.stringify(value);
  return new Misshapen(`${path} is ${found}; give ${wanted}`);
}

const text = (value, path) => {
  if (typeof value === "string") return value;
  throw wrong(path, value, "a text");
};

const flag = (value, path) => {
  if (typeof value === "boolean") return value;
  throw wrong(path, value, "true or false");
};

const whole = (most) => (value, path) => {
  if (Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw wrong(path, value, `a whole number up to ${most}`);
};

const oneOf = (...names) => (value, path) => {
  if (names.includes(value)) return value;
  throw wrong(path, value, `one of ${names.join(", ")}`);
};

const maybe = (shape) => (value, path) =>
  value === undefined || value === null ? undefined : shape(value, path);

const list = (shape) => (value, path) => {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw wrong(path, value, "a list");
  return value.map((item, index) => shape(item, `${path}[${index}]`));
};

/** Pairs of texts, which rules may write as an object. */
const pairs = (value, path) => {
  const entries = Array.isArray(value) ? value : Object.entries(value ?? {});
  return entries.map(([name, item]) => [text(name, path), text(item, `${path}.${name}`)]);
};

const record = (fields) => (value, path) => {
  if (typeof value !== "object" || value === null) throw wrong(path, value, "an object");
  const unknown = Object.keys(value).find((name) => !(name in fields));
  if (unknown !== undefined) {
    throw new Misshapen(`${path}.${unknown} is no field; there are ${Object.keys(fields).join(", ")}`);
  }
  const parts = Object.entries(fields).map(([name, shape]) => [
    name,
    shape(value[name], `${path}.${name}`),
  ]);
  return Object.fromEntries(parts);
};

const variant = (cases) => (value, path) => {
  const shape = cases[value?.tag];
  if (shape === undefined) {
    throw wrong(path, value, `{ tag, val } with a tag of ${Object.keys(cases).join(", ")}`);
  }
  return shape === nothing ? { tag: value.tag } : { tag: value.tag, val: shape(value.val, path) };
};
const nothing = () => undefined;

const actions = list(record({ name: text, arguments: pairs }));
const proof = variant({ "email-link": nothing, "sms-code": nothing, approval: nothing, other: text });
const seconds = whole(0xffffffff);

/** By the name of the rule. */
export const answers = {
  describe: record({
    name: text,
    version: text,
    summary: text,
    languages: list(text),
    settings: list(record({ key: text, summary: text, required: flag, default: maybe(text) })),
    templates: list(text),
    attributes: pairs,
  }),
  validateSettings: list(record({ key: text, message: text })),
  refuse: record({
    status: whole(0xffff),
    language: text,
    key: maybe(text),
    title: text,
    words: maybe(text),
    message: text,
    surface: maybe(oneOf("page", "api")),
    template: maybe(text),
    links: list(
      record({ kind: oneOf("contact", "appeal", "reset", "other"), label: text, href: text }),
    ),
    headers: pairs,
    actions,
  }),
  reactivate: record({
    verdict: variant({
      allowed: record({ lifetimeSeconds: seconds, redirectTo: maybe(text) }),
      refused: nothing,
      "step-up": list(proof),
    }),
    words: maybe(text),
    language: text,
    actions,
  }),
  notify: record({
    messages: list(
      record({
        channel: variant({ email: nothing, sms: nothing, other: text }),
        to: list(text),
        from: maybe(text),
        template: variant({
          named: text,
          inline: record({ subject: maybe(text), text }),
        }),
        variables: pairs,
        language: text,
        reset: maybe(record({ lifetimeSeconds: seconds, redirectTo: maybe(text) })),
      }),
    ),
    actions,
  }),
};
