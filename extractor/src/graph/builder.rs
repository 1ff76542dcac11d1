//! The operators that encoders are made of, one method each: it adds the node
//! and its weights and gives back the name of the result.

use half::{bf16, f16};
use ort::editor::{Graph, Model, Node, ONNX_DOMAIN, Opset};
use ort::memory::Allocator;
use ort::operator::Attribute;
use ort::value::{
    Outlet, PrimitiveTensorElementType, Shape, SymbolicDimensions, Tensor, TensorElementType,
    ValueType,
};

use super::weights::Source;
use super::{GraphError, INPUT_IDS, KEPT, LENGTHS, POSITION_IDS};
use crate::encoder::ComputeDtype;

/// ONNX Runtime's own operators.
pub(crate) const MICROSOFT: &str = "com.microsoft";
/// Versions of the operator sets.
const OPSETS: [(&str, u32); 2] = [(ONNX_DOMAIN, 18), (MICROSOFT, 1)];
/// Initializers below this size must be part of the graph itself: a rule of the Model Editor API.
const EXTERNAL_FROM: usize = 128;
/// What masked attention scores become. ONNX Runtime's own -10000 is not below every score.
const MASKED: f32 = -1e30;

/// A graph under construction.
pub(crate) struct Builder {
    graph: Graph,
    dtype: ComputeDtype,
}

/// What a [`Builder::skip_norm`] gives, by name.
pub(super) struct SkipNorm {
    /// The normalised sum.
    pub(super) output: String,
    /// The sum.
    pub(super) sum: String,
}

impl Builder {
    pub(crate) fn new(dtype: ComputeDtype) -> Result<Self, GraphError> {
        Ok(Self {
            graph: Graph::new()?,
            dtype,
        })
    }

