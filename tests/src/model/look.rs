//! All that can be seen of the people from outside, held against the model.

use http::Method;
use serde_json::Value;

use super::answer::{Difference, same, see_refusal};
use super::call::Call;
use super::caller::Caller;
use super::hold::Deed as Request;
use super::lines::PSEUDONYM;
use super::person::{DELETED, entry, nameless};
use super::run::Run;
use super::world::{World, api_key};
use crate::patience;

/// Somebody whose only use is that a change of anybody makes the gate look at the
/// clock again.
const POKED: &str = "poked";

impl Run<'_> {
    pub(super) async fn look_at_all(&mut self) -> Result<(), Difference> {
        for who in 0..self.people.len() {
            self.look(who).await?;
        }
        Ok(())
    }

    /// Looks at one person from both sides.
    pub(super) async fn look(&mut self, who: usize) -> Result<(), Difference> {
        self.show(who).await?;
        let key = api_key(&self.people[who].name);
        for (method, deed) in [(Method::GET, Request::Look), (Method::POST, Request::Act)] {
            let found = self.answer_to(who, method, ("x-api-key", &key)).await?;
            self.people[who].judge("with the API key", |person| {
                if person.deleted {
                    return refused(found);
                }
                let right = person.answer_to_key(deed, self.now);
                if person.lags(found, self.now) {
                    return Ok(());
                }
                same(&format!("{deed:?}"), found, right)
            })?;
        }
        let cookies = self.people[who].cookies.clone();
        // The newest stands for those that began since the last revocation.
        for (age, cookie) in cookies.iter().rev().take(3).enumerate() {
            self.visit(who, cookie, Request::Look).await?;
            if age == 0 {
                self.visit(who, cookie, Request::Act).await?;
            }
        }
        Ok(())
    }

    async fn visit(&mut self, who: usize, cookie: &str, deed: Request) -> Result<(), Difference> {
        let method = match deed {
            Request::Look => Method::GET,
            Request::Act => Method::POST,
        };
        let sent = format!("sid={cookie}");
        let found = self.answer_to(who, method, ("cookie", &sent)).await?;
        self.people[who].judge("with a session", |person| {
            if person.deleted {
                return refused(found);
            }
            let right = person.answer_to_session(cookie, deed, self.now);
            same(&format!("{deed:?} by {cookie}"), found, right)
        })
    }

    async fn answer_to(
        &self,
        who: usize,
        method: Method,
        header: (&str, &str),
    ) -> Result<u16, Difference> {
        let found = self.world.visit(method.clone(), header).await;
        if found.is_err() && self.people[who].may_be_cut() {
            return self.world.visit(method, header).await;
        }
        found
    }

    async fn show(&mut self, who: usize) -> Result<(), Difference> {
        let cast = &mut self.people[who];
        let path = format!("/api/v1/users/{}", cast.name);
        let answer = self.world.read(path).await?;
        let shown = (answer.status == 200).then(|| answer.json());
        cast.judge("as it is shown", |person| match &shown {
            Some(shown) if person.is_known() && !person.deleted => person.see(shown, self.now),
            None if person.deleted => see_refusal(&answer, DELETED),
            None if !person.is_known() => same("the status", answer.status, 404),
            Some(_) | None => Err(format!("answered {}, and is {person:?}", answer.status)),
        })
    }

    /// Waits until what time has brought about is on record, as it will be without
    /// anybody's asking.
    pub(super) async fn settle(&mut self) -> Result<(), Difference> {
        let poke = Call {
            by: Caller::Root,
            method: Method::DELETE,
            path: format!("/api/v1/users/{POKED}/sessions"),
            body: None,
            idempotency_key: None,
            if_match: None,
        };
        same("a poke", self.world.call(&poke).await?.status, 200)?;
        let world = &*self.world;
        for cast in &mut self.people {
            let settled = cast.settled(self.now);
            let records: Vec<&Vec<String>> = settled.iter().map(|person| &person.record).collect();
            let name = cast.name.clone();
            let what = format!("{name}'s record to be one of {records:?}");
            let record = patience::found(&what, async || {
                let record = record_of(world, &name).await;
                let waits = record
                    .as_ref()
                    .is_ok_and(|record| !records.contains(&record));
                (!waits).then_some(record)
            });
            let record = record.await?;
            cast.judge("by the audit", |person| {
                same("the record", &record, &person.record)
            })?;
        }
        Ok(())
    }

    pub(super) async fn end(&mut self) -> Result<(), Difference> {
        self.settle().await?;
        self.look_at_all().await?;
        for cast in &mut self.people {
            let lost_logins = cast.lost_logins;
            let path = format!("/api/v1/users/{}/sessions", cast.name);
            let answer = self.world.read(path).await?;
            let found = answer.json();
            let sessions = found["sessions"].as_array().into_iter().flatten();
            let alive = sessions.filter(|session| session["alive"] == true).count();
            cast.judge("by the sessions", |person| {
                if person.deleted {
                    return see_refusal(&answer, DELETED);
                }
                let right = person.sessions.iter().filter(|one| one.alive).count();
                let total = found["total"].as_u64().unwrap_or(0) as usize;
                let lost = total.wrapping_sub(person.sessions.len());
                if lost > lost_logins {
                    return same("sessions", total, person.sessions.len());
                }
                if alive < right || alive > right + lost {
                    return same("sessions alive", alive, right);
                }
                Ok(())
            })?;
        }
        self.search("suspended").await?;
        self.search("active").await
    }

    async fn search(&mut self, status: &str) -> Result<(), Difference> {
        let (prefix, filter) = (&self.prefix, format!("status%3D%3D%22{status}%22"));
        let path = format!("/api/v1/users?q={prefix}&filter={filter}");
        let found = self.world.found(path).await?;
        let users = found["users"].as_array().into_iter().flatten();
        let ids: Vec<&str> = users.filter_map(|user| user["id"].as_str()).collect();
        for cast in &mut self.people {
            let found = ids.contains(&cast.name.as_str());
            cast.judge("by a search", |person| {
                let right = person.is_known() && person.status(self.now) == status;
                same(&format!("whether {status}"), found, right)
            })?;
        }
        Ok(())
    }
}

