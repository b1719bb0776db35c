//! What the mailbox promises to those who read it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use axum::http::{Method, StatusCode};

use super::{MAX_MESSAGES, Mailbox, Message, router};
use crate::demo::testing::{Ask, Served};

async fn mailbox_in_service() -> (Mailbox, Served) {
    let mailbox = Mailbox::new();
    let served = Served::start(router(mailbox.clone())).await;
    (mailbox, served)
}

#[tokio::test]
async fn messages_are_listed_newest_last_with_every_field() {
    let (mailbox, served) = mailbox_in_service().await;
    mailbox.push(Message::email(
        "bob@acme.test",
        "no-reply@acme.test",
        "Hello",
        "words".to_owned(),
        Some("<b>words</b>".to_owned()),
    ));
    mailbox.push(Message::sms("+15550100", "acme", "short words".to_owned()));

    let list = served.ask(Ask::get("/api/messages")).await.json();
    assert_eq!(list[0]["channel"], "email");
    assert_eq!(list[0]["to"], "bob@acme.test");
    assert_eq!(list[0]["from"], "no-reply@acme.test");
    assert_eq!(list[0]["subject"], "Hello");
    assert_eq!(list[0]["text"], "words");
    assert_eq!(list[0]["html"], "<b>words</b>");
    assert!(humantime::parse_rfc3339(list[0]["sent_at"].as_str().unwrap()).is_ok());
    assert_eq!(list[1]["channel"], "sms");
    assert!(list[1]["subject"].is_null() && list[1]["html"].is_null());
    assert_eq!(list.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_full_mailbox_keeps_the_newest() {
    let mailbox = Mailbox::new();
    for number in 0..MAX_MESSAGES + 5 {
        mailbox.push(Message::sms("+15550100", "acme", number.to_string()));
    }
    let kept = mailbox.messages();
    assert_eq!(kept.len(), MAX_MESSAGES);
    assert_eq!(kept.first().unwrap().text, "5");
    assert_eq!(kept.last().unwrap().text, (MAX_MESSAGES + 4).to_string());
}

#[tokio::test]
async fn clearing_forgets_all_messages() {
    let (mailbox, served) = mailbox_in_service().await;
    mailbox.push(Message::sms("+15550100", "acme", "gone soon".to_owned()));
    let cleared = served.ask(Ask::new(Method::DELETE, "/api/messages")).await;
    assert_eq!(cleared.status, StatusCode::NO_CONTENT);
    let list = served.ask(Ask::get("/api/messages")).await.json();
    assert_eq!(list, serde_json::json!([]));
}

#[tokio::test]
async fn a_message_cannot_put_markup_into_the_page() {
    let (mailbox, served) = mailbox_in_service().await;
    mailbox.push(Message::email(
        "<i>to</i>",
        "<i>from</i>",
        "<script>1</script>",
        "<img src=x> http://acme.localhost/reset?a=1&b=\"2 javascript:alert(1)".to_owned(),
        Some("\"></iframe><script>2</script>".to_owned()),
    ));
    let answer = served.ask(Ask::get("/")).await;
    let page = answer.text();
    for smuggled in ["<i>", "<script>1", "<script>2", "<img", "\"></iframe><s"] {
        assert!(!page.contains(smuggled), "{smuggled} got into the page");
    }
    assert!(page.contains("href=\"http://acme.localhost/reset?a=1&amp;b=&quot;2\""));
    assert!(!page.contains("href=\"javascript:"));
}
