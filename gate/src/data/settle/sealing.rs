//! Cookies that hold the session themselves: tied to the login that they come from,
//! and sealed as they go out.

use http::{HeaderMap, HeaderValue, header};
use portcullis_core::identify::SetCookie;
use portcullis_core::refusal::Refusal;

use super::Scene;
use crate::live::seals::SealId;
use crate::live::sessions::SessionHash;

/// The sessions that the sealed cookies of one answer are tied to, by their index.
pub(super) type Ties = Vec<(usize, SealId)>;

impl Scene<'_> {
    /// What a cookie's session is remembered by: its value, or, where values come
    /// and go, the id that is sealed into each of them.
    pub(super) fn tied(&self, cookie: &SetCookie, ties: &mut Ties) -> Result<SessionHash, Refusal> {
        if !self.tenant.config.sources.is_sealed(cookie.cookie) {
            return Ok(self.hash(cookie));
        }
        let known = ties.iter().find(|(index, _)| *index == cookie.cookie);
        let id = if let Some((_, id)) = known {
            *id
        } else {
            let id = SealId::random().ok_or(Refusal::CannotKnow("a session's new id"))?;
            ties.push((cookie.cookie, id));
            id
        };
        let name = &self.tenant.config.sources.session_cookies[cookie.cookie];
        Ok(id.hash(self.tenant.id(), name))
    }

    /// Seals what the app sets of the cookies that are to be sealed.
    pub(super) fn seal(&self, headers: &mut HeaderMap, ties: &Ties) {
        let sources = &self.tenant.config.sources;
        if !sources.sealed_cookies.contains(&true) {
            return;
        }
        let lines: Vec<HeaderValue> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .cloned()
            .collect();
        headers.remove(header::SET_COOKIE);
        for line in lines {
            let sealed = self.sealed(&line, ties).unwrap_or(line);
            headers.append(header::SET_COOKIE, sealed);
        }
    }

    /// `None`: it goes out as it is.
    fn sealed(&self, line: &HeaderValue, ties: &Ties) -> Option<HeaderValue> {
        let sources = &self.tenant.config.sources;
        let bytes = line.as_bytes();
        let pair = bytes.split(|b| *b == b';').next()?;
        let equals = pair.iter().position(|b| *b == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        let mut names = sources.session_cookies.iter().enumerate();
        let (cookie, name) = names.find(|(_, known)| known.as_bytes() == name)?;
        if !sources.is_sealed(cookie) || value.is_empty() {
            return None;
        }
        let tie = ties.iter().find(|(index, _)| *index == cookie);
        let id = tie.map_or(SealId::VISITOR, |(_, id)| *id);
        let seals = self.worker.live.seals();
        let value = seals.seal(self.tenant.id(), name, value, id);
        let line = [name.as_bytes(), b"=", &value, &bytes[pair.len()..]].concat();
        HeaderValue::from_bytes(&line).ok()
    }
}
