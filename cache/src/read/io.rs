//! The ways to read hidden states.

/// How hidden states are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Io {
    /// `ram` for a store that is compressed or on a network file system, if half of the memory is enough for it;
    /// else `mmap`, but `read` on a network file system.
    #[default]
    Auto,
    /// Files are mapped; all readers on a machine share the page cache. Compressed chunks are decoded one by one.
    Mmap,
    /// Every sequence is read when it is asked for.
    Read,
    /// Every file is read whole when it is first touched, decoded, and kept.
    Ram,
}

/// How hidden states are read, and whether they are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// From where.
    pub io: Io,
    /// Whether every inner chunk is compared with its checksum when it is touched for the first time, so that nobody
    /// computes on a flipped bit. Costs one pass over what is read.
    pub checksums: bool,
}

/// With checksums.
impl From<Io> for Reading {
    fn from(io: Io) -> Self {
        Self {
            io,
            checksums: true,
        }
    }
}