    /// Adds one node with one result, which bears its name.
    pub(crate) fn node(
        &mut self,
        (domain, operator): (&str, &str),
        name: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> Result<String, GraphError> {
        self.graph.add_node(Node::new(
            operator,
            domain,
            name,
            inputs,
            [name],
            attributes,
        )?)?;
        Ok(name.to_owned())
    }

    /// Adds weights and gives back their name.
    pub(super) fn weights(
        &mut self,
        name: String,
        source: &Source<'_>,
    ) -> Result<String, GraphError> {
        match self.dtype {
            ComputeDtype::F32 => self.add_tensor(&name, source.to_ort::<f32>()?)?,
            ComputeDtype::F16 => self.add_tensor(&name, source.to_ort::<f16>()?)?,
            ComputeDtype::Bf16 => self.add_tensor(&name, source.to_ort::<bf16>()?)?,
        }
        Ok(name)
    }

    /// Adds one number and gives back its name.
    pub(super) fn number(&mut self, name: String, value: f32) -> Result<String, GraphError> {
        match self.dtype {
            ComputeDtype::F32 => self.add_tensor(&name, scalar(value)?)?,
            ComputeDtype::F16 => self.add_tensor(&name, scalar(f16::from_f32(value))?)?,
            ComputeDtype::Bf16 => self.add_tensor(&name, scalar(bf16::from_f32(value))?)?,
        }
        Ok(name)
    }

    /// Adds a float32 tensor, whatever the encoder computes in, and gives back its name.
    pub(crate) fn values(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[f32],
    ) -> Result<String, GraphError> {
        let mut tensor = Tensor::<f32>::new(&Allocator::default(), shape.to_vec())?;
        tensor.extract_tensor_mut().1.copy_from_slice(values);
        self.add_tensor(name, tensor)?;
        Ok(name.to_owned())
    }

    /// Adds a vector of int64 and gives back its name.
    pub(crate) fn integers(&mut self, name: &str, values: &[i64]) -> Result<String, GraphError> {
        let mut tensor = Tensor::<i64>::new(&Allocator::default(), [values.len()])?;
        tensor.extract_tensor_mut().1.copy_from_slice(values);
        self.add_tensor(name, tensor)?;
        Ok(name.to_owned())
    }

    fn add_tensor<T>(&mut self, name: &str, tensor: Tensor<T>) -> Result<(), GraphError>
    where
        T: PrimitiveTensorElementType + std::fmt::Debug + 'static,
    {
        let external = size_of_val(tensor.extract_tensor().1) >= EXTERNAL_FROM;
        Ok(self.graph.add_initializer(name, tensor, external)?)
    }

    /// Rows of a table, `[rows, width, size]`.
    pub(super) fn gather(
        &mut self,
        name: &str,
        table: &Source<'_>,
        indices: &str,
    ) -> Result<String, GraphError> {
        let table = self.weights(format!("{name}.table"), table)?;
        self.node((ONNX_DOMAIN, "Gather"), name, &[&table, indices], vec![])
    }

    /// The product with a matrix `[inputs, outputs]`.
    pub(super) fn matmul(
        &mut self,
        name: &str,
        input: &str,
        matrix: &Source<'_>,
    ) -> Result<String, GraphError> {
        let matrix = self.weights(format!("{name}.matrix"), matrix)?;
        self.node((ONNX_DOMAIN, "MatMul"), name, &[input, &matrix], vec![])
    }

    /// The sum with a vector.
    pub(super) fn add_bias(
        &mut self,
        name: &str,
        input: &str,
        bias: &Source<'_>,
    ) -> Result<String, GraphError> {
        let bias = self.weights(format!("{name}.vector"), bias)?;
        self.node((ONNX_DOMAIN, "Add"), name, &[input, &bias], vec![])
    }

    /// The layer norm of `input + skip + bias`, and the sum itself where it is needed.
    pub(super) fn skip_norm(
        &mut self,
        name: &str,
        [input, skip]: [&str; 2],
        bias: Option<&Source<'_>>,
        [gamma, beta]: &[Source<'_>; 2],
        epsilon: f32,
        with_sum: bool,
    ) -> Result<SkipNorm, GraphError> {
        let gamma = self.weights(format!("{name}.gamma"), gamma)?;
        let beta = self.weights(format!("{name}.beta"), beta)?;
        let mut inputs = vec![input.to_owned(), skip.to_owned(), gamma, beta];
        if let Some(bias) = bias {
            inputs.push(self.weights(format!("{name}.bias"), bias)?);
        }
        let result = SkipNorm {
            output: name.to_owned(),
            sum: format!("{name}.sum"),
        };
        // Mean and inverse deviation stand between the two; nobody needs them.
        let outputs = [result.output.as_str(), "", "", result.sum.as_str()];
        let outputs = if with_sum {
            &outputs[..]
        } else {
            &outputs[..1]
        };
        let attributes = [Attribute::new("epsilon", epsilon)?];
        self.graph.add_node(Node::new(
            "SkipLayerNormalization",
            MICROSOFT,
            name,
            inputs,
            outputs,
            attributes,
        )?)?;
        Ok(result)
    }

    /// Multi-head attention of each row over itself, from one projection to query, key and value,
    /// `[hidden, 3 * hidden]`.
    #[expect(clippy::too_many_arguments, reason = "they are the operator's")]
    pub(super) fn attention(
        &mut self,
        name: &str,
        input: &str,
        matrix: &Source<'_>,
        bias: &Source<'_>,
        heads: usize,
        scale: f32,
        causal: bool,
    ) -> Result<String, GraphError> {
        let matrix = self.weights(format!("{name}.matrix"), matrix)?;
        let bias = self.weights(format!("{name}.bias"), bias)?;
        let mut inputs = vec![input, &matrix, &bias];
        // Padding stands on the right, where a causal encoder never looks.
        if !causal {
            inputs.push(LENGTHS);
        }
        let attributes = vec![
            Attribute::new("num_heads", i64::try_from(heads).unwrap_or(i64::MAX))?,
            Attribute::new("scale", scale)?,
            Attribute::new("unidirectional", i64::from(causal))?,
            Attribute::new("mask_filter_value", MASKED)?,
        ];
        self.node((MICROSOFT, "Attention"), name, &inputs, attributes)
    }

    /// `value` as float32.
    pub(crate) fn float32(&mut self, value: &str) -> Result<String, GraphError> {
        match self.dtype {
            ComputeDtype::F32 => Ok(value.to_owned()),
            ComputeDtype::F16 | ComputeDtype::Bf16 => {
                self.cast(&format!("{value}.float32"), value, ONNX_FLOAT)
            }
        }
    }

    /// `value` as another number type of the ONNX format.
    pub(crate) fn cast(&mut self, name: &str, value: &str, to: i64) -> Result<String, GraphError> {
        let to = vec![Attribute::new("to", to)?];
        self.node((ONNX_DOMAIN, "Cast"), name, &[value], to)
    }

    /// The number type that the encoder computes in, as the ONNX format numbers it.
    pub(super) const fn element(&self) -> i64 {
        match self.dtype {
            ComputeDtype::F32 => ONNX_FLOAT,
            ComputeDtype::F16 => ONNX_FLOAT16,
            ComputeDtype::Bf16 => ONNX_BFLOAT16,
        }
    }

    /// Declares inputs and outputs and closes the graph: `layers` are `[rows, width, hidden]` in the type that the encoder
    /// computes in, `rows` the outputs of [`Builder::rows`], if there are any.
    pub(super) fn finish(
        self,
        lengths: bool,
        hidden: usize,
        layers: &[String],
        rows: Option<Vec<Outlet>>,
    ) -> Result<Model, GraphError> {
        let ids = |name| outlet(name, TensorElementType::Int32, &[-1, -1]);
        let numbers = |name| outlet(name, TensorElementType::Int32, &[-1]);
        let mut inputs = vec![ids(INPUT_IDS), ids(POSITION_IDS)];
        if lengths {
            inputs.push(numbers(LENGTHS));
        }
        if rows.is_some() {
            inputs.push(numbers(KEPT));
        }
        let shape = [-1, -1, i64::try_from(hidden).unwrap_or(-1)];
        let computed = match self.dtype {
            ComputeDtype::F32 => TensorElementType::Float32,
            ComputeDtype::F16 => TensorElementType::Float16,
            ComputeDtype::Bf16 => TensorElementType::Bfloat16,
        };
        let layers = layers.iter().map(|layer| outlet(layer, computed, &shape));
        let outputs = layers.chain(rows.into_iter().flatten()).collect();
        self.close(inputs, outputs)
    }

    /// Closes the graph with these inputs and outputs.
    pub(crate) fn close(
        mut self,
        inputs: Vec<Outlet>,
        outputs: Vec<Outlet>,
    ) -> Result<Model, GraphError> {
        self.graph.set_inputs(inputs)?;
        self.graph.set_outputs(outputs)?;
        let opsets = OPSETS
            .iter()
            .map(|&(domain, version)| Opset::new(domain, version));
        let mut model = Model::new(opsets.collect::<Result<Vec<_>, _>>()?)?;
        model.set_graph(self.graph)?;
        Ok(model)
    }
}

/// `TensorProto.FLOAT` of the ONNX format.
pub(crate) const ONNX_FLOAT: i64 = 1;
/// `TensorProto.FLOAT16`.
pub(super) const ONNX_FLOAT16: i64 = 10;
/// `TensorProto.BFLOAT16`.
pub(super) const ONNX_BFLOAT16: i64 = 16;

/// An input or output of a graph; -1 in its shape is any size. Sizes have no names: ONNX Runtime 1.31 gives the first
/// name of a shape to all of them, and so takes different sizes for the same.
pub(crate) fn outlet(name: &str, ty: TensorElementType, shape: &[i64]) -> Outlet {
    let shape = Shape::new(shape.iter().copied());
    Outlet::new(
        name,
        ValueType::Tensor {
            ty,
            dimension_symbols: SymbolicDimensions::empty(shape.len()),
            shape,
        },
    )
}

fn scalar<T>(value: T) -> Result<Tensor<T>, GraphError>
where
    T: Copy + PrimitiveTensorElementType + std::fmt::Debug,
{
    let mut tensor = Tensor::new(&Allocator::default(), Shape::new([]))?;
    tensor.extract_tensor_mut().1.fill(value);
    Ok(tensor)
}
