//! The values of one column, row by row, straight from its pages: a list is what the repetition
//! levels say (Dremel, Melnik et al. 2010; parquet-format, "Nested Encoding").

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{
    BoolType, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError as ReaderError;
use parquet::schema::types::ColumnDescriptor;

/// Rows read at a time.
pub(super) const BATCH: usize = 1024;

/// What stands in a row: the elements of a list, or the one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Texts(Vec<String>),
    Numbers(Vec<i64>),
}

/// What is wrong with a column.
#[derive(Debug)]
pub(super) enum CellError {
    /// Its pages.
    Pages(String),
    /// A row, counted from the last batch's end.
    Row(usize, &'static str),
}

impl From<ReaderError> for CellError {
    fn from(error: ReaderError) -> Self {
        Self::Pages(error.to_string())
    }
}

/// A column being read.
pub(super) enum Cells {
    Texts(Rows<ByteArrayType>),
    Short(Rows<Int32Type>),
    Long(Rows<Int64Type>),
    Truth(Rows<BoolType>),
    Float(Rows<FloatType>),
    Double(Rows<DoubleType>),
}

impl Cells {
    pub(super) fn new(reader: ColumnReader, column: &ColumnDescriptor) -> Result<Self, CellError> {
        match reader {
            ColumnReader::ByteArrayColumnReader(reader) => {
                Ok(Self::Texts(Rows::new(reader, column)))
            }
            ColumnReader::Int32ColumnReader(reader) => Ok(Self::Short(Rows::new(reader, column))),
            ColumnReader::Int64ColumnReader(reader) => Ok(Self::Long(Rows::new(reader, column))),
            ColumnReader::BoolColumnReader(reader) => Ok(Self::Truth(Rows::new(reader, column))),
            ColumnReader::FloatColumnReader(reader) => Ok(Self::Float(Rows::new(reader, column))),
            ColumnReader::DoubleColumnReader(reader) => Ok(Self::Double(Rows::new(reader, column))),
            _ => Err(CellError::Pages(format!(
                "{} is not a type of words or labels",
                column.physical_type()
            ))),
        }
    }

    /// The next rows, at most [`BATCH`]; none at the end.
    pub(super) fn next(&mut self) -> Result<Vec<Cell>, CellError> {
        match self {
            Self::Texts(rows) => rows
                .next(|value| {
                    let text = value.as_utf8().map_err(|_| "not UTF-8 text")?;
                    Ok(text.to_owned())
                })?
                .into_iter()
                .map(|texts| Ok(Cell::Texts(texts)))
                .collect(),
            Self::Truth(rows) => Ok(texts(rows.next(|value| Ok(value.to_string()))?)),
            // Whole numbers stand without a point: they may be numbers of classes.
            Self::Float(rows) => Ok(texts(rows.next(|value| Ok(value.to_string()))?)),
            Self::Double(rows) => Ok(texts(rows.next(|value| Ok(value.to_string()))?)),
            Self::Short(rows) => Ok(rows
                .next(|value| Ok(i64::from(*value)))?
                .into_iter()
                .map(Cell::Numbers)
                .collect()),
            Self::Long(rows) => Ok(rows
                .next(|value| Ok(*value))?
                .into_iter()
                .map(Cell::Numbers)
                .collect()),
        }
    }
}

fn texts(rows: Vec<Vec<String>>) -> Vec<Cell> {
    rows.into_iter().map(Cell::Texts).collect()
}

/// A typed column being read.
pub(super) struct Rows<T: DataType> {
    reader: ColumnReaderImpl<T>,
    /// The definition level of a value that is there.
    present: i16,
    /// The definition level from which on a list has an element.
    element: i16,
    is_list: bool,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    values: Vec<T::T>,
}

impl<T: DataType> Rows<T> {
    fn new(reader: ColumnReaderImpl<T>, column: &ColumnDescriptor) -> Self {
        Self {
            reader,
            present: column.max_def_level(),
            element: column.repeated_ancestor_def_level(),
            is_list: column.max_rep_level() > 0,
            definitions: Vec::new(),
            repetitions: Vec::new(),
            values: Vec::new(),
        }
    }

    fn next<V>(
        &mut self,
        convert: impl Fn(&T::T) -> Result<V, &'static str>,
    ) -> Result<Vec<Vec<V>>, CellError> {
        self.definitions.clear();
        self.repetitions.clear();
        self.values.clear();
        let (_, _, levels) = self.reader.read_records(
            BATCH,
            Some(&mut self.definitions),
            Some(&mut self.repetitions),
            &mut self.values,
        )?;
        let mut rows: Vec<Vec<V>> = Vec::new();
        let mut values = self.values.iter();
        for level in 0..levels {
            // Columns without optional or repeated parts have no such levels.
            let definition = if self.present == 0 {
                0
            } else {
                self.definitions[level]
            };
            if !self.is_list || self.repetitions[level] == 0 {
                rows.push(Vec::new());
            }
            let row = rows.len().saturating_sub(1);
            if definition == self.present {
                let value = values.next().ok_or_else(|| {
                    CellError::Pages("fewer values than its levels say".to_owned())
                })?;
                let value = convert(value).map_err(|reason| CellError::Row(row, reason))?;
                if let Some(list) = rows.last_mut() {
                    list.push(value);
                }
            } else if self.is_list && definition >= self.element {
                return Err(CellError::Row(
                    row,
                    "an element of the list is missing (null)",
                ));
            }
        }
        Ok(rows)
    }
}
