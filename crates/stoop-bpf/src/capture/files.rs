//! The part of the capture program that reports the files that a message passes. Pure.

use super::builder::{Builder, place};
use super::event::*;
use super::layout::FileLayout;
use crate::asm::{Helper, Label, Reg, Width};
use crate::btf::{BtfError, Field};

impl Builder<'_> {
    /// Writes a record for each of the first files of the message in `R8`, when its first byte is
    /// received.
    pub(super) fn files(&mut self) -> Result<(), BtfError> {
        let layout = self.setting.layout;
        let Some(files) = &layout.files else { return Ok(()) };
        let none = self.code.label();
        self.list(none)?;
        self.step(Reg::R1, Reg::R8, layout.consumed)?;
        self.code.jump_unless(Reg::R1, 0, none);
        self.begin(PASSED)?;
        self.store(BUFFER, Reg::R8);
        self.ends((SENDER, SENDER_INODE), (RECEIVER, RECEIVER_INODE))?;
        for at in 0..FILES_MAX {
            let more = self.code.label();
            self.list(none)?;
            self.read(Reg::R1, Reg::R1, layout.fp_count)?;
            self.code.jump_if_above(Reg::R1, at as i32, more);
            self.code.jump_to(none);
            self.code.place(more);
            self.file(files, at)?;
        }
        self.code.place(none);
        Ok(())
    }

    /// Loads the list of files into `R1`, or leaves if there is none.
    fn list(&mut self, none: Label) -> Result<(), BtfError> {
        self.step(Reg::R1, Reg::R8, self.setting.layout.fp)?;
        self.code.jump_if(Reg::R1, 0, none);
        Ok(())
    }

    fn file(&mut self, files: &FileLayout, at: u32) -> Result<(), BtfError> {
        let next = self.code.label();
        let file = Field { offset_bytes: files.first.offset_bytes + 8 * at, ..files.first };
        self.code.store_number(Width::Two, Reg::Frame, place(FILE_PLACE), at as i32);
        let fields = [(&files.mode[..], FILE_MODE), (&files.inode, FILE_INODE), (&files.device, FILE_DEVICE)];
        for (path, slot) in fields {
            self.follow(file, path)?;
            self.store(slot, Reg::R1);
        }
        for half in [0, 8] {
            self.code.store_number(Width::Eight, Reg::Frame, place(FILE_NAME) + half, 0);
        }
        self.follow(file, &files.name)?;
        self.code.copy(Reg::R3, Reg::R1);
        self.code.copy(Reg::R1, Reg::Frame);
        self.code.add(Reg::R1, place(FILE_NAME).into());
        self.code.set(Reg::R2, FILE_NAME.len_bytes as i32);
        self.code.call(Helper::ReadKernelText);
        self.output_and_go(next);
        self.code.place(next);
        Ok(())
    }

    /// Reads what a chain of fields leads to, from a file of the list, into `R1`.
    fn follow(&mut self, file: Field, path: &[Field]) -> Result<(), BtfError> {
        self.step(Reg::R1, Reg::R8, self.setting.layout.fp)?;
        for field in [file].iter().chain(path) {
            self.read(Reg::R1, Reg::R1, *field)?;
        }
        Ok(())
    }
}
