//! Names whose values are credentials.

/// Headers whose values are credentials, in lower case.
const HEADERS: &[&[u8]] = &[
    b"authorization",
    b"proxy-authorization",
    b"cookie",
    b"set-cookie",
    b"x-registry-auth",
    b"x-registry-config",
    b"access-token",
    b"auth-token",
    b"x-auth-token",
    b"x-vault-token",
    b"x-csrf-token",
    b"x-amz-security-token",
    b"api-key",
    b"x-api-key",
    b"apikey",
    b"token",
    b"password",
    b"secret",
];

/// Fields of JSON whose values are credentials, as Docker and registries name them, in lower case.
const FIELDS: &[&[u8]] = &[
    b"password",
    b"passwd",
    b"auth",
    b"identitytoken",
    b"identity_token",
    b"registrytoken",
    b"registry_token",
    b"accesstoken",
    b"access_token",
    b"refreshtoken",
    b"refresh_token",
    b"clientsecret",
    b"client_secret",
    b"secret",
    b"token",
    b"apikey",
    b"api_key",
];

/// All of these names are shorter: a word of so many bytes cannot be one of them.
pub(super) const NAME_BYTES: usize = 21;

/// Returns whether the values of a header are credentials. The name is in lower case.
pub(super) fn is_secret_header(name: &[u8]) -> bool {
    HEADERS.contains(&name)
}

/// Returns whether the value of a field of JSON is a credential. The name is in lower case.
pub(super) fn is_secret_field(name: &[u8]) -> bool {
    FIELDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shorter_than_what_is_compared() {
        assert!(HEADERS.iter().chain(FIELDS).all(|name| name.len() < NAME_BYTES));
    }
}
