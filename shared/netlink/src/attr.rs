//! Netlink attributes: a writer that cannot wrap a length, and a reader that cannot run over an end.

/// Set on the type of an attribute that holds attributes.
const NESTED: u16 = 0x8000;
/// Type bits without the two flags.
const KIND: u16 = 0x3fff;
/// What a 16-bit length can say, header included.
const LONGEST: usize = u16::MAX as usize;

/// Why a message cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A netlink attribute holds at most 65,531 bytes.
    #[error("an attribute would be longer than 65,531 bytes")]
    TooLong,
    /// Names end at a zero byte on the wire.
    #[error("a name holds a zero byte")]
    ZeroByte,
    /// nft shows no longer one.
    #[error("the comment is longer than 128 bytes")]
    LongComment,
    /// The bytes of a key or value do not fit its type.
    #[error("a key or value has not the length of its type")]
    KeyLength,
    /// Only 0 to 15 exist.
    #[error("there is no such register")]
    Register,
    /// A range whose end lies before its start.
    #[error("a range ends before it starts")]
    Backwards,
    /// A set and its elements disagree on having data, or ranges.
    #[error("an element has what its set has not, or lacks what its set has")]
    ElementKind,
    /// Two sets, or two chains, with one name.
    #[error("the name is used twice")]
    Twice,
}

/// Appends attributes. The first fault sticks; [`Writer::fault`] tells it at the end.
#[derive(Debug, Default)]
pub struct Writer {
    /// What was written so far.
    pub bytes: Vec<u8>,
    /// The first fault.
    pub fault: Option<Fault>,
}

impl Writer {
    /// Notes a fault; the first one stays.
    pub fn fault(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn header(&mut self, kind: u16, payload: usize) {
        let len = u16::try_from(payload + 4).unwrap_or_else(|_| {
            self.fault(Fault::TooLong);
            4
        });
        let ([a, b], [c, d]) = (len.to_ne_bytes(), kind.to_ne_bytes());
        self.bytes.extend_from_slice(&[a, b, c, d]);
    }

    fn pad(&mut self) {
        let over = self.bytes.len() % 4;
        if over != 0 {
            self.bytes.extend_from_slice([0; 4].get(over..).unwrap_or_default());
        }
    }

    /// An attribute of these bytes.
    pub fn raw(&mut self, kind: u16, data: &[u8]) {
        self.parts(kind, &[data]);
    }

    /// One attribute of several pieces.
    pub fn parts(&mut self, kind: u16, parts: &[&[u8]]) {
        self.header(kind, parts.iter().map(|part| part.len()).sum());
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.pad();
    }

    /// A 32-bit number in network order, as nf_tables wants nearly all of them.
    pub fn u32(&mut self, kind: u16, value: u32) {
        // Most of all that is written: in one piece.
        let ([a, b], [c, d]) = (8_u16.to_ne_bytes(), kind.to_ne_bytes());
        let [e, f, g, h] = value.to_be_bytes();
        self.bytes.extend_from_slice(&[a, b, c, d, e, f, g, h]);
    }

    /// A 64-bit number in network order.
    pub fn u64(&mut self, kind: u16, value: u64) {
        self.raw(kind, &value.to_be_bytes());
    }

    /// A string with its zero byte.
    pub fn str(&mut self, kind: u16, value: &str) {
        let bytes = value.as_bytes();
        if bytes.contains(&0) {
            self.fault(Fault::ZeroByte);
        }
        // Nearly all names are short, and there are many: header, name and zeros in one piece.
        let mut short = [0; 32];
        let len = bytes.len() + 5;
        match short.get_mut(..len.next_multiple_of(4)) {
            Some([a, b, c, d, rest @ ..]) => {
                [*a, *b] = u16::try_from(len).unwrap_or(4).to_ne_bytes();
                [*c, *d] = kind.to_ne_bytes();
                rest.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                self.bytes.extend_from_slice(short.get(..len.next_multiple_of(4)).unwrap_or_default());
            }
            _ => self.parts(kind, &[bytes, &[0]]),
        }
    }

    /// Opens an attribute that holds attributes; [`close`](Self::close) ends it.
    pub fn open(&mut self, kind: u16) -> usize {
        let at = self.bytes.len();
        self.header(kind | NESTED, 0);
        at
    }

    /// Ends what [`open`](Self::open) began, and writes its length.
    pub fn close(&mut self, at: usize) {
        let len = self.bytes.len().saturating_sub(at);
        if len > LONGEST {
            self.fault(Fault::TooLong);
        }
        self.patch(at, &u16::try_from(len).unwrap_or(4).to_ne_bytes());
    }

    /// Overwrites bytes that are there already.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// An attribute of the attributes that `inside` writes.
    pub fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) {
        let at = self.open(kind);
        inside(self);
        self.close(at);
    }
}

