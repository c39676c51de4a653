//! What is secret in messages: keys that are typed, and texts of properties, such as what was
//! copied. Pure.

use std::ops::Range;

use super::wire::GENERIC;
use super::{EXTENSIONS, IS_SENT, X11};

/// The first number of an extension's events.
const EXTENSION_EVENTS: u8 = 64;
/// The size of the units of a text.
const TEXT_BITS: u8 = 8;
const NONE: Range<u64> = 0..0;

/// From there to the end.
fn from(start: usize) -> Range<u64> {
    start as u64..u64::MAX
}

fn byte(at: usize) -> Range<u64> {
    at as u64..at as u64 + 1
}

impl X11 {
    /// Returns which bytes of a request are secret. `None` if its begin is too short to tell.
    pub(super) fn secret_of_client(&self, head: &[u8]) -> Option<Range<u64>> {
        let words = self.order.half(head, 2)?;
        let start = if words == 0 { 8 } else { 4 };
        if head[0] < EXTENSIONS && !matches!(head[0], 18 | 25) {
            return Some(NONE);
        }
        match self.named(head[0], head[1].into()).0.as_str() {
            "ChangeProperty" => text(*head.get(start + 12)?, start + 20),
            "SendEvent" => {
                let event = self.secret_of_event(head.get(start + 8..)?)?;
                let start = start as u64 + 8;
                Some(event.start + start..event.end.saturating_add(start))
            }
            "XTEST.FakeInput" => match *head.get(start)? & !IS_SENT {
                2 | 3 | EXTENSION_EVENTS.. => Some(byte(start + 1)),
                _ => Some(NONE),
            },
            "XInputExtension.SendExtensionEvent" => Some(from(start + 12)),
            // The server has not numbered it before us.
            _ if !self.extensions.contains_key(&head[0]) => Some(from(start)),
            _ => Some(NONE),
        }
    }

    /// Returns which bytes of a reply, an error or an event are secret.
    pub(super) fn secret_of_server(&self, head: &[u8]) -> Option<Range<u64>> {
        match *head.first()? {
            0 => Some(NONE),
            1 => self.secret_of_reply(head),
            _ => self.secret_of_event(head),
        }
    }

    fn secret_of_reply(&self, head: &[u8]) -> Option<Range<u64>> {
        let number = self.order.half(head, 2)?;
        let Some(method) = self.pending.method_of(number) else { return Some(from(8)) };
        match method {
            "GetProperty" => text(head[1], 32),
            "QueryKeymap" => Some(8..40),
            super::ENABLE_RECORDING | "XInputExtension.QueryDeviceState" => Some(from(32)),
            _ => Some(NONE),
        }
    }

    fn secret_of_event(&self, head: &[u8]) -> Option<Range<u64>> {
        let (code, detail) = (*head.first()? & !IS_SENT, *head.get(1)?);
        if code == GENERIC {
            return self.secret_of_generic(head);
        }
        let name = self.event(code, head);
        match name.strip_prefix("XInputExtension.").unwrap_or(&name) {
            "KeyPress" | "KeyRelease" | "DeviceKeyPress" | "DeviceKeyRelease" => Some(byte(1)),
            "KeymapNotify" => Some(from(1)),
            "DeviceStateNotify" | "DeviceKeyStateNotify" => Some(from(4)),
            // What input methods say to clients is among it.
            "ClientMessage" => text(detail, 12),
            "XKEYBOARD.StateNotify" => Some(byte(28)),
            "XKEYBOARD.ActionMessage" => Some(byte(9)),
            unknown if code >= EXTENSION_EVENTS && unknown == name && !unknown.contains('.') => Some(from(1)),
            _ => Some(NONE),
        }
    }

    fn secret_of_generic(&self, head: &[u8]) -> Option<Range<u64>> {
        self.order.half(head, 8)?;
        match self.generic(head).as_str() {
            "XInputExtension.KeyPress"
            | "XInputExtension.KeyRelease"
            | "XInputExtension.RawKeyPress"
            | "XInputExtension.RawKeyRelease" => Some(16..20),
            _ if !self.extensions.contains_key(&head[1]) => Some(from(10)),
            _ => Some(NONE),
        }
    }
}

fn text(bits: u8, start: usize) -> Option<Range<u64>> {
    Some(if bits == TEXT_BITS { from(start) } else { NONE })
}
