//! The bearer token of a request (RFC 6750 §2.1), for both listeners: one reading of the field, so that neither is laxer.

use axum::http::{HeaderMap, header};

/// The request's only token; `None` without one, and with several `Authorization` fields, which are nobody's.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    // RFC 9110 §11.1: the scheme is case-insensitive.
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        token(&headers).map(str::to_owned)
    }

    #[test]
    fn the_scheme_is_written_in_any_case_and_the_token_stands_alone() {
        assert_eq!(read(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(read(&["bEARER  abc "]).as_deref(), Some("abc"));
    }

    #[test]
    fn anything_else_is_no_token() {
        for values in [&[][..], &["Bearer"], &["Bearer "], &["Basic abc"], &["abc"], &["Bearer a", "Bearer a"]] {
            assert_eq!(read(values), None, "{values:?}");
        }
    }
}