/// Of somebody who is deleted, whose sessions may be as good as never seen.
fn refused(found: u16) -> Result<(), Difference> {
    if [401, 403].contains(&found) {
        Ok(())
    } else {
        Err(format!("answered {found}, and is deleted"))
    }
}

/// What the audit has of a person, the oldest first; refusals are of another kind.
async fn record_of(world: &World, name: &str) -> Result<Vec<String>, Difference> {
    let found = world
        .found(format!("/api/v1/audit?user={name}&limit=1000"))
        .await?;
    let entries = found["entries"].as_array().into_iter().flatten().rev();
    let told = entries
        .filter(|told| told["action"] != "refused")
        .map(|told| {
            let detail = &told["detail"];
            let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (action, user) = (words(&told["action"]), words(&told["user"]));
            let what = match (&detail["hold"], detail["holds"].as_array()) {
                (Value::Null, None) if detail["profile"].is_object() => action,
                _ if detail["placed"].is_array() => {
                    let [mut lifted, mut placed] =
                        ["lifted", "placed"].map(|what| names(&detail[what]));
                    lifted.sort_unstable();
                    placed.sort_unstable();
                    format!("{action} -{} +{}", lifted.join(" -"), placed.join(" +"))
                }
                (_, Some(_)) => format!("{action} {}", names(&detail["holds"]).join(" ")),
                (Value::Null, None) => action,
                (Value::Object(hold), None) => format!("{action} {}", words(&hold["name"])),
                (name, None) => format!("{action} {}", words(name)),
            };
            let told = entry(&what, &words(&told["actor"]), told["batch"].as_str());
            match user.starts_with(PSEUDONYM) {
                true => nameless(&told),
                false => told,
            }
        });
    Ok(told.collect())
}

/// The names of holds, in the audit's own order.
fn names(holds: &Value) -> Vec<&str> {
    let holds = holds.as_array().into_iter().flatten();
    let names = holds.map(|hold| hold.as_str().or(hold["name"].as_str()));
    names.flatten().collect()
}
