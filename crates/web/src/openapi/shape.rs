//! Shapes: how the fields of bodies are described, in words short enough to read a whole object at a glance. They become
//! the schemas of the OpenAPI document (JSON Schema 2020-12).

use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Ref, RefOr, Schema, SchemaFormat};

/// What one value looks like.
#[derive(Clone, Debug)]
pub struct Shape {
    kind: Kind,
    nullable: bool,
    about: String,
    example: Option<Value>,
}

#[derive(Clone, Debug)]
enum Kind {
    Text { format: Option<&'static str>, least: Option<usize>, most: Option<usize> },
    Like(&'static str),
    Words(Vec<&'static str>),
    Number { least: Option<i64>, most: Option<i64> },
    Flag,
    List(Box<Shape>, Option<usize>),
    Map(Box<Shape>),
    Named(&'static str),
    Fields(Vec<(&'static str, Shape, Needed)>, Closed),
    Anything,
}

/// Whether a field is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// Always.
    Yes,
    /// It may be left out.
    No,
}

/// Whether other fields are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// What is sent: unknown fields are refused.
    Yes,
    /// What is received: later versions may add fields.
    No,
}

fn shape(kind: Kind) -> Shape {
    Shape { kind, nullable: false, about: String::new(), example: None }
}

/// Any text.
pub fn text() -> Shape {
    shape(Kind::Text { format: None, least: None, most: None })
}

/// Text of a length in characters.
pub fn text_of(least: usize, most: usize) -> Shape {
    shape(Kind::Text { format: None, least: Some(least), most: Some(most) })
}

/// Text of a form, as a regular expression (ECMA-262).
pub fn text_like(pattern: &'static str) -> Shape {
    shape(Kind::Like(pattern))
}

/// An id.
pub fn id() -> Shape {
    let example = Value::from("0197e1a2-5b1c-7d3e-9f40-6a7b8c9d0e1f");
    Shape { example: Some(example), ..shape(Kind::Text { format: Some("uuid"), least: None, most: None }) }
}

/// An instant.
pub fn time() -> Shape {
    let example = Value::from("2026-11-20T08:30:00.000Z");
    Shape { example: Some(example), ..shape(Kind::Text { format: Some("date-time"), least: None, most: None }) }
}

/// One of some words.
pub fn words(list: Vec<&'static str>) -> Shape {
    shape(Kind::Words(list))
}

/// A whole number.
pub fn number() -> Shape {
    shape(Kind::Number { least: None, most: None })
}

/// A whole number from 0.
pub fn count() -> Shape {
    shape(Kind::Number { least: Some(0), most: None })
}

/// A whole number between two bounds.
pub fn number_of(least: i64, most: i64) -> Shape {
    shape(Kind::Number { least: Some(least), most: Some(most) })
}

/// True or false.
pub fn flag() -> Shape {
    shape(Kind::Flag)
}

/// A list.
pub fn list(item: Shape) -> Shape {
    shape(Kind::List(Box::new(item), None))
}

/// A list of at most so many.
pub fn list_of(item: Shape, most: usize) -> Shape {
    shape(Kind::List(Box::new(item), Some(most)))
}

/// Values by word.
pub fn map(item: Shape) -> Shape {
    shape(Kind::Map(Box::new(item)))
}

/// One of the components.
pub fn named(name: &'static str) -> Shape {
    shape(Kind::Named(name))
}

/// Any JSON value.
pub fn anything() -> Shape {
    shape(Kind::Anything)
}

/// What is sent: unknown fields are refused.
pub fn sent(fields: Vec<(&'static str, Shape, Needed)>) -> Shape {
    shape(Kind::Fields(fields, Closed::Yes))
}

/// What is received.
pub fn given(fields: Vec<(&'static str, Shape, Needed)>) -> Shape {
    shape(Kind::Fields(fields, Closed::No))
}

impl Shape {
    /// `null` is possible too.
    pub fn or_null(self) -> Shape {
        Shape { nullable: true, ..self }
    }

    /// What it means.
    pub fn about(self, about: impl Into<String>) -> Shape {
        Shape { about: about.into(), ..self }
    }

    /// A value as it may be.
    pub fn example(self, example: impl Into<Value>) -> Shape {
        Shape { example: Some(example.into()), ..self }
    }

    fn types(&self, one: Type) -> SchemaType {
        if self.nullable { SchemaType::from_iter([one, Type::Null]) } else { SchemaType::new(one) }
    }

    fn described(&self, object: ObjectBuilder) -> ObjectBuilder {
        let object = object.description((!self.about.is_empty()).then_some(self.about.as_str()));
        match &self.example {
            Some(example) => object.examples([example.clone()]),
            None => object,
        }
    }

    fn object(&self, one: Type) -> ObjectBuilder {
        self.described(ObjectBuilder::new().schema_type(self.types(one)))
    }

    /// As a schema of the document.
    pub fn schema(&self) -> RefOr<Schema> {
        let made: Schema = match &self.kind {
            Kind::Text { format, least, most } => self.text(*format, *least, *most),
            Kind::Like(pattern) => self.object(Type::String).pattern(Some(*pattern)).into(),
            Kind::Words(list) => {
                let null = self.nullable.then_some(Value::Null);
                let values: Vec<Value> = list.iter().map(|word| Value::from(*word)).chain(null).collect();
                self.object(Type::String).enum_values(Some(values)).into()
            }
            Kind::Number { least, most } => {
                let bound = |n: &i64| utoipa::Number::Int(isize::try_from(*n).unwrap_or(isize::MAX));
                self.object(Type::Integer).minimum(least.as_ref().map(bound)).maximum(most.as_ref().map(bound)).into()
            }
            Kind::Flag => self.object(Type::Boolean).into(),
            Kind::List(item, most) => {
                let array = ArrayBuilder::new().items(item.schema()).schema_type(self.types(Type::Array)).max_items(*most);
                array.description((!self.about.is_empty()).then_some(self.about.as_str())).into()
            }
            Kind::Map(item) => self.object(Type::Object).additional_properties(Some(item.schema())).into(),
            Kind::Named(name) => return self.reference(name),
            Kind::Fields(fields, closed) => self.fields(fields, *closed),
            Kind::Anything => self.described(ObjectBuilder::new().schema_type(SchemaType::any())).into(),
        };
        RefOr::T(made)
    }

    fn text(&self, format: Option<&'static str>, least: Option<usize>, most: Option<usize>) -> Schema {
        let format = format.map(|format| match format {
            "uuid" => SchemaFormat::KnownFormat(KnownFormat::Uuid),
            "date-time" => SchemaFormat::KnownFormat(KnownFormat::DateTime),
            other => SchemaFormat::Custom(other.to_owned()),
        });
        self.object(Type::String).format(format).min_length(least).max_length(most).into()
    }

    fn reference(&self, name: &str) -> RefOr<Schema> {
        let to = Ref::from_schema_name(name);
        if self.nullable {
            let null = ObjectBuilder::new().schema_type(SchemaType::new(Type::Null));
            let either = OneOfBuilder::new().item(to).item(Schema::from(null));
            RefOr::T(either.description((!self.about.is_empty()).then_some(self.about.as_str())).into())
        } else {
            RefOr::Ref(to)
        }
    }

    fn fields(&self, fields: &[(&'static str, Shape, Needed)], closed: Closed) -> Schema {
        let mut object = self.object(Type::Object);
        for (name, shape, needed) in fields {
            object = object.property(*name, shape.schema());
            if *needed == Needed::Yes {
                object = object.required(*name);
            }
        }
        if closed == Closed::Yes {
            object = object.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
        }
        object.into()
    }
}
