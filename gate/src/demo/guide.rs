//! What the demo prints: where things are, and what to try, ready to be pasted.

use std::net::SocketAddr;
use std::path::Path;

pub(super) struct Places {
    pub data: SocketAddr,
    pub admin: SocketAddr,
    pub mailbox: SocketAddr,
}

pub(super) fn text(places: &Places, binary: &str, token_file: &Path) -> String {
    let Places {
        data,
        admin,
        mailbox,
    } = places;
    let port = data.port();
    let token_file = token_file.display();
    format!(
        "
Portcullis demo is up. Nothing here is real; everything works. Ctrl-C stops it.

  acme    http://acme.localhost:{port}/     sign in as alice, bob or carol, password demo
  globex  http://globex.localhost:{port}/   alice@globex.test, bob@globex.test, and carol by her
                                    name (no email): a JSON login, another policy
  admin   http://{admin}/
  mail    http://{mailbox}/   (nothing is mailed yet)

1. Open acme and sign in as bob. The page shows a live WebSocket.
2. In another terminal, in this folder, suspend him:

   export PORTCULLIS_ADMIN_URL=http://{admin} PORTCULLIS_TOKEN=$(cat {token_file})
   {binary} user suspend bob --tenant acme --reason suspiciousUserNoGood --temporary

   The WebSocket closes, and bob's next click is refused. Alice notices nothing.
3. See what is known, and let him back in (his old session stays dead):

   {binary} user show bob --tenant acme
   {binary} user restore bob --tenant acme

4. The same by HTTP:

   curl -s \"http://{admin}/api/v1/users/bob/suspend?tenant=acme\" -H \"Authorization: Bearer $PORTCULLIS_TOKEN\" \\
     -H 'Content-Type: application/json' -d '{{\"reason\":\"Security incident\",\"revoke_sessions\":true}}'

5. The Circularo script takes a token of the tenant; here it may stand in the URL:

   ACME_TOKEN=$({binary} token create --role tenant-admin --tenant acme)
   curl -s -X PUT \"http://{admin}/api/v1/users/bob?token=$ACME_TOKEN\" \\
     -H 'Content-Type: application/json' -d '{{\"status\":\"active\"}}'

The configuration of this gate: {config}
",
        config = super::setting::folder().join("portcullis.toml").display(),
    )
}
