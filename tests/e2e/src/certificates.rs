//! Certificates of two machines, `near` and `far`, for one test.

use std::path::Path;

use crate::program;

/// Makes an authority, and the certificates of both machines, with openssl.
pub fn certificates(dir: &Path) {
    let script = r#"
        req() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "$@" 2>/dev/null; }
        req -subj /CN=authority -keyout ca.key -out ca.pem -addext keyUsage=keyCertSign
        for name in near far; do
            req -CA ca.pem -CAkey ca.key -subj /CN=$name -keyout $name.key -out $name.pem \
                -addext subjectAltName=DNS:$name,URI:spiffe://test/$name,IP:127.0.0.1,IP:10.77.0.2 \
                -addext basicConstraints=CA:false
        done"#;
    program("bash", ["-ec", script]).inside(dir).run().ok();
}

/// Returns the flags that make a machine show its certificate.
pub fn identity(dir: &Path, name: &str) -> Vec<String> {
    let file = |name: String| dir.join(name).to_str().expect("a path in UTF-8").to_owned();
    ["--ca".into(), file("ca.pem".into())]
        .into_iter()
        .chain(["--cert".into(), file(format!("{name}.pem"))])
        .chain(["--key".into(), file(format!("{name}.key"))])
        .collect()
}
