//! Reads a request's body up to a limit and within a time. Apart from the routes, because both bounds must hold on every
//! one of them before anything looks at the bytes.

use super::problem::Problem;
use crate::clock;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::StatusCode;
use std::pin::Pin;
use std::time::Duration;

/// Reads all of it.
///
/// # Errors
/// 413 beyond `limit` bytes, 408 after `patience`, 400 if it breaks off.
pub async fn read(body: Body, limit: usize, patience: Duration) -> Result<Bytes, Problem> {
    tokio::select! {
        bytes = collect(body, limit) => bytes,
        () = clock::sleep(patience) => {
            Err(Problem::plain(StatusCode::REQUEST_TIMEOUT, format!("the body did not arrive within {patience:?}")))
        }
    }
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::plain(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {limit} bytes"));
    // The announced length, if there is one: no need to read what will be refused.
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let broken = |_| Problem::plain(StatusCode::BAD_REQUEST, "the body broke off");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit_and_no_further() {
        assert_eq!(read(Body::from("12345"), 5, LONG).await.unwrap(), "12345");
        let status = read(Body::from("123456"), 5, LONG).await.unwrap_err().status();
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
