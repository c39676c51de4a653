//! The names of the system calls on sockets, by the architecture and the number in an audit record.

/// The names, with their numbers on x86-64, on i386, and on the architectures that have the common
/// numbers.
const CALLS: &[(&str, [u32; 3])] = &[
    ("socket", [41, 359, 198]),
    ("bind", [49, 361, 200]),
    ("listen", [50, 363, 201]),
    ("connect", [42, 362, 203]),
    ("sendto", [44, 369, 206]),
    ("sendmsg", [46, 370, 211]),
    ("sendmmsg", [307, 345, 269]),
];

/// Returns the name of a system call on sockets. `arch` is an `AUDIT_ARCH_…` in hexadecimal digits.
pub(super) fn name(arch: &str, number: &str) -> Option<&'static str> {
    let column = match arch {
        "c000003e" => 0,
        "40000003" => 1,
        // aarch64, riscv64 and loongarch64.
        "c00000b7" | "c00000f3" | "c0000102" => 2,
        _ => return None,
    };
    let number: u32 = number.parse().ok()?;
    CALLS.iter().find(|(_, numbers)| numbers[column] == number).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop_kernel_facts::libc;

    #[test]
    fn the_numbers_are_those_of_this_machine() {
        let arch = match std::env::consts::ARCH {
            "x86_64" => "c000003e",
            "x86" => "40000003",
            "aarch64" => "c00000b7",
            "riscv64" => "c00000f3",
            _ => return,
        };
        let named = |number: libc::c_long| name(arch, &number.to_string());
        assert_eq!(named(libc::SYS_socket), Some("socket"));
        assert_eq!(named(libc::SYS_bind), Some("bind"));
        assert_eq!(named(libc::SYS_listen), Some("listen"));
        assert_eq!(named(libc::SYS_connect), Some("connect"));
        assert_eq!(named(libc::SYS_sendto), Some("sendto"));
        assert_eq!(named(libc::SYS_sendmsg), Some("sendmsg"));
        assert_eq!(named(libc::SYS_sendmmsg), Some("sendmmsg"));
        assert_eq!(named(libc::SYS_close), None);
    }
}
