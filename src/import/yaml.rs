//! YAML as JSON, which is all that PM2's configuration needs of it: one document, texts as keys.
//!
//! The crate is `saphyr`: pure Rust and maintained, and its parser resolves types by YAML 1.2, so that `no` stays a text.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Number, Value};

/// Reads the first document of a text.
///
/// # Errors
/// A sentence that says what is wrong and where.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    documents.first().map_or(Ok(Value::Null), value)
}

fn value(node: &Yaml) -> Result<Value, String> {
    Ok(match node {
        Yaml::Value(scalar) => plain(scalar),
        Yaml::Representation(text, ..) => Value::String(text.to_string()),
        Yaml::Sequence(items) => Value::Array(items.iter().map(value).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => Value::Object(
            entries.iter().map(|(key, item)| Ok((name(key)?, value(item)?))).collect::<Result<Map<_, _>, String>>()?,
        ),
        Yaml::Tagged(_, inner) => value(inner)?,
        Yaml::Alias(_) | Yaml::BadValue => return Err("there is a value that cannot be read".to_owned()),
    })
}

fn plain(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(is) => Value::Bool(*is),
        Scalar::Integer(number) => Value::from(*number),
        Scalar::FloatingPoint(number) => Number::from_f64(number.into_inner()).map_or(Value::Null, Value::Number),
        Scalar::String(text) => Value::String(text.to_string()),
    }
}

fn name(key: &Yaml) -> Result<String, String> {
    match value(key)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(is) => Ok(is.to_string()),
        _ => Err("a key is no text".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_is_read_as_the_json_that_it_means() {
        let text = "apps:\n  - name: web\n    instances: 2\n    watch: no\n    env: &base\n      PORT: 3000\n      A: ~\n  - env: *base\n    args: ['-x', 1.5, true]\n";
        let base = json!({ "PORT": 3000, "A": null });
        let apps = json!([
            { "name": "web", "instances": 2, "watch": "no", "env": base },
            { "env": base, "args": ["-x", 1.5, true] }
        ]);
        assert_eq!(parse(text).unwrap(), json!({ "apps": apps }));
        assert_eq!(parse("").unwrap(), Value::Null);
        assert!(parse("a: [1").is_err());
    }
}
