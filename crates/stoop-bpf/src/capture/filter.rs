//! The filter of the capture programs: which events are wanted. Pure.

use super::builder::{Builder, KEY, MATCH, place};
use super::event::LEN;
use super::sieve::{FACTOR, LENGTHS, LENGTHS_AT, SENDERS, SENDERS_AT, SHIFT, SIEVE_AT, SLOTS, TAGGED_AT};
use crate::asm::{Helper, Label, Reg, Width};
use crate::btf::{BtfError, Field};

/// Values of the map: events of sockets with this key are wanted, or dropped whatever else matches.
pub(super) const WANT: u32 = 1;
pub(super) const EXCLUDE: u32 = 2;
/// Added to a process id, it is a key of the map. No cookie and no kernel address has this bit
/// alone.
pub(super) const PROCESS: u64 = 1 << 62;
/// The same for the id of a user, and of a cgroup.
pub(super) const USER: u64 = 1 << 61;
pub(super) const CGROUP: u64 = 1 << 60;

impl Builder<'_> {
    /// Leaves unless an end is wanted, or could be: the receiver of a message may be unknown.
    pub(super) fn filter(&mut self, may_be_unknown: bool) -> Result<(), BtfError> {
        let all = self.setting.all.into();
        self.code.store_number(Width::Eight, Reg::Frame, MATCH, all);
        self.match_socket(Reg::R7)?;
        self.match_tagged()?;
        let (decide, done) = (self.code.label(), self.code.label());
        self.code.jump_if(Reg::R9, 0, if may_be_unknown { done } else { decide });
        self.match_socket(Reg::R9)?;
        self.code.place(decide);
        self.code.load(Width::Eight, Reg::R1, Reg::Frame, MATCH);
        self.code.jump_if(Reg::R1, 0, self.out);
        self.code.place(done);
        Ok(())
    }

    /// Looks up both keys of a socket: its cookie, and its name, which accepted sockets share with
    /// their listener.
    fn match_socket(&mut self, socket: Reg) -> Result<(), BtfError> {
        let layout = self.setting.layout;
        for field in [layout.cookie, layout.name] {
            let absent = self.code.label();
            self.read(Reg::R1, socket, field)?;
            self.look_up(absent);
            self.code.place(absent);
        }
        Ok(())
    }

    /// Looks up the process that calls and its cgroup, and the creators of both sockets, if there
    /// are keys of such.
    fn match_tagged(&mut self) -> Result<(), BtfError> {
        let (none, no_peer) = (self.code.label(), self.code.label());
        self.code.load_map_value(Reg::R1, self.setting.shared, TAGGED_AT);
        self.code.load(Width::One, Reg::R1, Reg::R1, 0);
        self.code.jump_if(Reg::R1, 0, none);
        self.code.call(Helper::ThisThread);
        self.code.copy(Reg::R1, Reg::R0);
        self.code.shift_right(Reg::R1, 32);
        self.look_up_tagged(PROCESS);
        self.code.call(Helper::ThisCgroup);
        self.code.copy(Reg::R1, Reg::R0);
        self.look_up_tagged(CGROUP);
        self.read(Reg::R1, Reg::R7, self.setting.layout.creator)?;
        self.look_up_tagged(USER);
        self.match_cgroup_of_client()?;
        self.match_reported()?;
        self.code.jump_if(Reg::R9, 0, no_peer);
        self.read(Reg::R1, Reg::R9, self.setting.layout.creator)?;
        self.look_up_tagged(USER);
        self.code.place(no_peer);
        self.code.place(none);
        Ok(())
    }

    /// An accepted socket was created by its client: either end of a connection has that cgroup.
    fn match_cgroup_of_client(&mut self) -> Result<(), BtfError> {
        let layout = self.setting.layout;
        let none = self.code.label();
        self.code.copy(Reg::R1, Reg::R7);
        for field in &layout.cgroup {
            self.read(Reg::R1, Reg::R1, *field)?;
            self.code.jump_if(Reg::R1, 0, none);
        }
        if !layout.cgroup.is_empty() {
            self.look_up_tagged(CGROUP);
        }
        self.code.place(none);
        Ok(())
    }

    /// A sender that was reported is wanted: its process may be, of which the socket says nothing.
    fn match_reported(&mut self) -> Result<(), BtfError> {
        let (same, other) = (self.code.label(), self.code.label());
        self.read(Reg::R1, Reg::R7, self.setting.layout.cookie)?;
        self.code.jump_if(Reg::R1, 0, other);
        self.code.copy(Reg::R3, Reg::R1);
        self.code.shift_left(Reg::R3, 32);
        self.code.shift_right(Reg::R3, 32);
        self.sender();
        self.code.load(Width::Four, Reg::R1, Reg::R2, 0);
        self.code.jump_if_same(Reg::R1, Reg::R3, same);
        self.code.jump_to(other);
        self.code.place(same);
        self.code.store_number(Width::Eight, Reg::Frame, MATCH, 1);
        self.code.place(other);
        Ok(())
    }

    /// Looks up the number in `R1` as a key of this kind.
    fn look_up_tagged(&mut self, tag: u64) {
        let absent = self.code.label();
        // The bit by shifts: an instruction has only 32 bits for a number.
        self.code.set(Reg::R2, 1);
        self.code.shift_left(Reg::R2, tag.trailing_zeros() as i32);
        self.code.add_register(Reg::R1, Reg::R2);
        self.look_up(absent);
        self.code.place(absent);
    }

    /// Notes that the map wants the key in `R1`, if it does; leaves if it excludes it.
    fn look_up(&mut self, absent: Label) {
        self.code.jump_if(Reg::R1, 0, absent);
        self.code.store(Width::Eight, Reg::Frame, KEY, Reg::R1);
        self.hash(SLOTS);
        self.code.load_map_value(Reg::R2, self.setting.shared, SIEVE_AT);
        self.code.add_register(Reg::R2, Reg::R1);
        self.code.load(Width::One, Reg::R1, Reg::R2, 0);
        self.code.jump_if(Reg::R1, 0, absent);
        self.code.load_map(Reg::R1, self.setting.wanted);
        self.code.copy(Reg::R2, Reg::Frame);
        self.code.add(Reg::R2, KEY.into());
        self.code.call(Helper::MapLookup);
        self.code.jump_if(Reg::R0, 0, absent);
        self.code.load(Width::Four, Reg::R1, Reg::R0, 0);
        self.code.jump_if(Reg::R1, EXCLUDE as i32, self.out);
        self.code.store_number(Width::Eight, Reg::Frame, MATCH, 1);
    }

    /// Leaves if the sender whose cookie is in `R1` was reported.
    pub(super) fn unless_reported(&mut self) {
        let unknown = self.code.label();
        self.code.jump_if(Reg::R1, 0, unknown);
        self.code.copy(Reg::R3, Reg::R1);
        self.code.shift_left(Reg::R3, 32);
        self.code.shift_right(Reg::R3, 32);
        self.sender();
        self.code.load(Width::Four, Reg::R1, Reg::R2, 0);
        self.code.jump_if_same(Reg::R1, Reg::R3, self.out);
        self.code.place(unknown);
    }

    /// Notes that the sender whose cookie is in `R0` is reported.
    pub(super) fn reported(&mut self) {
        self.code.copy(Reg::R1, Reg::R0);
        self.sender();
        self.code.store(Width::Four, Reg::R2, 0, Reg::R0);
    }

    /// Loads the place of the sender whose cookie is in `R1` into `R2`.
    fn sender(&mut self) {
        self.place_of(SENDERS, SENDERS_AT);
    }

    /// Loads the length of the message in `R8` when it was reported last into `R2`, and notes that
    /// of now. Messages are distinguished by their memory: verifiers allow no arithmetic with `R8`.
    pub(super) fn last_length(&mut self, memory: Field) -> Result<(), BtfError> {
        self.read(Reg::R1, Reg::R8, memory)?;
        self.place_of(LENGTHS, LENGTHS_AT);
        self.code.load(Width::Four, Reg::R1, Reg::Frame, place(LEN));
        self.code.load(Width::Four, Reg::R3, Reg::R2, 0);
        self.code.store(Width::Four, Reg::R2, 0, Reg::R1);
        self.code.copy(Reg::R2, Reg::R3);
        Ok(())
    }

    /// Loads the place of the number in `R1` in this table of halves of numbers into `R2`.
    fn place_of(&mut self, slots: usize, table_at: usize) {
        self.hash(slots);
        self.code.shift_left(Reg::R1, 2);
        self.code.load_map_value(Reg::R2, self.setting.shared, table_at);
        self.code.add_register(Reg::R2, Reg::R1);
    }

    /// Replaces the key in `R1` by its hash, less than `slots`.
    fn hash(&mut self, slots: usize) {
        self.code.multiply(Reg::R1, FACTOR);
        self.code.shift_right(Reg::R1, SHIFT);
        self.code.and(Reg::R1, slots as i32 - 1);
    }
}
