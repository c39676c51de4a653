//! How a command ended, as the runtime reports it on the stream of errors: a Kubernetes `Status`.
//! Pure.

use serde_json::Value;

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It exited with this code.
    Exited(u8),
    /// It was not run, or its stream failed.
    Failed(String),
    /// Nothing was reported.
    Unknown,
}

/// Reads a report.
pub(super) fn read(report: &[u8]) -> Ended {
    if report.is_empty() {
        return Ended::Unknown;
    }
    let Ok(status) = serde_json::from_slice::<Value>(report) else {
        return Ended::Failed(String::from_utf8_lossy(report).trim().to_owned());
    };
    if status["status"] == "Success" {
        return Ended::Exited(0);
    }
    let causes = status["details"]["causes"].as_array().map_or(&[][..], Vec::as_slice);
    let code = causes.iter().find(|cause| cause["reason"] == "ExitCode");
    let code = code.and_then(|cause| cause["message"].as_str()?.parse::<i64>().ok());
    match code {
        // What a shell sees of a code is its last byte. A failure is never taken for a success.
        Some(code) => Ended::Exited(u8::try_from(code & 0xff).ok().filter(|&code| code != 0).unwrap_or(255)),
        None => Ended::Failed(status["message"].as_str().unwrap_or_default().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        let table = [
            (r#"{"metadata":{},"status":"Success"}"#, Ended::Exited(0)),
            (
                r#"{"status":"Failure","message":"command terminated with non-zero exit code",
                    "reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#,
                Ended::Exited(7),
            ),
            (
                r#"{"status":"Failure","details":{"causes":[{"reason":"ExitCode","message":"256"}]}}"#,
                Ended::Exited(255),
            ),
            (
                r#"{"status":"Failure","message":"no such file","reason":"InternalError"}"#,
                Ended::Failed("no such file".into()),
            ),
            ("plain text\n", Ended::Failed("plain text".into())),
            ("", Ended::Unknown),
        ];
        for (report, expected) in table {
            assert_eq!(read(report.as_bytes()), expected, "{report}");
        }
    }
}
