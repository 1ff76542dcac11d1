//! Parameters and the layers that they belong to: what each is called (the names of a PyTorch state
//! dict), its shape and what it starts as.

/// What a parameter starts as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// All the same.
    Constant(f32),
    /// Uniform up to `1 / sqrt(inputs)`: what PyTorch gives the weights and biases of a linear
    /// layer.
    Linear {
        /// Numbers that go into the layer.
        inputs: usize,
    },
    /// Uniform up to `sqrt(6 / (inputs + outputs))` of a matrix `[outputs, inputs]` (Glorot and
    /// Bengio 2010).
    Xavier,
}

/// A parameter of a head.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name in files of weights.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it starts as.
    pub start: Start,
    /// Whether no output depends on it; it is kept so that weights go from and to PyTorch.
    pub idle: bool,
}

impl Parameter {
    /// A parameter that outputs depend on.
    #[must_use]
    pub fn new(name: &str, shape: impl Into<Vec<usize>>, start: Start) -> Self {
        Self {
            name: name.to_owned(),
            shape: shape.into(),
            start,
            idle: false,
        }
    }

    fn idle(self) -> Self {
        Self { idle: true, ..self }
    }
}

/// `name.weight [outputs, inputs]` and `name.bias [outputs]`.
#[derive(Debug)]
pub struct Linear {
    /// What both names begin with.
    pub name: &'static str,
    /// Numbers that go in.
    pub inputs: usize,
    /// Numbers that come out.
    pub outputs: usize,
    /// What the weight starts as; the bias starts as PyTorch's.
    pub start: Start,
}

impl Linear {
    /// A linear layer that starts as PyTorch's.
    #[must_use]
    pub const fn new(name: &'static str, inputs: usize, outputs: usize) -> Self {
        Self {
            name,
            inputs,
            outputs,
            start: Start::Linear { inputs },
        }
    }

    /// `[outputs, inputs]`
    #[must_use]
    pub fn weight(&self) -> Parameter {
        let shape = [self.outputs, self.inputs];
        Parameter::new(&format!("{}.weight", self.name), shape, self.start)
    }

    /// `[outputs]`
    #[must_use]
    pub fn bias(&self) -> Parameter {
        let start = Start::Linear {
            inputs: self.inputs,
        };
        Parameter::new(&format!("{}.bias", self.name), [self.outputs], start)
    }

    pub(super) fn list(&self) -> Vec<Parameter> {
        vec![self.weight(), self.bias()]
    }
}

/// `name.weight` and `name.bias` of a layer norm over the last dimensions.
#[derive(Debug)]
pub struct LayerNorm {
    /// What both names begin with.
    pub name: &'static str,
    /// The dimensions.
    pub shape: Vec<usize>,
}

impl LayerNorm {
    /// A layer norm over dimensions of this shape.
    #[must_use]
    pub const fn new(name: &'static str, shape: Vec<usize>) -> Self {
        Self { name, shape }
    }

    /// The scale.
    #[must_use]
    pub fn weight(&self) -> Parameter {
        let name = format!("{}.weight", self.name);
        Parameter::new(&name, self.shape.clone(), Start::Constant(1.0))
    }

    /// The shift.
    #[must_use]
    pub fn bias(&self) -> Parameter {
        let name = format!("{}.bias", self.name);
        Parameter::new(&name, self.shape.clone(), Start::Constant(0.0))
    }

    pub(super) fn list(&self) -> Vec<Parameter> {
        vec![self.weight(), self.bias()]
    }
}

/// PyTorch's multi-head attention of which only the weights count: values and the output projection
/// are kept, but idle.
#[derive(Debug)]
pub struct Attention {
    /// What all names begin with.
    pub name: &'static str,
    /// Width of queries and keys over all heads together.
    pub size: usize,
    /// Attention heads.
    pub heads: usize,
}

impl Attention {
    /// An attention block with queries and keys of this size over all heads together.
    #[must_use]
    pub const fn new(name: &'static str, size: usize, heads: usize) -> Self {
        Self { name, size, heads }
    }

    /// `[3 * size, size]`: the rows of query, key and value, in that order.
    #[must_use]
    pub fn in_weight(&self) -> Parameter {
        let name = format!("{}.in_proj_weight", self.name);
        Parameter::new(&name, [3 * self.size, self.size], Start::Xavier)
    }

    /// `[3 * size]`, in the same order.
    #[must_use]
    pub fn in_bias(&self) -> Parameter {
        let name = format!("{}.in_proj_bias", self.name);
        Parameter::new(&name, [3 * self.size], Start::Constant(0.0))
    }

    /// `[size, size]` and `[size]`, which no attention weight depends on.
    #[must_use]
    pub fn out_projection(&self) -> [Parameter; 2] {
        let weight = format!("{}.out_proj.weight", self.name);
        let bias = format!("{}.out_proj.bias", self.name);
        [
            Parameter::new(&weight, [self.size, self.size], Start::Xavier).idle(),
            Parameter::new(&bias, [self.size], Start::Constant(0.0)).idle(),
        ]
    }

    pub(super) fn list(&self) -> Vec<Parameter> {
        let mut list = vec![self.in_weight(), self.in_bias()];
        list.extend(self.out_projection());
        list
    }
}
