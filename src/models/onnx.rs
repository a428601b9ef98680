//! The part of the ONNX file format that a BERT graph needs, as protobuf messages (onnx/onnx.proto, IR version 8),
//! and a builder that names nodes after their output.

use prost::Message;

pub(super) const FLOAT: i32 = 1;
pub(super) const INT8: i32 = 3;
pub(super) const INT32: i32 = 6;
pub(super) const INT64: i32 = 7;

/// Domain of the fused operators that ONNX Runtime adds to the standard.
pub(super) const MICROSOFT: &str = "com.microsoft";

/// A graph in the making. Methods return the name of what they add.
#[derive(Default)]
pub(super) struct GraphBuilder {
    graph: GraphProto,
}

impl GraphBuilder {
    /// Adds a constant.
    pub(super) fn constant(&mut self, name: &str, data_type: i32, dims: &[usize], raw_data: Vec<u8>) -> String {
        self.graph.initializer.push(TensorProto {
            dims: dims.iter().map(|&dim| dim as i64).collect(),
            data_type,
            name: name.to_owned(),
            raw_data,
            ..TensorProto::default()
        });
        name.to_owned()
    }

    /// Adds a constant of 32-bit floats.
    pub(super) fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        self.constant(name, FLOAT, dims, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Adds a constant of 32-bit floats that fill a file beside the graph.
    #[cfg(test)]
    pub(super) fn floats_in_file(&mut self, name: &str, dims: &[usize], file: &str) -> String {
        self.graph.initializer.push(TensorProto::in_file(name, dims, file));
        name.to_owned()
    }

    /// Adds a list of 64-bit integers.
    pub(super) fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, INT64, &[values.len()], raw_data)
    }

    /// Adds a node with one output.
    pub(super) fn node(&mut self, op_type: &str, inputs: &[&str], output: &str, attributes: Vec<Attribute>) -> String {
        self.outputs("", op_type, inputs, &[output], attributes);
        output.to_owned()
    }

    /// Adds a node of one of ONNX Runtime's own operators.
    pub(super) fn fused(&mut self, op_type: &str, inputs: &[&str], output: &str, attributes: Vec<Attribute>) -> String {
        self.outputs(MICROSOFT, op_type, inputs, &[output], attributes);
        output.to_owned()
    }

    /// Adds a node with several outputs.
    pub(super) fn outputs(
        &mut self,
        domain: &str,
        op_type: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: Vec<Attribute>,
    ) {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(ToString::to_string).collect(),
            output: outputs.iter().map(ToString::to_string).collect(),
            name: outputs[0].to_owned(),
            op_type: op_type.to_owned(),
            attribute: attributes,
            domain: domain.to_owned(),
        });
    }

    /// The bytes of the file: always the same for the same graph.
    pub(super) fn finish(mut self, name: &str, inputs: &[Value<'_>], output: &Value<'_>) -> Vec<u8> {
        name.clone_into(&mut self.graph.name);
        self.graph.input = inputs.iter().map(Value::to_proto).collect();
        self.graph.output = vec![output.to_proto()];
        let opset = |domain: &str, version| OperatorSet { domain: domain.to_owned(), version };
        ModelProto {
            ir_version: 8,
            producer_name: "premise".to_owned(),
            graph: Some(self.graph),
            opset_import: vec![opset("", 17), opset(MICROSOFT, 1)],
        }
        .encode_to_vec()
    }
}

/// An input or output of a graph: its dimensions are numbers or names.
pub(super) struct Value<'a> {
    pub(super) name: &'a str,
    pub(super) elem_type: i32,
    pub(super) dims: &'a [Dim<'a>],
}

/// A dimension of an input or output.
#[derive(Clone, Copy)]
pub(super) enum Dim<'a> {
    Size(usize),
    Named(&'a str),
}

impl Value<'_> {
    fn to_proto(&self) -> ValueInfo {
        let dim = |dim: &Dim<'_>| Dimension {
            value: Some(match dim {
                Dim::Size(size) => dimension::Value::Size(*size as i64),
                Dim::Named(name) => dimension::Value::Name((*name).to_owned()),
            }),
        };
        let shape = Shape { dim: self.dims.iter().map(dim).collect() };
        ValueInfo {
            name: self.name.to_owned(),
            r#type: Some(TypeProto { tensor_type: Some(TensorType { elem_type: self.elem_type, shape: Some(shape) }) }),
        }
    }
}

/// A setting of a node.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    // Optional, since ONNX Runtime asks whether a value is there and a plain zero would be left out.
    #[prost(float, optional, tag = "2")]
    f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    i: Option<i64>,
    #[prost(message, optional, tag = "5")]
    t: Option<TensorProto>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    r#type: i32,
}

impl Attribute {
    pub(super) fn float(name: &str, value: f32) -> Self {
        Self { name: name.to_owned(), f: Some(value), r#type: 1, ..Self::default() }
    }

    pub(super) fn int(name: &str, value: i64) -> Self {
        Self { name: name.to_owned(), i: Some(value), r#type: 2, ..Self::default() }
    }

    /// A tensor of 32-bit floats that fill a file beside the graph.
    #[cfg(test)]
    pub(super) fn floats_in_file(name: &str, dims: &[usize], file: &str) -> Self {
        Self { name: name.to_owned(), t: Some(TensorProto::in_file(name, dims, file)), r#type: 4, ..Self::default() }
    }

    pub(super) fn ints(name: &str, values: &[i64]) -> Self {
        Self { name: name.to_owned(), ints: values.to_vec(), r#type: 7, ..Self::default() }
    }
}

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSet {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    domain: String,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<Property>,
    /// 1 when the values lie in a file.
    #[prost(int32, tag = "14")]
    data_location: i32,
}

#[cfg(test)]
impl TensorProto {
    fn in_file(name: &str, dims: &[usize], file: &str) -> Self {
        Self {
            dims: dims.iter().map(|&dim| dim as i64).collect(),
            data_type: FLOAT,
            name: name.to_owned(),
            external_data: vec![Property { key: "location".to_owned(), value: file.to_owned() }],
            data_location: 1,
            ..Self::default()
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct Property {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfo {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(oneof = "dimension::Value", tags = "1, 2")]
    value: Option<dimension::Value>,
}

mod dimension {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Value {
        #[prost(int64, tag = "1")]
        Size(i64),
        #[prost(string, tag = "2")]
        Name(String),
    }
}
