//! stub
use std::sync::Arc;
pub struct AdminState {
    pub commander: Arc<super::command::Commander>,
    pub tokens: Arc<super::tokens::Tokens>,
    pub live: crate::live::Reader,
    pub query_token: bool,
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}
pub fn router(_: AdminState) -> axum::Router {
    axum::Router::new()
}
pub async fn serve(
    l: tokio::net::TcpListener,
    r: axum::Router,
    s: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(l, r).with_graceful_shutdown(s).await
}
