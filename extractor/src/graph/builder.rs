//! A graph under construction: nodes, weights and constants, each method giving back the name of
//! what it added.

use std::collections::HashMap;

use half::{bf16, f16};
use ort::editor::{Graph, Model, Node, ONNX_DOMAIN, Opset};
use ort::memory::Allocator;
use ort::operator::Attribute;
use ort::value::{
    Outlet, PrimitiveTensorElementType, Shape, SymbolicDimensions, Tensor, TensorElementType,
    ValueType,
};

use super::dtype::{ComputeDtype, ONNX_FLOAT};
use super::error::GraphError;
use super::weights::{Identity, Linear, Source};

/// ONNX Runtime's own operators.
pub(crate) const MICROSOFT: &str = "com.microsoft";
/// Versions of the operator sets.
const OPSETS: [(&str, u32); 2] = [(ONNX_DOMAIN, 18), (MICROSOFT, 1)];
/// Initializers below this size must be part of the graph itself: a rule of the Model Editor API.
const EXTERNAL_FROM: usize = 128;
/// A graph under construction.
pub(crate) struct Builder {
    graph: Graph,
    dtype: ComputeDtype,
    /// Names of the weights so far.
    weights: HashMap<Identity, String>,
}

impl Builder {
    pub(crate) fn new(dtype: ComputeDtype) -> Result<Self, GraphError> {
        Ok(Self {
            graph: Graph::new()?,
            dtype,
            weights: HashMap::new(),
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
        self.node_with_outputs((domain, operator), name, inputs, &[name], attributes)?;
        Ok(name.to_owned())
    }

    /// Adds one node; an empty name stands for an input or output that is left out.
    pub(super) fn node_with_outputs(
        &mut self,
        (domain, operator): (&str, &str),
        name: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> Result<(), GraphError> {
        let node = Node::new(operator, domain, name, inputs, outputs, attributes)?;
        Ok(self.graph.add_node(node)?)
    }

    /// Adds weights and gives back their name; weights that layers share are added once.
    pub(super) fn weights(
        &mut self,
        name: String,
        source: &Source<'_>,
    ) -> Result<String, GraphError> {
        if let Some(identity) = source.identity() {
            if let Some(same) = self.weights.get(&identity) {
                return Ok(same.clone());
            }
            self.weights.insert(identity, name.clone());
        }
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
            ComputeDtype::F32 => self.add_tensor(&name, filled([], value)?)?,
            ComputeDtype::F16 => self.add_tensor(&name, filled([], f16::from_f32(value))?)?,
            ComputeDtype::Bf16 => self.add_tensor(&name, filled([], bf16::from_f32(value))?)?,
        }
        Ok(name)
    }

    /// Adds a vector of one number everywhere, `[size]`, and gives back its name.
    pub(super) fn repeated(
        &mut self,
        name: String,
        value: f32,
        size: usize,
    ) -> Result<String, GraphError> {
        let shape = [self::size(size)];
        match self.dtype {
            ComputeDtype::F32 => self.add_tensor(&name, filled(shape, value)?)?,
            ComputeDtype::F16 => self.add_tensor(&name, filled(shape, f16::from_f32(value))?)?,
            ComputeDtype::Bf16 => self.add_tensor(&name, filled(shape, bf16::from_f32(value))?)?,
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

    /// The sum of two values of one shape.
    pub(super) fn add(&mut self, name: &str, summands: [&str; 2]) -> Result<String, GraphError> {
        self.node((ONNX_DOMAIN, "Add"), name, &summands, vec![])
    }

    /// A linear layer of `input`.
    pub(super) fn linear(
        &mut self,
        name: &str,
        input: &str,
        linear: &Linear<'_>,
    ) -> Result<String, GraphError> {
        let product = self.matmul(name, input, &linear.matrix)?;
        match &linear.bias {
            Some(bias) => self.add_bias(&format!("{name}.bias"), &product, bias),
            None => Ok(product),
        }
    }

    /// Parts of the last dimension, each with its name and size.
    pub(super) fn split<const N: usize>(
        &mut self,
        name: &str,
        value: &str,
        parts: [(String, usize); N],
    ) -> Result<[String; N], GraphError> {
        let sizes = parts.each_ref().map(|(_, part)| size(*part));
        let parts = parts.map(|(part, _)| part);
        let sizes = self.integers(&format!("{name}.sizes"), &sizes)?;
        let outputs = parts.each_ref().map(String::as_str);
        let axis = vec![Attribute::new("axis", -1_i64)?];
        let operator = (ONNX_DOMAIN, "Split");
        self.node_with_outputs(operator, name, &[value, &sizes], &outputs, axis)?;
        Ok(parts)
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

    /// The number format that the encoder computes in.
    pub(super) const fn dtype(&self) -> ComputeDtype {
        self.dtype
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

/// An input or output of a graph; -1 in its shape is any size. Sizes have no names: ONNX Runtime
/// 1.31 gives the first name of a shape to all of them, and so takes different sizes for the same.
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

/// A size as ONNX counts.
pub(crate) fn size(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A tensor of one number everywhere.
fn filled<T, const N: usize>(shape: [i64; N], value: T) -> Result<Tensor<T>, GraphError>
where
    T: Copy + PrimitiveTensorElementType + std::fmt::Debug,
{
    let mut tensor = Tensor::new(&Allocator::default(), Shape::new(shape))?;
    tensor.extract_tensor_mut().1.fill(value);
    Ok(tensor)
}
