"""The rules of example-policy: this file is yours.

`wit/` says what each question and answer holds, `sdk/portcullis.py` how that looks in
Python.
"""

import re

from portcullis import PolicyError, define_policy
from wit_world.exports.about import Description, Problem, Setting
from wit_world.exports.notification import (
    Audience,
    Event_Suspended,
    InlineTemplate,
    Message,
    NotificationDecision,
    Reset,
    Template_Inline,
)
from wit_world.exports.reactivation import (
    ReactivationDecision,
    Terms,
    Verdict_Allowed,
    Verdict_Refused,
)
from wit_world.exports.refusal import Link, LinkKind, RefusalDecision
from wit_world.exports.types import Channel_Email, SuspensionKind

DAY = 24 * 60 * 60

TEXTS = {
    "en": {
        "title": "Your account is suspended",
        "reset": "You can come back by choosing a new password.",
        "contact": "If you think that this is a mistake, write to {contact}.",
        "late": "The time for coming back by yourself is over. Write to {contact}.",
        "help": "Get help",
        "link": "To come back, choose a new password: {link}",
    },
    "de": {
        "title": "Ihr Konto ist gesperrt",
        "reset": "Mit einem neuen Passwort können Sie zurückkommen.",
        "contact": "Wenn Sie das für einen Irrtum halten, schreiben Sie an {contact}.",
        "late": "Die Frist, selbst zurückzukommen, ist vorbei. Schreiben Sie an {contact}.",
        "help": "Hilfe",
        "link": "Um zurückzukommen, wählen Sie ein neues Passwort: {link}",
    },
}


def describe():
    return Description(
        name="example-policy",
        version="0.1.0",
        summary="Lets users come back by a reset for some days, and says whom to ask",
        languages=list(TEXTS),
        settings=[
            Setting(key="contact", summary="The mail address for questions", required=True),
            Setting(
                key="reset_days",
                summary="For how many days a reset is open",
                required=False,
                default="7",
            ),
            Setting(key="words.*", summary="Words for a reason, by its key", required=False),
        ],
    )


def validate_settings(settings):
    problems = []
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", settings.get("contact", "")):
        problems.append(Problem("contact", "is not a mail address"))
    if not re.fullmatch(r"[0-9]{1,2}", settings.get("reset_days", "7")):
        problems.append(Problem("reset_days", "is not a number of days from 0 to 99"))
    for key in settings:
        if key not in ("contact", "reset_days") and not key.startswith("words."):
            words = "is not a setting; there are contact, reset_days, words.KEY"
            problems.append(Problem(key, words))
    return problems


def refuse(request):
    context, suspension = request.context, request.suspension
    language, texts = texts_for(context.locales)
    offered = context.attributes.get("reset-offered") != "no"
    reset = offered and reset_is_open(context, suspension)
    return RefusalDecision(
        status=403,
        language=language,
        title=texts["title"],
        words=context.settings.get(f"words.{suspension.reason_key}"),
        message=filled(texts["reset" if reset else "contact"], context),
        links=[Link(LinkKind.CONTACT, texts["help"], f"mailto:{contact(context)}")],
    )


def reactivate(request):
    context = request.context
    language, texts = texts_for(context.locales)
    if reset_is_open(context, request.suspension):
        return ReactivationDecision(
            verdict=Verdict_Allowed(Terms(lifetime_seconds=3600)), language=language
        )
    return ReactivationDecision(
        verdict=Verdict_Refused(), words=filled(texts["late"], context), language=language
    )


def notify(request):
    context = request.context
    wanted = request.event == Event_Suspended() and request.audience is Audience.USER
    if not wanted or request.source == "console" or Channel_Email() not in request.channels:
        return NotificationDecision()
    language, texts = texts_for(context.locales)
    reset = request.suspension is not None and reset_is_open(context, request.suspension)
    text = texts["link" if reset else "contact"]
    message = Message(
        channel=Channel_Email(),
        template=Template_Inline(InlineTemplate(subject=texts["title"], text=text)),
        variables={"contact": contact(context)},
        language=language,
        reset=Reset(lifetime_seconds=3600) if reset else None,
    )
    return NotificationDecision(messages=[message])


def texts_for(locales):
    """The texts in the first language that the reader prefers and that are there."""
    wanted = (locale.split("-")[0] for locale in locales)
    language = next((tag for tag in wanted if tag in TEXTS), "en")
    return language, TEXTS[language]


def reset_is_open(context, suspension):
    days = int(context.settings.get("reset_days", "7"))
    temporary = suspension.kind is SuspensionKind.TEMPORARY
    return temporary and context.now < suspension.since + days * DAY


def contact(context):
    if "contact" not in context.settings:
        raise PolicyError("settings-missing", "contact is not set")
    return context.settings["contact"]


def filled(text, context):
    return text.replace("{contact}", contact(context))


About, Refusal, Reactivation, Notification = define_policy(
    describe=describe,
    validate_settings=validate_settings,
    refuse=refuse,
    reactivate=reactivate,
    notify=notify,
)
