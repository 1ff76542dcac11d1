//! Parquet files for tests: columns, whose types are those that their values have.

use std::sync::Arc;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// The values of a column.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    Integers(Vec<i64>),
    Numbers(Vec<f64>),
    Truths(Vec<bool>),
    Texts(Vec<String>),
    Lists(Vec<Vec<&'static str>>),
}

impl Values {
    fn declared(&self, name: &str) -> String {
        match self {
            Self::Integers(_) => format!("required int64 {name};"),
            Self::Numbers(_) => format!("required double {name};"),
            Self::Truths(_) => format!("required boolean {name};"),
            Self::Texts(_) => format!("required binary {name} (UTF8);"),
            Self::Lists(_) => format!(
                "required group {name} (LIST) {{ repeated group list {{ required binary element (UTF8); }} }}"
            ),
        }
    }

    fn write(&self, group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>) {
        let mut column = group.next_column().unwrap().unwrap();
        let written = match self {
            Self::Integers(values) => column.typed::<Int64Type>().write_batch(values, None, None),
            Self::Numbers(values) => column.typed::<DoubleType>().write_batch(values, None, None),
            Self::Truths(values) => column.typed::<BoolType>().write_batch(values, None, None),
            Self::Texts(values) => {
                let values: Vec<ByteArray> =
                    values.iter().map(|text| text.as_str().into()).collect();
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, None, None)
            }
            Self::Lists(lists) => {
                let values = lists.iter().flatten().map(|&text| text.into());
                let values: Vec<ByteArray> = values.collect();
                // An empty list has one place, at which nothing is defined.
                let places = |list: &Vec<&str>| list.len().max(1);
                let defined = lists.iter().flat_map(|list| {
                    std::iter::repeat_n(i16::from(!list.is_empty()), places(list))
                });
                let repeated = lists
                    .iter()
                    .flat_map(|list| (0..places(list)).map(|place| i16::from(place > 0)));
                let (defined, repeated): (Vec<i16>, Vec<i16>) =
                    (defined.collect(), repeated.collect());
                column.typed::<ByteArrayType>().write_batch(
                    &values,
                    Some(&defined),
                    Some(&repeated),
                )
            }
        };
        written.unwrap();
        column.close().unwrap();
    }
}

/// The bytes of a file with these columns.
pub(crate) fn file(columns: &[(&str, Values)]) -> Vec<u8> {
    let fields: Vec<String> = columns
        .iter()
        .map(|(name, values)| values.declared(name))
        .collect();
    let schema = format!("message rows {{ {} }}", fields.join(" "));
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut bytes = Vec::new();
    let properties = Arc::new(WriterProperties::default());
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (_, values) in columns {
        values.write(&mut group);
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}
