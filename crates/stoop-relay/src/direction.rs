//! One direction of a connection: what has ended, and what to do next. Pure.
//!
//! ```text
//! source ── fill ──► held ── drain ──► sink
//!    end ──────────────────► shut (after what is held)
//!    reset ────────────────► reset (after what is held)
//!    stop reading ◄───────── closed (what is held is lost, as it would be in the reader's queue)
//! ```

/// What comes from the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// More may come.
    Open,
    /// Everything has come.
    Ended,
    /// What has come is all, and there was more.
    Reset,
}

/// What the sink takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    /// More.
    Open,
    /// Nothing more: it has been told the end.
    Shut,
    /// Nothing more: its reader has closed.
    Gone,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Write what is held to the sink.
    Drain,
    /// Read from the source.
    Fill,
    /// Tell the sink that this was all.
    ShutSink,
    /// Tell the sink that the source was reset.
    ResetSink,
    /// Tell the source that nothing reads it any more.
    StopSource,
    /// Nothing: this direction is over.
    Done,
}

/// The state of one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direction {
    source: Source,
    sink: Sink,
    is_source_told: bool,
}

impl Direction {
    pub(crate) const fn new() -> Direction {
        Direction { source: Source::Open, sink: Sink::Open, is_source_told: false }
    }

    /// Returns what to do next, if `is_holding` says whether something read is not yet written.
    ///
    /// What is held always comes before more: a direction holds one piece at a time, so a sink that
    /// does not take it keeps the source from being read, which is how the writer learns to wait.
    pub(crate) fn next(&self, is_holding: bool) -> Step {
        match (self.source, self.sink) {
            (_, Sink::Shut) => Step::Done,
            (Source::Open, Sink::Gone) if !self.is_source_told => Step::StopSource,
            (_, Sink::Gone) => Step::Done,
            (_, Sink::Open) if is_holding => Step::Drain,
            (Source::Open, Sink::Open) => Step::Fill,
            (Source::Ended, Sink::Open) => Step::ShutSink,
            (Source::Reset, Sink::Open) => Step::ResetSink,
        }
    }

    /// The source has ended: by a shutdown, or a close.
    pub(crate) fn source_ended(&mut self) {
        self.source = Source::Ended;
    }

    /// The source was reset.
    pub(crate) fn source_reset(&mut self) {
        self.source = Source::Reset;
    }

    /// The sink was told the end.
    pub(crate) fn sink_shut(&mut self) {
        self.sink = Sink::Shut;
    }

    /// The sink's reader has closed.
    pub(crate) fn sink_gone(&mut self) {
        if self.sink == Sink::Open {
            self.sink = Sink::Gone;
        }
    }

    /// The source was told that nothing reads it any more.
    pub(crate) fn source_told(&mut self) {
        self.is_source_told = true;
    }

    pub(crate) fn is_done(&self) -> bool {
        self.next(false) == Step::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Data,
        End,
        Reset,
        Gone,
    }

    proptest! {
        /// Whatever happens in whatever order, the direction ends, writes everything that came
        /// while the sink was open, and tells each side what it has to know exactly once.
        #[test]
        fn every_run_ends_and_loses_nothing(
            events in proptest::collection::vec(
                prop_oneof![4 => Just(Event::Data), 1 => Just(Event::End),
                    1 => Just(Event::Reset), 1 => Just(Event::Gone)],
                0..40,
            )
        ) {
            let mut direction = Direction::new();
            let (mut came, mut written, mut holding, mut gone) = (0, 0, false, false);
            let (mut shut, mut stopped, mut reset, mut was_reset) = (0, 0, 0, false);
            let mut events = events.into_iter();
            for _ in 0..200 {
                match direction.next(holding) {
                    Step::Fill => {
                        prop_assert!(!holding);
                        match events.next() {
                            Some(Event::Data) => (came, holding) = (came + 1, true),
                            Some(Event::Gone) => {
                                gone = true;
                                direction.sink_gone();
                            }
                            Some(Event::Reset) => {
                                was_reset = true;
                                direction.source_reset();
                            }
                            Some(Event::End) | None => direction.source_ended(),
                        }
                    }
                    Step::Drain => (written, holding) = (written + 1, false),
                    Step::ShutSink => {
                        shut += 1;
                        direction.sink_shut();
                    }
                    Step::ResetSink => {
                        reset += 1;
                        direction.sink_shut();
                    }
                    Step::StopSource => {
                        stopped += 1;
                        direction.source_told();
                    }
                    Step::Done => break,
                }
            }
            prop_assert!(direction.is_done());
            prop_assert_eq!(came, written);
            let told = match (gone, was_reset) {
                (true, _) => (0, 0, 1),
                (false, true) => (0, 1, 0),
                (false, false) => (1, 0, 0),
            };
            prop_assert_eq!((shut, reset, stopped), told);
        }
    }

    #[test]
    fn what_is_held_for_a_reader_that_has_gone_is_not_waited_for() {
        let mut direction = Direction::new();
        direction.source_ended();
        direction.sink_gone();
        assert_eq!(direction.next(true), Step::Done);
    }
}
