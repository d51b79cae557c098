//! The log's way to stderr: records wait in a queue of bounded size, and a thread of its own writes them.
//!
//! The protocol runs on one thread, and writing to a pipe waits for as long as its reader likes. So nobody but this
//! thread ever writes: what finds no room is dropped and counted, and the count is logged when reading resumes. A
//! reader that is gone for good costs the records and nothing else.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most bytes of records that wait to be written.
const BYTES_MAX: usize = 256 * 1024;

/// Takes log records. Clones share one queue.
#[derive(Clone)]
pub(crate) struct Log {
    queue: Arc<Queue>,
}

struct Queue {
    waiting: Mutex<Waiting>,
    /// Something came, or was written.
    moved: Condvar,
}

#[derive(Default)]
struct Waiting {
    records: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Dropped, and not told of yet.
    lost: u64,
    is_writing: bool,
}

impl Log {
    /// Begins to write to stderr.
    pub(crate) fn start() -> io::Result<Log> {
        Log::to(io::stderr())
    }

    fn to(out: impl Write + Send + 'static) -> io::Result<Log> {
        let queue = Arc::new(Queue { waiting: Mutex::default(), moved: Condvar::new() });
        let log = Log { queue: queue.clone() };
        std::thread::Builder::new().name("stderr".to_owned()).spawn(move || queue.write_all(out))?;
        Ok(log)
    }

    /// Queues one record, with its end of line. Never waits.
    pub(crate) fn put(&self, record: &[u8]) {
        let mut waiting = self.queue.lock();
        if waiting.bytes + record.len() > BYTES_MAX {
            waiting.lost += 1;
            return;
        }
        waiting.bytes += record.len();
        waiting.records.push_back(record.to_vec());
        self.queue.moved.notify_all();
    }

    /// Waits until all is written, but not for ever.
    pub(crate) fn finish(&self, patience: Duration) {
        let waiting = self.queue.lock();
        let is_busy = |waiting: &mut Waiting| waiting.is_writing || !waiting.records.is_empty();
        drop(self.queue.moved.wait_timeout_while(waiting, patience, is_busy));
    }
}

/// What `tracing` writes a record to: whole records, each by one call.
impl Write for Log {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.put(record);
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, mut out: impl Write) {
        loop {
            let (record, lost) = self.next();
            // An error says that the reader is gone, which nobody can be told.
            let _ = out.write_all(&record).and_then(|()| out.flush());
            if lost > 0 {
                tracing::warn!(lost, "log records were dropped because stderr was not read");
            }
            self.lock().is_writing = false;
            self.moved.notify_all();
        }
    }

    /// The next record; with the last that waited, how many were lost after it.
    fn next(&self) -> (Vec<u8>, u64) {
        let mut waiting = self.lock();
        loop {
            if let Some(record) = waiting.records.pop_front() {
                waiting.bytes -= record.len();
                waiting.is_writing = true;
                let is_last = waiting.records.is_empty();
                let lost = if is_last { std::mem::take(&mut waiting.lost) } else { 0 };
                return (record, lost);
            }
            waiting = self.moved.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Takes a record whenever the test says so.
    struct Reader {
        may: Receiver<()>,
        read: Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, record: &[u8]) -> io::Result<usize> {
            self.may.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.read.send(record.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(record.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_costs_records_and_no_time_and_no_memory() {
        let ((may, allowed), (read, records)) = (channel(), channel());
        let log = Log::to(Reader { may: allowed, read }).unwrap();
        // The first is in the writer's hands; of the others as many wait as there is room for.
        for number in 0..1_000_u32 {
            log.put(&number.to_le_bytes().repeat(256));
        }
        log.finish(Duration::from_millis(1));
        let (bytes, lost) = {
            let waiting = log.queue.lock();
            (waiting.bytes, waiting.lost)
        };
        assert!(bytes <= BYTES_MAX && lost >= 1_000 - 257, "{bytes} bytes wait, {lost} were lost");
        // What was kept is what came first, in order.
        for number in 0..256_u32 {
            may.send(()).unwrap();
            assert_eq!(records.recv().unwrap()[..4], number.to_le_bytes());
        }
    }

    #[test]
    fn a_reader_that_is_gone_costs_the_records_alone() {
        let ((may, allowed), (read, _)) = (channel::<()>(), channel());
        drop(may);
        let log = Log::to(Reader { may: allowed, read }).unwrap();
        for _ in 0..1_000 {
            log.put(&[0; 1024]);
        }
        log.finish(Duration::from_secs(60));
        assert_eq!(log.queue.lock().bytes, 0, "all of it was thrown away");
    }
}
