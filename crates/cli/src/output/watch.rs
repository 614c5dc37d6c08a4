//! Finds the error that a server has put into CSV whose status says 200: a query that fails half-way ends its text
//! with an error table (Flux: header `,error,reference`; InfluxQL: header `error`). Data passes, errors are kept.

/// How much of a line is kept; headers of errors are short, and longer messages are cut.
const LINE_BYTES_MAX: usize = 4096;

/// Most bytes of empty lines, annotations and header that wait for what follows them.
const HELD_BYTES_MAX: usize = 64 << 10;

/// Watches CSV go by.
#[derive(Debug, Default)]
pub(super) struct Watch {
    line: Vec<u8>,
    /// What is data for certain.
    out: Vec<u8>,
    /// What may yet be the head of an error.
    held: Vec<u8>,
    quoted: bool,
    place: Place,
    message: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start or after an empty line: annotations, then a header.
    #[default]
    Head,
    /// In the rows under a header.
    Rows,
    /// In the row under the header of an error.
    Message,
}

impl Watch {
    /// Looks at more of the text.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.quoted ^= byte == b'"';
            let empty_line = self.line.is_empty() && matches!(byte, b'\r' | b'\n');
            if self.place == Place::Rows && !empty_line {
                self.pass();
                self.out.push(byte);
            } else {
                self.held.push(byte);
                if self.held.len() > HELD_BYTES_MAX {
                    match self.place {
                        Place::Message => self.held.clear(),
                        Place::Head | Place::Rows => self.pass(),
                    }
                }
            }
            if byte == b'\n' && !self.quoted {
                self.end_line();
            } else if self.line.len() < LINE_BYTES_MAX && !(empty_line && byte == b'\r') {
                self.line.push(byte);
            }
        }
    }

    /// Takes the data that was seen.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// The message of the first error; call it when all was seen.
    pub(super) fn finish(&mut self) -> Option<String> {
        self.end_line();
        self.pass();
        self.message.take()
    }

    fn pass(&mut self) {
        self.out.append(&mut self.held);
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        self.place = match self.place {
            Place::Message => {
                self.held.clear();
                self.message.get_or_insert_with(|| first_cell(line));
                Place::Rows
            }
            _ if line.is_empty() => Place::Head,
            Place::Head if line.starts_with(b"#") => Place::Head,
            Place::Head if line == b"error" || line.starts_with(b",error,") => {
                self.held.clear();
                Place::Message
            }
            Place::Head => {
                self.pass();
                Place::Rows
            }
            Place::Rows => Place::Rows,
        };
    }
}

/// The first cell that is not empty.
fn first_cell(line: &[u8]) -> String {
    let mut csv = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line);
    let mut record = csv::ByteRecord::new();
    let cell = match csv.read_byte_record(&mut record) {
        Ok(true) => record.iter().find(|cell| !cell.is_empty()).unwrap_or_default(),
        _ => line,
    };
    String::from_utf8_lossy(cell).into_owned()
}

#[cfg(test)]
mod tests;
