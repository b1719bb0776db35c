// The rules of example-policy: this file is yours. `wit/` says what each
// question and answer holds, `sdk/portcullis.js` how that looks in JavaScript.

import { definePolicy, PolicyError } from "./sdk/portcullis.js";

const DAY = 24 * 60 * 60;

const TEXTS = {
  en: {
    title: "Your account is suspended",
    reset: "You can come back by choosing a new password.",
    contact: "If you think that this is a mistake, write to {contact}.",
    late: "The time for coming back by yourself is over. Write to {contact}.",
    help: "Get help",
    link: "To come back, choose a new password: {link}",
  },
  de: {
    title: "Ihr Konto ist gesperrt",
    reset: "Mit einem neuen Passwort können Sie zurückkommen.",
    contact: "Wenn Sie das für einen Irrtum halten, schreiben Sie an {contact}.",
    late: "Die Frist, selbst zurückzukommen, ist vorbei. Schreiben Sie an {contact}.",
    help: "Hilfe",
    link: "Um zurückzukommen, wählen Sie ein neues Passwort: {link}",
  },
};

export const { about, refusal, reactivation, notification } = definePolicy({
  describe() {
    return {
      name: "example-policy",
      version: "0.1.0",
      summary: "Lets users come back by a reset for some days, and says whom to ask",
      languages: Object.keys(TEXTS),
      settings: [
        { key: "contact", summary: "The mail address for questions", required: true },
        {
          key: "reset_days",
          summary: "For how many days a reset is open",
          required: false,
          default: "7",
        },
        { key: "words.*", summary: "Words for a reason, by its key", required: false },
      ],
    };
  },

  validateSettings(settings) {
    const problems = [];
    if (!/^[^@\s]+@[^@\s]+$/.test(settings.contact ?? "")) {
      problems.push({ key: "contact", message: "is not a mail address" });
    }
    if (!/^\d{1,2}$/.test(settings.reset_days ?? "7")) {
      problems.push({ key: "reset_days", message: "is not a number of days from 0 to 99" });
    }
    for (const key of Object.keys(settings)) {
      if (key !== "contact" && key !== "reset_days" && !key.startsWith("words.")) {
        problems.push({ key, message: "is not a setting; there are contact, reset_days, words.KEY" });
      }
    }
    return problems;
  },

  refuse({ context, suspension }) {
    const { language, texts } = textsFor(context.locales);
    const reset = resetIsOpen(context, suspension) && context.attributes["reset-offered"] !== "no";
    return {
      status: 403,
      language,
      title: texts.title,
      words: context.settings[`words.${suspension.reasonKey}`],
      message: filled(reset ? texts.reset : texts.contact, context),
      links: [{ kind: "contact", label: texts.help, href: `mailto:${contact(context)}` }],
    };
  },

  reactivate({ context, suspension }) {
    const { language, texts } = textsFor(context.locales);
    if (resetIsOpen(context, suspension)) {
      return { verdict: { tag: "allowed", val: { lifetimeSeconds: 3600 } }, language };
    }
    return { verdict: { tag: "refused" }, words: filled(texts.late, context), language };
  },

  notify({ context, event, audience, suspension, source, channels }) {
    const byMail = channels.some((channel) => channel.tag === "email");
    if (event.tag !== "suspended" || audience !== "user" || source === "console" || !byMail) {
      return {};
    }
    const { language, texts } = textsFor(context.locales);
    const reset = suspension && resetIsOpen(context, suspension);
    return {
      messages: [
        {
          channel: { tag: "email" },
          template: {
            tag: "inline",
            val: { subject: texts.title, text: reset ? texts.link : texts.contact },
          },
          variables: { contact: contact(context) },
          language,
          reset: reset ? { lifetimeSeconds: 3600 } : undefined,
        },
      ],
    };
  },
});

/** The texts in the first language that the reader prefers and that are there. */
function textsFor(locales) {
  const wanted = locales.map((locale) => locale.split("-")[0]);
  const language = wanted.find((tag) => Object.hasOwn(TEXTS, tag)) ?? "en";
  return { language, texts: TEXTS[language] };
}

function resetIsOpen({ now, settings }, { kind, since }) {
  const days = Number(settings.reset_days ?? "7");
  return kind === "temporary" && now < since + days * DAY;
}

function contact({ settings }) {
  if (settings.contact === undefined) {
    throw new PolicyError("settings-missing", "contact is not set");
  }
  return settings.contact;
}

function filled(text, context) {
  return text.replace("{contact}", contact(context));
}