/// One attribute as read.
#[derive(Clone, Copy, Debug)]
pub struct Attr<'a> {
    /// Its type, without the two flags.
    pub kind: u16,
    /// Its payload.
    pub data: &'a [u8],
    /// Where its header begins in what [`attrs`] was given.
    pub at: usize,
}

impl<'a> Attr<'a> {
    /// Its first byte.
    pub fn u8(&self) -> Option<u8> {
        self.data.first().copied()
    }

    /// A 32-bit number in network order; None if it is shorter.
    pub fn u32(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.data.get(..4)?.try_into().ok()?))
    }

    /// A 64-bit number in network order; None if it is shorter.
    pub fn u64(&self) -> Option<u64> {
        Some(u64::from_be_bytes(self.data.get(..8)?.try_into().ok()?))
    }

    /// Up to the first zero byte. What is not UTF-8 is replaced, and what a terminal would obey: the kernel
    /// takes any bytes for the name of a chain or set.
    pub fn str(&self) -> String {
        let end = self.data.iter().position(|byte| *byte == 0).unwrap_or(self.data.len());
        let text = String::from_utf8_lossy(self.data.get(..end).unwrap_or_default());
        if text.contains(char::is_control) {
            text.replace(char::is_control, "\u{fffd}")
        } else {
            text.into_owned()
        }
    }

    /// The attributes that it holds.
    pub fn inside(&self) -> Attrs<'a> {
        attrs(self.data)
    }
}

/// The attributes of a byte string; it ends at the first that does not fit.
pub fn attrs(bytes: &[u8]) -> Attrs<'_> {
    Attrs { bytes, at: 0 }
}

/// Iterator of [`attrs`].
#[derive(Clone, Debug)]
pub struct Attrs<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Attrs<'a> {
    /// The last attribute of this kind, as the kernel's own parser has it.
    pub fn find_kind(&self, kind: u16) -> Option<Attr<'a>> {
        self.clone().filter(|attr| attr.kind == kind).last()
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Attr<'a>> {
        let rest = self.bytes.get(self.at..)?;
        let len = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?) & KIND;
        let attr = Attr { kind, data: rest.get(4..len)?, at: self.at };
        self.at += len.next_multiple_of(4);
        Some(attr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        writer.str(1, "eth");
        writer.nest(2, |writer| writer.u32(3, 7));
        writer.u64(4, 1 << 40);
        assert_eq!(writer.fault, None);
        let read = attrs(&writer.bytes);
        assert_eq!(read.find_kind(1).unwrap().str(), "eth");
        assert_eq!(read.find_kind(2).unwrap().inside().find_kind(3).unwrap().u32(), Some(7));
        assert_eq!(read.find_kind(4).unwrap().u64(), Some(1 << 40));
    }

    #[test]
    fn a_name_steers_no_terminal() {
        let mut writer = Writer::default();
        writer.raw(1, b"a\x1b[2J\xff\nb\0c");
        assert_eq!(attrs(&writer.bytes).next().unwrap().str(), "a\u{fffd}[2J\u{fffd}\u{fffd}b");
    }

    #[test]
    fn a_length_never_wraps() {
        let mut writer = Writer::default();
        writer.raw(1, &[0; LONGEST - 4]);
        assert_eq!(writer.fault, None);
        writer.raw(1, &[0; LONGEST - 3]);
        assert_eq!(writer.fault, Some(Fault::TooLong));
        let mut writer = Writer::default();
        writer.nest(1, |writer| (0..2).for_each(|_| writer.raw(2, &[0; 40_000])));
        assert_eq!(writer.fault, Some(Fault::TooLong));
    }

    #[test]
    fn a_length_over_the_end_or_under_the_header_ends_the_reading() {
        assert_eq!(attrs(&[9, 0, 1, 0, 1]).count(), 0);
        assert_eq!(attrs(&[0, 0, 1, 0, 1, 1, 1, 1]).count(), 0);
        assert_eq!(attrs(&[3, 0, 1]).count(), 0);
    }
}
